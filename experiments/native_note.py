"""Says once to a user, not in every run, that the quick kernels are missing, and how to get them."""

from __future__ import annotations

import os
import sys

import jax

from experiments.compilations import usual
from jaxode.config import RunConfig
from jaxode.nn import native
from jaxode.nn.kernels import VARIABLE

TOLD = "native-kernels-missing"
"""Name of an empty file in the user's cache that says it was said."""


def tell_once(config: RunConfig) -> None:
    """A line on stderr where a run would be quicker with kernels that were not built; nothing the next time.

    Args:
        config: the run. One in another precision, or of a model without convolutions, would not use them.
    """
    would_use = config.precision == "float32" and config.model.model not in ("mlp", "dense")
    if jax.default_backend() != "cpu" or not would_use or VARIABLE in os.environ or native.load():
        return
    folder = usual()
    told = folder.parent / TOLD if folder is not None else None
    try:
        if told is not None:
            told.parent.mkdir(parents=True, exist_ok=True)
            told.open("x", encoding="utf-8").close()
    except FileExistsError:
        return
    except OSError:
        pass  # nowhere to remember it: then it is said again
    print(f"note: training takes two to three times as long as it could: {native.missing()}", file=sys.stderr)
