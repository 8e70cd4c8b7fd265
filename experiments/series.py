"""Time series at irregular times: latent ODEs, ODE-RNNs, neural CDEs, and discrete networks.

Source: Chen et al. 2018, "Neural Ordinary Differential Equations", section 5 (--data spirals);
  Rubanova et al. 2019, "Latent ODEs for Irregularly-Sampled Time Series" (--data physionet);
  Kidger et al. 2020, "Neural Controlled Differential Equations for Irregular Time Series" (--data
  characters).
Expected: on spirals errors near the noise, 0.1; on PhysioNet, deaths told with an area under the
  ROC curve of about 0.8; letters and vowels told by 95 % and more.
Time: from minutes to an hour on 2 CPU cores.

    python -m experiments.series --data spirals --observed 30 --out runs/series/spirals30

A folder holds NAME_TRAIN.ts and NAME_TEST.ts of the UEA archive, or train.npz and test.npz (times,
values, mask, labels). The best epoch is chosen by validation series, which are held out of the
training ones. Writes a run's directory, series.json, experiment.json and pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.dynamics import command
from experiments.timeseries.config import SeriesConfig

if TYPE_CHECKING:
    from jaxode.runs import Progress


def work(config: SeriesConfig, out: Path, progress: Progress, words: str) -> str:
    """Train, draw and write; returns the last line to print."""
    from experiments.timeseries import training

    return training.train(config, out, progress, words)


def main(argv: Sequence[str] | None = None) -> int:
    """Run this experiment; returns the exit code."""
    return command.main(
        argv,
        name="experiments.series",
        doc=__doc__ or "",
        settings=SeriesConfig,
        out=Path("runs/series"),
        work=work,
    )


if __name__ == "__main__":
    raise SystemExit(main())
