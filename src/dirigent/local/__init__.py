"""What lives on this machine: weights, the model's own process and its supervision, and the local embeddings."""
