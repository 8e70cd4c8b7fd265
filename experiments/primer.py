"""A primer with pictures.

Euler's method, solvers against an exact answer, a phase portrait, residual networks.

Source: Verhulst (1838) for his equation; He et al. (2016) for residual blocks, and Chen et al.
  (2018), equations 1 and 2, for their relation to Euler's method; B. Thind, "A Gentle Introduction
  to Neural Differential Equations", Simon Fraser University, for the examples.
Expected: 1, 2, 4, 8, 16 by Euler's method on y' = y; errors that fall at each solver's order; N
  residual blocks equal to N steps of Euler's method to rounding, and half as far from the flow for
  twice as many.
Time: about twenty seconds on 2 CPU cores.

    python -m experiments.primer --out runs/primer

Every number comes from the library's own solves, in float64. Writes primer.md, primer.json and a
picture a topic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.dynamics import command

if TYPE_CHECKING:
    from jaxode.runs import Progress


@dataclass(frozen=True)
class PrimerConfig:
    """Nothing can be set: the numbers are the lesson."""


def work(config: PrimerConfig, out: Path, progress: Progress, words: str) -> str:
    """Solve, draw and write; returns the last line to print."""
    from experiments.dynamics import primer_report

    return primer_report.write(out, progress, words)


def main(argv: Sequence[str] | None = None) -> int:
    """Run this experiment; returns the exit code."""
    return command.main(
        argv,
        name="experiments.primer",
        doc=__doc__ or "",
        settings=PrimerConfig,
        out=Path("runs/primer"),
        work=work,
    )


if __name__ == "__main__":
    raise SystemExit(main())
