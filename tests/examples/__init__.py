"""Every example in `examples/` does what its comments say."""
