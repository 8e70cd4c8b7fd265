"""The benchmark: jaxode and PyTorch with the same weights on the same batch, timed in turn."""
