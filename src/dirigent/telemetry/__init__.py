"""Who watches: implementations of the observer."""
