"""Depth from one picture, with ODE blocks in the encoder in place of VGG or residual blocks.

Source: Eigen and Fergus 2015, "Predicting Depth, Surface Normals and Semantic Labels" (VGG);
  Laina et al. 2016, "Deeper Depth Prediction with Fully Convolutional Residual Networks" (berHu,
  augmentation); Chen et al. 2018, "Neural Ordinary Differential Equations" (the ODE).
Expected: on the 795 training and 654 test pictures of NYU Depth v2 at a quarter of their sides,
  from scratch: the aim is a relative error of at most 0.30, where the training pictures' geometric
  mean has 0.357.
Time: an epoch takes about a minute of one CPU core with --solver rk4 --step-size 0.5.

    python -m experiments.depth --data nyuv2 --data-dir DIR --encoder odenet --out runs/depth/odenet

A folder holds rgb/NAME.jpg and depth/NAME.png for each pair, and splits.json, or train/ and test/
with such folders, or neither. Grey pictures of depth are in millimetres unless --per-metre is
given, 0 being unknown; .npy maps are in metres. Writes a run's directory, depth.json,
experiment.json, best.png and worst.png.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.depths.config import DepthConfig
from experiments.dynamics import command

if TYPE_CHECKING:
    from jaxode.runs import Progress


def work(config: DepthConfig, out: Path, progress: Progress, words: str) -> str:
    """Train, draw and write; returns the last line to print."""
    from experiments.depths import training

    return training.train(config, out, progress, words)


def described(config: DepthConfig) -> dict[str, Any]:
    """What --describe prints."""
    from experiments.depths import description

    return description.described(config)


def main(argv: Sequence[str] | None = None) -> int:
    """Run this experiment; returns the exit code."""
    return command.main(
        argv,
        name="experiments.depth",
        doc=__doc__ or "",
        settings=DepthConfig,
        out=Path("runs/depth"),
        work=work,
        describe=described,
    )


if __name__ == "__main__":
    raise SystemExit(main())
