"""Compiled programs, kept on disk so that a second run of the same settings compiles nothing."""

from __future__ import annotations

import os
from pathlib import Path

SHORTEST = 0.0
"""Seconds; what compiles faster is compiled anew each time. JAX's default, 1, leaves out a start's many small ones."""


def keep() -> None:
    """Let later runs load what this one compiles, from the user's cache directory, if that can be written.

    JAX_COMPILATION_CACHE_DIR names another directory, JAX_ENABLE_COMPILATION_CACHE=false keeps nothing.
    """
    import jax

    if not jax.config.jax_enable_compilation_cache:  # type: ignore[attr-defined]
        return
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
        try:
            directory = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxode" / "xla"
            directory.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):  # RuntimeError: the user has no home
            return
        if not os.access(directory, os.W_OK | os.X_OK):
            return
        jax.config.update("jax_compilation_cache_dir", str(directory))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", SHORTEST)
