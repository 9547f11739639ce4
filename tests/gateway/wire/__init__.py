"""The strict server, against callers who speak raw bytes on real sockets."""
