"""Experiments: one module each, with its source, its command, what to expect, and its preset."""

from experiments import process

if process.starts_here():
    process.prepare()
