"""Writes the reference pages out of the code, so that they can neither lag behind it nor promise more than it does."""
