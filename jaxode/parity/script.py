"""A file that says what is compared with what: a function `models()`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from jaxode.checks import ConfigError, one_line, require

FUNCTION = "models"
"""Returns (torch_module, nnx_module, inputs), or a dict of `jaxode.parity.check`'s arguments."""

NEEDED = ("torch_module", "nnx_module", "inputs")


def read_script(path: Path) -> dict[str, Any]:
    """Run a file and its function `models()`.

    Args:
      path: of a Python file; what lies beside it can be imported.

    Returns:
      Arguments of `jaxode.parity.check`.

    Raises:
      ConfigError: the file cannot be read or run, or has no such function, or that returns
        something else.
    """
    require(path.is_file(), "SCRIPT", str(path), "a Python file")
    spec = importlib.util.spec_from_file_location("jaxode_parity_script", path)
    require(spec is not None, "SCRIPT", str(path), "a Python file, whose name ends in .py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    sys.path.insert(0, str(path.resolve().parent))
    try:
        try:
            spec.loader.exec_module(module)
            function = getattr(module, FUNCTION, None)
            if not callable(function):
                raise ConfigError(
                    f"{path} must define a function {FUNCTION}() that returns ({', '.join(NEEDED)})"
                )
            found = function()
        except ConfigError:
            raise
        except (Exception, SystemExit) as error:
            what = f"{type(error).__name__}: {one_line(error)}"
            raise ConfigError(f"{path}{_line(error, path)} raised {what}") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    return _arguments(found, path)


def _arguments(found: Any, path: Path) -> dict[str, Any]:
    if isinstance(found, tuple) and len(found) == len(NEEDED):
        return dict(zip(NEEDED, found, strict=True))
    if isinstance(found, dict) and set(NEEDED) <= set(found):
        return dict(found)
    kind = f"{len(found)} values" if isinstance(found, tuple) else type(found).__name__
    raise ConfigError(
        f"{FUNCTION}() in {path} must return ({', '.join(NEEDED)}), or a dict with these and other"
        f" arguments of jaxode.parity.check, got {kind}"
    )


def _line(error: BaseException, path: Path) -> str:
    """The line of the file that an error comes from, for a message."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f", line {error.lineno},"
    number, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            number = trace.tb_lineno
        trace = trace.tb_next
    return "" if number is None else f", line {number},"
