"""Programs around the library; run each with `python -m scripts.NAME`."""
