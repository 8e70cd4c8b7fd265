"""Density estimation and time series: the rows of their tables, records of runs, documents."""
