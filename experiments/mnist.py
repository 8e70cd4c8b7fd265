"""MNIST: ODENet or ResNet on 60,000 handwritten digits.

Source: Gładzik 2019, the MNIST runs (30 epochs, with and without the adjoint); Chen et al. 2018,
  table 1.
Expected: 99 % on the training images, 26 function evaluations a forward solve.
Time: 2270 s an epoch with the adjoint, 1826 s without, in Gładzik 2019 (PyTorch, 4-core CPU).

    python -m experiments.mnist --solver dopri5

The defaults are the protocol: ODENet of one block, dopri5 with rtol = atol = 1e-3, batches of 128,
SGD with momentum 0.9, learning rate 0.1 divided by ten after every 0.3 of the epochs,
cross-entropy; random 28x28 crops for training.

    python -m experiments.mnist --protocol odenet_mnist

trains as odenet_mnist.py, the script of Chen et al. in torchdiffeq: pixels from 0 to 1, shifts of
up to 4 pixels, 160 epochs with the rate divided by ten after 60, 100 and 140, full batches alone,
evaluation in batches of 1000, torchdiffeq's steps. Its flags are --model odenet|resnet (--network),
--rtol and --atol (--tol), --gradient backsolve (--adjoint), --downsampling-method conv|res, --crop
none (--data_aug False), --epochs, --lr, --batch-size and --eval-batch-size. Only its evaluations
are elsewhere: after the first step of an epoch there, after the last here.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxode.cli import train
from jaxode.config import preset

PRESET = preset("mnist")


def main(argv: Sequence[str] | None = None) -> int:
    """Run this experiment; returns the exit code."""
    return train.main(argv, preset=PRESET, doc=__doc__ or "", prog="python -m experiments.mnist")


if __name__ == "__main__":
    raise SystemExit(main())
