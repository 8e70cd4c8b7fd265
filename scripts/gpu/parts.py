"""The parts of the check in order of worth, and one part run in this process."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jaxode.config import GRADIENT_FACTS
from scripts.gpu.row import Row, Size


@dataclass(frozen=True)
class Part:
    """Something that runs in a process of its own.

    Attributes:
      name: unique; also that of its log.
      module: of this package, whose `measure(argument, size, out)` yields the part's rows.
      argument: what the module is to measure.
      timed: whether it measures time, and so runs alone.
      seconds: most that it may take of ten minutes; of fewer minutes a share as large.
    """

    name: str
    module: str
    argument: str = ""
    timed: bool = False
    seconds: float = 200

    def rows(self, size: Size, out: Path) -> Iterator[Row]:
        """Measure, in this process."""
        module = importlib.import_module(f"scripts.gpu.{self.module}")
        return module.measure(self.argument, size, out)


PARTS = (
    *(Part(f"gradient {mode}", "gradient_modes", mode) for mode in GRADIENT_FACTS),
    Part("parity", "parity_cells"),
    Part("devices jit", "devices", "jit"),
    Part("devices pmap", "devices", "pmap"),
    Part("speed", "speed", timed=True, seconds=180),
    Part("startup", "startup", timed=True, seconds=60),
)
"""Those that only check run first, side by side; what is left of the time goes into a training."""
