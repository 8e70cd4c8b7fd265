"""Objects and their boxes: Faster R-CNN with an ODENet as its backbone.

Source: Ren et al. 2015, "Faster R-CNN"; Chen et al. 2018, "Neural Ordinary Differential
  Equations", for the block in the place of residual ones.
Expected: on BCCD's blood cells, from scratch, a mean average precision of 0.8 at overlap 0.5.
Time: an hour on 2 CPU cores.

    python -m experiments.detection --data-dir BCCD --out runs/detection/bccd

Writes a run's directory, detector.json, pictures.json, experiment.json, the curves of precision
over recall, and the best, the worst and the missed of the test images.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.detections.config import DetectionConfig
from experiments.dynamics import command

if TYPE_CHECKING:
    from jaxode.runs import Progress


def work(config: DetectionConfig, out: Path, progress: Progress, words: str) -> str:
    """Train, draw and write; returns the last line to print."""
    from experiments.detections import training

    return training.train(config, out, progress, words)


def described(config: DetectionConfig) -> dict[str, Any]:
    """What --describe prints."""
    from experiments.detections import description

    return description.described(config)


def main(argv: Sequence[str] | None = None) -> int:
    """Run this experiment; returns the exit code."""
    return command.main(
        argv,
        name="experiments.detection",
        doc=__doc__ or "",
        settings=DetectionConfig,
        out=Path("runs/detection"),
        work=work,
        describe=described,
    )


if __name__ == "__main__":
    raise SystemExit(main())
