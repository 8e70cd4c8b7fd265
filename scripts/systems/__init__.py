"""Densities, time series, detection, depth: rows of tables, records of runs, documents."""
