"""The keys of stored settings: which there may be and which there must be.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from jaxode.checks import ConfigError, closest, printable, require, shortened

ALWAYS = {
    "": ("epochs", "batch_size", "seed", "precision"),
    "model.": ("model", "blocks", "width"),
    "solve.": ("solver", "rtol", "atol", "step_size", "gradient", "max_steps"),
    "data.": ("dataset", "data", "limit_train", "limit_test"),
    "optim.": ("optimizer", "lr", "momentum", "weight_decay", "schedule"),
}
"""Settings that the config.json of every run has.

Those added later have their defaults in a run that lacks them.
"""


def require_object(name: str, value: object) -> dict[str, Any]:
    """A copy of a JSON object. Raises ConfigError for any other value."""
    require(isinstance(value, dict), name, value, "an object")
    return dict(value)  # type: ignore[call-overload]


def require_keys(prefix: str, keys: Collection[object], known: Collection[str]) -> None:
    """Raise ConfigError unless all keys are settings, and none is missing that every run has.

    Args:
        prefix: what stands before the keys in messages: the name of a part and a dot, or nothing.
        keys: those there are.
        known: those there may be.
    """
    for key in keys:
        if key not in known:
            close = closest(key, known) if isinstance(key, str) else None
            shown = printable(shortened(str(key)))
            raise ConfigError(
                f"{prefix}{shown} is no setting{f': did you mean {close}?' if close else ''}"
            )
    for name in ALWAYS.get(prefix, ()):
        if name not in keys:
            raise ConfigError(f"{prefix}{name} is missing")
