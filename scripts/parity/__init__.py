"""Cell by cell: jaxode against the PyTorch reference with the same weights.

The only room that sees both.
"""
