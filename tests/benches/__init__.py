"""What the benchmarks say is what they measured."""
