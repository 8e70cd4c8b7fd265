"""QMNIST: ODENet or ResNet on the reconstructed MNIST, with 60,000 test digits.

Source: Gładzik 2019, the QMNIST runs (60 epochs, with and without the adjoint).
Expected: 99.5 % on the training images, 26 function evaluations a forward solve.
Time: 2470 s an epoch with the adjoint, 1883 s without, in Gładzik 2019 (PyTorch, 4-core CPU).

    python -m experiments.qmnist --solver dopri5

The defaults are the protocol: ODENet of one block, dopri5 with rtol = atol = 1e-3, batches of 128,
SGD with momentum 0.9, learning rate 0.1 divided by ten after every 0.3 of the epochs,
cross-entropy; random 28x28 crops for training. No sample of this set is bundled: it needs the
original files, or network.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxode.cli import train
from jaxode.config import preset

PRESET = preset("qmnist")


def main(argv: Sequence[str] | None = None) -> int:
    """Run this experiment; returns the exit code."""
    return train.main(argv, preset=PRESET, doc=__doc__ or "", prog="python -m experiments.qmnist")


if __name__ == "__main__":
    raise SystemExit(main())
