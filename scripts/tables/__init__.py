"""The published tables: rows, protocols, records of runs, and how they are shown."""
