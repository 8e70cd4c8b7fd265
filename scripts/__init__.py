"""Programs around the library; run each with `python -m scripts.NAME`."""

from jaxode.cli import process

if process.starts_here():
    process.prepare()
    process.require_jax()
