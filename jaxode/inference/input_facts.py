"""What a run of points or series records of its inputs, so that its model can be used elsewhere."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxode.checks import ConfigError, one_line, require
from jaxode.strict_json import need, read_object

FILE = "inputs.json"
"""Where a run has them."""


@dataclass(frozen=True)
class InputFacts:
    """How numbers of a user become those that a model was trained with: (x - shift) / scale.

    Args:
      shift: of each of D channels, or numbers of a point.
      scale: of each, not 0.
      channels: their names; empty where they have none.
      class_names: in the order of the model's outputs; of a binary outcome two, without it first.
      time_unit: in which the model's times are counted, of the user's; above 0.
      quantisation: hours, to which times of PhysioNet's records are rounded; None elsewhere.
      task: what the model was trained for: the task's name, and its settings by name.

    Raises:
      ConfigError: a value that is not allowed.

    Example:
      >>> import numpy as np
      >>> from jaxode.inference.input_facts import InputFacts
      >>> facts = InputFacts((1.0, 0.0), (2.0, 1.0))
      >>> facts.inward(np.array([[3.0, 5.0]])).tolist(), facts.outward([[1.0, 5.0]]).tolist()
      ([[1.0, 5.0]], [[3.0, 5.0]])
    """

    shift: tuple[float, ...]
    scale: tuple[float, ...]
    channels: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    time_unit: float = 1.0
    quantisation: float | None = None
    task: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        finite = all(map(math.isfinite, (*self.shift, *self.scale))) and all(self.scale)
        allowed = "finite numbers, as many as the shift's, none of them 0"
        same = len(self.shift) == len(self.scale) > 0
        require(finite and same, "scale", list(self.scale), allowed)
        for name in ("time_unit", "quantisation"):
            value = getattr(self, name)
            positive = value is None or (math.isfinite(value) and value > 0)
            require(positive, name, value, "above 0")

    def inward(self, values: Any) -> Float[np.ndarray, "*shape D"]:
        """A user's numbers as the model's, float64.

        Args:
          values: [..., D].
        """
        return (np.asarray(values, np.float64) - self.shift) / self.scale

    def outward(self, values: Any) -> Float[np.ndarray, "*shape D"]:
        """The model's numbers as a user's: the inverse of `inward`."""
        return np.asarray(values, np.float64) * self.scale + self.shift

    def to_json(self) -> dict[str, Any]:
        """JSON values, of which `from_json` makes the same facts."""
        values = dataclasses.asdict(self)
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], where: object = FILE) -> InputFacts:
        """The facts that `to_json` gave.

        Args:
          values: by name.
          where: of them, for messages.

        Raises:
          ConfigError: they are not such facts.
        """
        numbers, words = ("shift", "scale"), ("channels", "class_names")
        try:
            lists = {name: need(values, name, list, where) for name in (*numbers, *words)}
            for name, kinds in (*((n, (int, float)) for n in numbers), *((n, str) for n in words)):
                wrong = [x for x in lists[name] if not isinstance(x, kinds) or isinstance(x, bool)]
                if wrong:
                    raise ValueError(f"{where}: {name} holds {wrong[0]!r}")
            unit = need(values, "time_unit", float, where)
            task = need(values, "task", dict, where)
            given = values.get("quantisation") is not None
            quantisation = need(values, "quantisation", float, where) if given else None
        except ValueError as error:
            raise ConfigError(one_line(error)) from error
        tuples: dict[str, Any] = {name: tuple(found) for name, found in lists.items()}
        return cls(**tuples, time_unit=unit, quantisation=quantisation, task=task)


def read_facts(run: Path) -> InputFacts | None:
    """The facts that a run has recorded; None for one of a version that recorded none.

    Args:
      run: its directory.

    Raises:
      ConfigError: the file is damaged.
    """
    path = run / FILE
    try:
        return InputFacts.from_json(read_object(path), path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(one_line(error)) from error
