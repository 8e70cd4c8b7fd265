"""The keys of stored settings: which are allowed and which are required.

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
"""Settings that the config.json of every run has, by prefix.

A setting that was added later has its default in a run that lacks it.
"""


def require_object(name: str, value: object) -> dict[str, Any]:
    """A copy of a JSON object.

    Args:
      name: what the message calls it.
      value: a parsed JSON value.

    Raises:
      ConfigError: the value is not an object.
    """
    require(isinstance(value, dict), name, value, "an object")
    return dict(value)  # type: ignore[call-overload]


def require_keys(prefix: str, keys: Collection[object], known: Collection[str]) -> None:
    """Check that all keys are settings, and that no required one is missing.

    Args:
      prefix: of the keys in messages: the name of a part and a dot, or empty.
      keys: those of a stored object.
      known: names of the settings.

    Raises:
      ConfigError: an unknown key, with the most similar setting, or a missing one.
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
