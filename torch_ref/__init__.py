"""A compact PyTorch and torchdiffeq reference: every model, and its training; imports neither jax
nor jaxode.
"""
