"""The matrix of dialects: every feature, asked in each and sent in each, answered in each and told in each."""
