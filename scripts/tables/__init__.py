"""The published tables: their rows, the protocols they are run by, the records of runs, and how
both are shown.
"""
