"""What a parity report is made of: compared arrays, compared solves, and where two runs part."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxode.parity.calls import Solve


@dataclass(frozen=True)
class Comparison:
    """Two arrays, compared.

    Args:
      kind: "weight", "output", "input gradient", "gradient" or "state" (running statistics after
        the call).
      theirs: PyTorch's name.
      ours: the nnx module's name.
      error: the relative error ‖ours − theirs‖₂ / ‖theirs‖₂; infinity for other shapes.
      limit: the largest that passes.
      note: what there is to say.

    Example:
      >>> from jaxode.parity import Comparison
      >>> Comparison("output", "output", "output", 3e-16, 1e-11).passed
      True
    """

    kind: str
    theirs: str
    ours: str
    error: float
    limit: float
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the error is within its limit."""
        return self.error <= self.limit


@dataclass(frozen=True)
class SolveComparison:
    """An ODE solve on both sides.

    Args:
      theirs: of torchdiffeq.
      ours: of the nnx module's ODE block; None where nothing is known.

    Example:
      >>> from jaxode.parity import Solve, SolveComparison
      >>> SolveComparison(Solve("odefunc", 26, 4, 0), Solve("block", 32, 5, 0)).passed
      False
    """

    theirs: Solve
    ours: Solve | None

    @property
    def passed(self) -> bool:
        """Whether steps and evaluations, forward and backward, are equal, or cannot be compared."""
        if self.ours is None:
            return True
        both = (
            (self.theirs.evaluations, self.ours.evaluations),
            (self.theirs.accepted, self.ours.accepted),
            (self.theirs.rejected, self.ours.rejected),
            (self.theirs.backward, self.ours.backward),
        )
        return all(a == b for a, b in both if a is not None and b is not None)


@dataclass(frozen=True)
class FirstDifference:
    """Where the two sides part.

    Args:
      theirs: PyTorch's name of the first layer whose output differs; empty for the whole module.
      ours: the nnx module's name of it.
      error: relative error of its output.
      after: PyTorch's name of the last layer before it that agrees; empty if there is none.
      inputs_differ: whether its inputs differ already, so that the cause is between the two; None
        where they cannot be compared.
      note: what there is to say.

    Example:
      >>> from jaxode.parity import FirstDifference
      >>> print(FirstDifference("fc2", "fc2", 2e-4, "fc1", inputs_differ=False))
      fc2 (fc2), error 2.0e-04, and its inputs agree: the layer itself differs
    """

    theirs: str
    ours: str
    error: float
    after: str
    inputs_differ: bool | None
    note: str = ""

    def __str__(self) -> str:
        """One sentence or two."""
        name = f"{self.theirs} ({self.ours})" if self.theirs else "the whole module's output"
        size = "another shape" if math.isinf(self.error) else f"error {self.error:.1e}"
        if self.inputs_differ:
            since = self.after or "the inputs"
            cause = f", and its inputs differ already: what is between {since} and it differs"
        elif self.inputs_differ is False and self.theirs:
            cause = ", and its inputs agree: the layer itself differs"
        else:
            cause = f"; {self.after} before it agrees" if self.after else ""
        return f"{name}, {size}{cause}{'; ' + self.note if self.note else ''}"
