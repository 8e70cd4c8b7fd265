"""The environment that JAX is started in.

What would end the process later is refused here in one line.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from jaxode.checks import ConfigError
from jaxode.cli import resource_limits

PARSE_FLAGS = (
    "from jaxlib import xla_client;"
    " xla_client.CompileOptions().executable_build_options.debug_options"
)
"""A program that reads XLA_FLAGS and does nothing else: a third of a second."""

TALK = 4096
"""Bytes of XLA's answer that are read; after a wrong value it prints all of its flags."""


def start_jax() -> None:
    """Import JAX. Raises ConfigError where a limit or a variable of the environment forbids it."""
    resource_limits.check()
    # Without a directory for its caches matplotlib works as well, but says so in several lines.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    refusal = flags_refused(os.environ.get("XLA_FLAGS", ""))
    if refusal is not None:
        raise ConfigError(f"XLA_FLAGS must be flags that XLA knows: {refusal}")
    try:
        import jax  # noqa: F401
    except (ValueError, ImportError) as error:
        raise ConfigError(f"JAX cannot be imported: {error}") from error


@cache
def flags_refused(flags: str) -> str | None:
    """What XLA has against XLA_FLAGS; None if nothing.

    XLA ends the process that reads flags it does not know, so another process reads them first.
    """
    if not flags:
        return None
    command = [sys.executable, "-c", PARSE_FLAGS]
    done = subprocess.run(
        command, env={**os.environ, "XLA_FLAGS": flags}, capture_output=True, check=False
    )
    if done.returncode == 0:
        return None
    lines = done.stderr[:TALK].decode(errors="replace").splitlines()
    return next(
        (line.partition("] ")[2] for line in lines if "] " in line), f"exit code {done.returncode}"
    )


def start_devices() -> None:
    """Start JAX's backend. Raises ConfigError where JAX_PLATFORMS names none that is there."""
    import jax

    try:
        jax.devices()
    except (
        RuntimeError,
        AssertionError,
    ) as error:  # AssertionError: a known platform without its plugin
        chosen = os.environ.get("JAX_PLATFORMS")
        where = (
            f"JAX_PLATFORMS must name platforms that are there, got {chosen!r}: " if chosen else ""
        )
        raise ConfigError(f"{where}{str(error) or 'it cannot be started'}") from error


def require_unicode(what: str, path: Path) -> None:
    """Raise ConfigError if Python and the storage libraries read a path differently.

    The libraries encode it in UTF-8.

    So it is in a locale without UTF-8, and where a name is not UTF-8 on the disk.
    """
    whole = os.path.abspath(path)
    raw = os.fsencode(whole)
    try:
        same = whole.encode() == raw
    except UnicodeEncodeError:  # Python keeps a byte that it cannot decode as half a character
        same = False
    if same:
        return
    try:
        raw.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{what} must be a path in UTF-8, got {whole!r}") from None
    locale = sys.getfilesystemencoding()
    raise ConfigError(
        f"{what} is not in ASCII, and the locale's encoding is {locale}: set PYTHONUTF8=1, got"
        f" {whole!r}"
    )
