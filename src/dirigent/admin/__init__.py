"""The control plane over HTTP: one route per operation, sign-in, and the description of all of it in OpenAPI."""
