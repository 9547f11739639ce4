"""The ground of the house: the words that every other room speaks, without any input or output."""
