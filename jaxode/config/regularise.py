"""Regularisers of ODE blocks: their names and weights, and the text that a setting holds.

Standard library only.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

from jaxode.checks import Range, closest, require, shown

WEIGHTS = Range(0, 1e6)

NUMBER = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)

MEANT = {
    "rnode": "kinetic",
    "energy": "kinetic",
    "kinetic_energy": "kinetic",
    "frobenius": "jacobian",
    "jacobian_norm": "jacobian",
    "end_time": "steer",
    "decay": "weight_decay",
    "l2": "weight_decay",
    "ernode": "error",
    "errors": "error",
    "error_estimate": "error",
}
"""What the regularisers are called elsewhere, for suggestions."""


@dataclass(frozen=True)
class Regularisers:
    """What is added to the loss in training for each ODE block; 0 for nothing.

    Args:
      kinetic: weight of the mean over samples of ∫ ||f(t, z)||² dt / D, with D the numbers of a
        sample's state (Finlay, Jacobsen, Nurbekyan and Oberman 2020, "How to Train Your Neural
        ODE: the World of Jacobian and Kinetic Regularization").
      jacobian: weight of the mean over samples of ∫ ||εᵀ ∂f/∂z||² dt / D, with one Gaussian ε a
        solve, whose mean is the squared Frobenius norm of the Jacobian (the same paper).
      steer: b; the end time of a training solve is drawn uniformly from (t1 - b, t1 + b), once a
        batch (Ghosh, Behl, Dupont, Torr and Namboodiri 2020, "STEER").
      weight_decay: weight of half the sum of squares of the field's weights: its parameters with
        two or more axes, which biases and the scales of norms are not.
      error: weight of the mean over samples of Σ |h| ||E|| over the accepted steps, with h a step's
        size, E the solver's estimate of its error and ||E|| the root mean square over a sample's
        numbers (Pal, Ma, Shah and Rackauckas 2021, "Opening the Blackbox: Accelerating Neural
        Differential Equations by Regularizing Internal Solver Heuristics", their R_E; their code
        divides E by the tolerances, here it is in the state's units).

    Example:
      >>> from jaxode.config import Regularisers
      >>> Regularisers.read("jacobian=0.02, kinetic=0.01")
      Regularisers(kinetic=0.01, jacobian=0.02, steer=0.0, weight_decay=0.0, error=0.0)
    """

    kinetic: float = 0.0
    jacobian: float = 0.0
    steer: float = 0.0
    weight_decay: float = 0.0
    error: float = 0.0

    def __bool__(self) -> bool:
        """Whether there is any."""
        return any(dataclasses.astuple(self))

    @property
    def integrals(self) -> tuple[str, ...]:
        """Names of those that are integrals along the solution."""
        return tuple(name for name in ("kinetic", "jacobian") if getattr(self, name))

    @property
    def text(self) -> str | None:
        """NAME=WEIGHT joined by commas, in the order of the names; None if there is none."""
        weights = dataclasses.asdict(self).items()
        return ",".join(f"{name}={weight!r}" for name, weight in weights if weight) or None

    @classmethod
    def read(cls, text: str | None) -> Regularisers:
        """The regularisers of a text.

        Args:
          text: NAME=WEIGHT, joined by commas; None for none.

        Raises:
          ConfigError: an unknown name, one that is given twice, or a weight that is no number from
            0 to 10⁶.
        """
        if text is None:
            return cls()
        names = [field.name for field in dataclasses.fields(cls)]
        found: dict[str, float] = {}
        for part in text.split(","):
            word, _, number = (piece.strip() for piece in part.partition("="))
            name = word.replace("-", "_")
            close = None if name in names else closest(name, names, MEANT)
            hint = f" (did you mean {close}?)" if close else ""
            allowed = f"NAME=WEIGHT joined by commas, with NAME one of {', '.join(names)}{hint}"
            require(name in names, "regularise", text, allowed)
            good = NUMBER.fullmatch(number) is not None and float(number) in WEIGHTS
            require(good, "regularise", text, f"{name}=WEIGHT with a number {WEIGHTS}")
            require(name not in found, "regularise", text, f"one weight for {shown(name)}")
            found[name] = float(number)
        return cls(**found)
