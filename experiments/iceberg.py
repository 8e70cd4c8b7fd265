r"""Icebergs and ships: three nets on 1,604 radar images of 75x75 pixels, two bands each.

Source: B. Thind, "A Gentle Introduction to Neural Differential Equations", Simon Fraser University;
  images of Kaggle's Statoil/C-CORE challenge, 1,300 for training and 304 for testing; 150 epochs.
Expected: dense net 54 %, residual CNN over 98 %; the row of a neural ODE was left empty.

    python -m experiments.iceberg --data-dir DIR     # DIR holds train.json
    python -m experiments.iceberg --data-dir DIR --model cnn     # the residual CNN
    python -m experiments.iceberg --data-dir DIR --model dense --optimizer sgd --lr 0.01 \
        --momentum 0

The defaults are the published protocol: Adam at a fixed 1e-3, 150 epochs, batches of 32 (not
published); --split-seed draws the images for testing. The CNN sees band 1, band 2 and their mean
(with --angle also the incidence angle), the dense net band 1 over its largest absolute value.
odecnn is the residual CNN with one ODE block in place of its two residual blocks, of 4.8 million
parameters where that has 5.6. train.json is read once, into DIR/prepared.

    python -m scripts.iceberg_file --out DIR/train.json   # a made-up file to try it
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxode.cli import train
from jaxode.config import preset

PRESET = preset("iceberg")


def main(argv: Sequence[str] | None = None) -> int:
    """Run this experiment; returns the exit code."""
    return train.main(argv, preset=PRESET, doc=__doc__ or "", prog="python -m experiments.iceberg")


if __name__ == "__main__":
    raise SystemExit(main())
