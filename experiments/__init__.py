"""Experiments: one module each, with its source, its command, what to expect, and its preset."""

from jaxode.cli import process

if process.starts_here():
    process.prepare()
