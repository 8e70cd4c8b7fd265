"""A compact PyTorch and torchdiffeq reference of every model; it imports neither jax nor jaxode."""
