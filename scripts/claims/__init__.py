"""What the documents claim of neural ODEs, measured: one module for each claim.

A claim's module has TITLE, CLAIM (what the documents say), NEEDS_RUN, `measure(request)`, which
returns JSON values, and `picture` and `paragraph`, which are made of those values alone.
"""

CLAIMS = ("memory", "tolerance", "loose", "drift", "size")
"""Names of the modules, in the order of the document."""
