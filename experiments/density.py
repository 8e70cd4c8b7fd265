"""Densities by continuous normalizing flows, trained by maximum likelihood.

Source: Chen et al. 2018, "Neural Ordinary Differential Equations", section 4, with the settings of
  torchdiffeq's examples/cnf.py (the defaults); Grathwohl et al. 2019, "FFJORD" (--field
  concatsquash).
Expected: a test log-likelihood near the negative entropy of the target, which no model passes but
  for chance; for red_wine and white_wine above a Gaussian's, which is printed too. Of mnist,
  FFJORD publishes 0.99 bits per dimension (several scales), as recalled.
Time: some minutes on 2 CPU cores; of images hours.

    python -m experiments.density --target circles --out runs/density/circles

Targets in the plane are drawn anew in every step. Writes a run's directory, flow.json, density.json
and, in the plane, density.png, flow.gif and likelihood_nfe.png; of images image_flow.json and
samples.png. `jaxode sample RUN` draws points of the trained density.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.densities.config import DensityConfig
from experiments.dynamics import command

if TYPE_CHECKING:
    from jaxode.runs import Progress


def work(config: DensityConfig, out: Path, progress: Progress, words: str) -> str:
    """Train, draw and write; returns the last line to print."""
    from experiments.densities import training

    return training.train(config, out, progress, words)


def main(argv: Sequence[str] | None = None) -> int:
    """Run this experiment; returns the exit code."""
    return command.main(
        argv,
        name="experiments.density",
        doc=__doc__ or "",
        settings=DensityConfig,
        out=Path("runs/density"),
        work=work,
    )


if __name__ == "__main__":
    raise SystemExit(main())
