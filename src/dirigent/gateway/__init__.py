"""HTTP in, hot: the callers' side of the data plane."""
