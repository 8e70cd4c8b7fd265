"""The cache of compiled programs on disk: a second run of the same settings compiles nothing."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

SHORTEST = 0.0
"""Seconds; what compiles faster is compiled anew each time.

JAX's default, 1, leaves out a start's many small ones.
"""


def enable() -> None:
    """Store compiled programs in the user's cache directory, if it can be written.

    JAX_COMPILATION_CACHE_DIR names another directory, JAX_ENABLE_COMPILATION_CACHE=false disables
    the cache.
    """
    import jax

    # JAX compiles what it cannot read and goes on without what it cannot write, but warns of each
    # program in two lines.
    warnings.filterwarnings(
        "ignore", message="Error (reading|writing) persistent compilation cache entry"
    )
    if not jax.config.jax_enable_compilation_cache:  # type: ignore[attr-defined]
        return
    chosen = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    if chosen is not None and "://" in chosen:  # a bucket, which is JAX's to write
        return cache_short_compilations()
    directory = Path(chosen) if chosen is not None else default_directory()
    problem = "there is no home directory" if directory is None else unusable(directory)
    if problem is None:
        jax.config.update("jax_compilation_cache_dir", str(directory))
        return cache_short_compilations()
    if chosen is not None:
        print(
            f"note: compiled programs are not stored: JAX_COMPILATION_CACHE_DIR: {problem}",
            file=sys.stderr,
        )
        jax.config.update("jax_compilation_cache_dir", None)


def default_directory() -> Path | None:
    """The directory in the user's cache; None where there is no home.

    A relative XDG_CACHE_HOME has to be ignored, by the XDG Base Directory Specification.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(named) if os.path.isabs(named) else Path.home() / ".cache") / "jaxode" / "xla"
    except RuntimeError:  # the user has no home
        return None


def unusable(directory: Path) -> str | None:
    """Why a directory, which is made if it is missing, cannot be written; None if it can."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"{directory}: {error.strerror}"
    return None if os.access(directory, os.W_OK | os.X_OK) else f"{directory}: not writable"


def cache_short_compilations() -> None:
    """Store what compiles fast too, unless the user has chosen another bound."""
    import jax

    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", SHORTEST)
