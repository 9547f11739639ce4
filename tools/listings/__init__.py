"""Makes the table of published prices, context windows and capabilities out of two pinned, MIT-licensed packages."""
