"""HTTP out, against providers that speak raw bytes on real sockets."""
