"""What a check found: errors by layer and by parameter, and where the two sides part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxode.parity.findings import Comparison, FirstDifference, SolveComparison
from jaxode.parity.layer_errors import LayerError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class ParityReport:
    """What `jaxode.parity.check` found.

    `str()` is a table for the terminal.

    Args:
      dtype: in which both sides computed.
      layout: of the nnx module's inputs beside PyTorch's: "same", "channels_last" or "batch_first".
      train: the mode: True, False, or None for the modes that the modules had.
      comparisons: weights, outputs, gradients and running statistics.
      layers: errors of the layers' outputs, in the order of PyTorch's calls.
      solves: of ODEs.
      only_torch: tensors without a counterpart, by name, and their shapes.
      only_nnx: variables without a counterpart, likewise.
      links: for each variable of the nnx module its tensors, the rearrangement, and how it was
        found: by "name", "order" or "mapping".
      first_difference: the first layer whose output differs; None if every output agrees.
      remarks: what else there is to say.
      failure: the error that the nnx module raised, or nothing.
      layer_limit: up to which the layers' outputs agree.

    Example:
      >>> from jaxode.parity import ParityReport
      >>> ParityReport("float64", "same", False).passed
      True
    """

    dtype: str
    layout: str
    train: bool | None
    comparisons: Sequence[Comparison] = ()
    layers: Sequence[LayerError] = ()
    solves: Sequence[SolveComparison] = ()
    only_torch: dict[str, Shape] = field(default_factory=dict)
    only_nnx: dict[str, Shape] = field(default_factory=dict)
    links: Sequence[tuple[str, str, str, str]] = ()
    first_difference: FirstDifference | None = None
    remarks: Sequence[str] = ()
    failure: str = ""
    layer_limit: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether nothing differs and every weight has its counterpart.

        The layers' outputs are for diagnosis: what they are made of does not count.
        """
        judged = (*self.comparisons, *self.solves)
        left = self.only_torch or self.only_nnx or self.failure
        return not left and all(each.passed for each in judged)

    @property
    def first_gradient_difference(self) -> Comparison | None:
        """The gradient that is the first to differ on the way back, if the outputs agree."""
        if any(not c.passed for c in self.comparisons if c.kind == "output"):
            return None
        wrong = [c for c in self.comparisons if c.kind == "gradient" and not c.passed]
        return wrong[-1] if wrong else None

    def largest(self, kind: str) -> float | None:
        """The largest error of a kind of comparisons; None if there is none."""
        return max((c.error for c in self.comparisons if c.kind == kind), default=None)

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain numbers, texts, lists and dictionaries, fit for JSON.

        An error of other shapes or of numbers that are not finite is None.
        """
        first, back = self.first_difference, self.first_gradient_difference
        return {
            "passed": self.passed,
            "dtype": self.dtype,
            "layout": self.layout,
            "train": self.train,
            "comparisons": [
                {**_plain(vars(each)), "passed": each.passed} for each in self.comparisons
            ],
            "layers": [_plain(vars(each)) for each in self.layers],
            "layer_limit": self.layer_limit,
            "solves": [
                {
                    "torch": vars(each.theirs),
                    "nnx": None if each.ours is None else vars(each.ours),
                    "passed": each.passed,
                }
                for each in self.solves
            ],
            "only_torch": {name: list(shape) for name, shape in self.only_torch.items()},
            "only_nnx": {name: list(shape) for name, shape in self.only_nnx.items()},
            "links": [
                dict(zip(("torch", "nnx", "layout", "how"), link, strict=True))
                for link in self.links
            ],
            "first_difference": None if first is None else _plain(vars(first)),
            "first_gradient_difference": None if back is None else _plain(vars(back)),
            "remarks": list(self.remarks),
            "failure": self.failure,
        }

    def __str__(self) -> str:
        """The table."""
        from jaxode.parity.table import table

        return table(self)

    def save_picture(self, path: str | Path) -> None:
        """Write a PNG of the errors by layer and by parameter.

        Args:
          path: of the file; replaced if it exists.

        Raises:
          OSError: it cannot be written.
        """
        Path(path).write_bytes(self.picture())

    def picture(self) -> bytes:
        """The bytes of that PNG."""
        from jaxode.plots import parity

        layers = [(each.theirs or "output", each.error) for each in self.layers]
        gradients = [
            (each.theirs, each.error)
            for each in self.comparisons
            if each.kind in ("gradient", "input gradient")
        ]
        limits = [each.limit for each in self.comparisons if each.kind == "gradient"]
        panels = [("layers' outputs", layers, self.layer_limit)]
        if gradients:
            panels.append(("gradients", gradients, limits[0] if limits else self.layer_limit))
        first = self.first_difference
        where = f", first in {first.theirs or 'the output'}" if first and not self.passed else ""
        return parity.draw(panels, "equal" if self.passed else f"not equal{where}")


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """With None for what JSON has no number for."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
