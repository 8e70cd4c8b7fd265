"""Collectives of a training step: found in the compiled program, counted, predicted."""
