"""The outcome of work in process 0, as text for the other processes: a JSON value or an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxode.checks import ConfigError
from jaxode.errors import CheckpointError, ResumeError, RunFailed

SHARED_ERRORS = {
    kind.__name__: kind for kind in (ConfigError, ResumeError, CheckpointError, RunFailed)
}
"""Errors that all processes raise together."""


class Outcome(NamedTuple):
    """What process 0 sends, and the error that it raises itself.

    Args:
        text: JSON of the result or of the error; empty in the other processes.
        error: as it was raised.
    """

    text: bytes = b""
    error: Exception | None = None

    @classmethod
    def of(cls, work: Callable[[], object]) -> Outcome:
        """The outcome of `work`, which returns a JSON value or raises an error."""
        try:
            return cls(json.dumps({"result": work()}).encode())
        except Exception as error:
            content = {"kind": type(error).__name__, "error": str(error)}
            return cls(json.dumps(content).encode(), error)


def result_of(text: bytes) -> Any:
    """The result in the text of an outcome.

    Args:
        text: of process 0, with spaces after it.

    Raises:
        Exception: the error of process 0: one of SHARED_ERRORS, and RunFailed for any other.
    """
    content = json.loads(text)
    if "error" in content:
        raise SHARED_ERRORS.get(content["kind"], RunFailed)(content["error"])
    return content["result"]
