"""What is recorded of each call of a layer, in both frameworks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


class Call(NamedTuple):
    """A call of a layer.

    Args:
      number: calls that had ended before.
      inputs: floating-point arrays among its positional arguments.
      outputs: floating-point arrays among what it returned.
      in_solve: whether an ODE solver made it.
    """

    number: int
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]
    in_solve: bool = False


@dataclass
class Calls:
    """Calls by the layers' dotted names, and those names in the order of their first calls."""

    by_name: dict[str, list[Call]] = field(default_factory=dict)
    count: int = 0

    def add(
        self,
        name: str,
        inputs: list[np.ndarray],
        outputs: list[np.ndarray],
        in_solve: bool = False,
    ) -> None:
        """Append a call that has just ended."""
        self.by_name.setdefault(name, []).append(Call(self.count, inputs, outputs, in_solve))
        self.count += 1


@dataclass(frozen=True)
class Solve:
    """What a solve cost.

    Args:
      name: of the vector field's module or of the ODE block.
      evaluations: of the vector field.
      accepted: steps; None where they are not known.
      rejected: steps; likewise.
      backward: evaluations of the adjoint's solve; None without one, or where not known.

    Example:
      >>> from jaxode.parity import Solve
      >>> Solve("odefunc", 26, 4, 0).evaluations
      26
    """

    name: str
    evaluations: int
    accepted: int | None = None
    rejected: int | None = None
    backward: int | None = None
