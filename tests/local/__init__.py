"""The tests of the local room: with real weights, a real package index and real processes."""
