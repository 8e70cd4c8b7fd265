"""A compact PyTorch and torchdiffeq reference of every model and its training.

It imports neither jax nor jaxode.
"""
