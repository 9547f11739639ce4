"""The compiled build: the modules that every request goes through, as machine code of this machine's Python."""
