"""Crossing trajectories: a neural ODE on a line that has to map −1 to 1 and 1 to −1.

Source: Dupont, Doucet and Teh (2019), "Augmented Neural ODEs", section 3.
Expected: the exact flow keeps its paths in order and ends near loss 1, both points at 0; Euler's
  method with few large steps jumps over the other path and ends near 0, but the exact flow of the
  field that it trained does not; with one dimension more the exact flow ends near 0.
Time: about half a minute on 2 CPU cores.

    python -m experiments.crossing --out runs/crossing

Trains three small fields f(t, z) from one seed, each with the solver named, and solves the one
trained with Euler again with tight tolerances and with more steps. Writes crossing.png,
crossing.json and crossing.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.dynamics import command
from experiments.dynamics.crossing_config import CrossingConfig

if TYPE_CHECKING:
    from jaxode.runs import Progress


def work(config: CrossingConfig, out: Path, progress: Progress, words: str) -> str:
    """Train, draw and write; returns the last lines to print."""
    from experiments.dynamics import crossing_report
    from experiments.dynamics.crossing_cases import study

    return crossing_report.write(study(config, progress), config, out, words)


def main(argv: Sequence[str] | None = None) -> int:
    """Run this experiment; returns the exit code."""
    return command.main(
        argv,
        name="experiments.crossing",
        doc=__doc__ or "",
        settings=CrossingConfig,
        out=Path("runs/crossing"),
        work=work,
    )


if __name__ == "__main__":
    raise SystemExit(main())
