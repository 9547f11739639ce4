"""The command line, read as a person reads it."""
