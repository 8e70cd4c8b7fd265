"""ASL alphabet: ODENet or ResNet on colour pictures of 29 hand signs.

The classes are A to Z, del, nothing and space.

Source: S. Mukherjee, S. Sarkar, "Rule Discovery using Neural ODEs – ASL Classification"; pictures
  of Kaggle's grassknotted/asl-alphabet, one folder a class.
Expected: no accuracy was published. Mukherjee and Sarkar's learning rate of 1e-14 changes nothing;
  here it is 1e-3.
Time: 19 s of training an epoch of 1,160 pictures on one core of a CPU, 11 s for ResNet 6
  (docs/results).

    python -m experiments.asl_alphabet --data-dir DIR                    # the zip or its folders
    python -m experiments.asl_alphabet --data-dir DIR --classes 10       # A to J
    python -m experiments.asl_alphabet --data-dir DIR --model resnet --blocks 6
    python -m experiments.asl_alphabet --data-dir DIR --augment-dims 16  # an augmented ODENet
    python -m experiments.asl_alphabet --data-dir DIR --augment all      # all nine augmentations

The defaults are Mukherjee and Sarkar's: 64x64 pixels, ImageNet's mean and deviation, batches of
128, Adam with weight decay 1e-4, learning rate divided by ten after every 0.3 of the epochs,
cross-entropy, convolutions in 16 bits, all devices; a fifth of every class for testing, drawn by
--split-seed. Two differ: the learning rate, and --augment upright, which leaves out transpose and
flips, because they turn some signs into others (--augment all has them). The stem is one
convolution deeper than for 28x28 pixels, so that the ODE is solved on maps of 7x7. A CPU is quicker
with --precision float32. Pictures are decoded once, into DIR/prepared.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxode.cli import train
from jaxode.config import preset

PRESET = preset("asl_alphabet")


def main(argv: Sequence[str] | None = None) -> int:
    """Run this experiment; returns the exit code."""
    return train.main(
        argv, preset=PRESET, doc=__doc__ or "", prog="python -m experiments.asl_alphabet"
    )


if __name__ == "__main__":
    raise SystemExit(main())
