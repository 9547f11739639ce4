"""How often the semantic tier of the policy `reuse` is right, measured on a labelled set of questions."""
