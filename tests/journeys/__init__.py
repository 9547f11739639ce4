"""User stories against the real server: its own process, a real port, the clients that people use."""
