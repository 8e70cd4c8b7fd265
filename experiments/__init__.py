"""Experiments: one module each, with its source, its command, what to expect, and its preset."""
