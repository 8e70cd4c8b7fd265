"""The note, printed once, that native kernels are missing and how to get them."""

from __future__ import annotations

import os
import sys

import jax

from jaxode.cli.compilation_cache import default_directory
from jaxode.config import RunConfig
from jaxode.nn import native
from jaxode.nn.kernels import VARIABLE

MARKER = "native-kernels-missing"
"""Name of an empty file in the user's cache that marks the note as printed."""


def note_once(config: RunConfig) -> None:
    """A note on stderr, printed once, that a run would be quicker with native kernels.

    Args:
        config: the run. One in another precision, of a model without convolutions, or with kernels
            by name would not use them.
    """
    would_use = config.precision == "float32" and config.model.facts.convolutional
    would_use = would_use and config.kernels == "auto"
    if jax.default_backend() != "cpu" or not would_use or VARIABLE in os.environ or native.load():
        return
    if not _first_time():
        return
    reason = native.unavailable_reason()
    print(f"note: training takes two to three times as long as it could: {reason}", file=sys.stderr)


def _first_time() -> bool:
    """Whether the note is new; stores that it was given, where it can be stored."""
    folder = default_directory()
    if folder is None:
        return True
    marker = folder.parent / MARKER
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return True
    try:
        marker.open("x", encoding="utf-8").close()
    except FileExistsError:
        return False
    except OSError:
        pass
    return True
