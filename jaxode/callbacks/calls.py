"""Calls the callbacks of a run, and says which of them raised an error."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from jaxode.callbacks.base import Callback, RunInfo, TrainingStep
from jaxode.checks import ConfigError, one_line
from jaxode.strict_json import JsonObject

logger = logging.getLogger(__name__)

METHODS = ("on_start", "on_step", "on_epoch", "on_end")


class CallbackError(Exception):
    """A callback raised an exception, which is the `cause`."""

    def __init__(self, callback: object, method: str, cause: Exception) -> None:
        name = type(callback).__name__
        super().__init__(f"{name}.{method}: {type(cause).__name__}: {one_line(cause)}")
        self.method, self.cause = method, cause


class Callbacks:
    """The callbacks of a run, called in order.

    Args:
        callbacks: objects with some of the methods of `Callback`.

    Raises:
        ConfigError: an object has none of them.
    """

    def __init__(self, callbacks: Sequence[Any] = ()) -> None:
        for callback in callbacks:
            if isinstance(callback, type) or not any(hasattr(callback, m) for m in METHODS):
                raise ConfigError(
                    f"callbacks must be objects with some of {', '.join(METHODS)}, got {callback!r}"
                )
        self.callbacks = tuple(callbacks)
        self.started: list[Any] = []
        self.run: RunInfo | None = None

    @property
    def want_steps(self) -> bool:
        """Whether some callback is to be told of training steps."""
        return any(
            _method(each, "on_step") is not None
            and getattr(type(each), "on_step", None) is not Callback.on_step
            for each in self.callbacks
        )

    @property
    def stop_reason(self) -> str | None:
        """Why a callback asks for the end of the training; None if none does."""
        return None if self.run is None else self.run.stop_reason

    def start(self, run: RunInfo) -> None:
        """Tell that a run starts. Raises CallbackError."""
        self.run = run
        for callback in self.callbacks:
            self.started.append(callback)
            _call(callback, "on_start", run)

    def steps(self, steps: Iterable[TrainingStep]) -> None:
        """Tell of training steps. Raises CallbackError."""
        for step in steps:
            for callback in self.callbacks:
                _call(callback, "on_step", step)

    def epoch(self, metrics: JsonObject) -> None:
        """Tell of an epoch. Raises CallbackError."""
        for callback in self.callbacks:
            _call(callback, "on_epoch", dict(metrics))

    def end(self, result: JsonObject) -> None:
        """Tell that the run has ended, all that were told of its start.

        The first exception is raised when all were told; where the run has ended by an error or a
        signal, which is on its way already, it is logged.
        """
        first: CallbackError | None = None
        for callback in self.started:
            try:
                _call(callback, "on_end", dict(result))
            except CallbackError as error:
                first = first or error
        self.started = []
        if first is None:
            return
        if result["status"] in ("failed", "stopped"):
            logger.error("%s", first, exc_info=first.cause)
        else:
            raise first.cause


def _method(callback: object, name: str) -> Any:
    found = getattr(callback, name, None)
    return found if callable(found) else None


def _call(callback: object, name: str, argument: object) -> None:
    method = _method(callback, name)
    if method is None:
        return
    try:
        method(argument)
    except Exception as error:
        raise CallbackError(callback, name, error) from error
