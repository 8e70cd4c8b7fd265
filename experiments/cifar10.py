r"""CIFAR-10: ODENet or ResNet on 50,000 colour pictures of 10 kinds.

Source: Gładzik 2019, the CIFAR-10 runs (100 epochs; ResNet 4, 8; ODENet with and without the
  adjoint).
Expected: ODENets clearly worse than ResNets; 26 function evaluations a forward solve.
Time: in Gładzik 2019 (PyTorch, 4-core CPU) 261, 484 s an epoch; ODENet 1570 s with the adjoint,
  1361 s without.

    python -m experiments.cifar10 --solver dopri5

The defaults are the protocol: ODENet of one block, dopri5 with rtol = atol = 1e-3, batches of 128,
SGD with momentum 0.9, learning rate 0.1 divided by ten after every 0.3 of the epochs,
cross-entropy; random 28x28 crops for training.

Gładzik's tolerance runs (Adam, constant 1e-3, 25 epochs; 34 and 52 function evaluations):

    python -m experiments.cifar10 --optimizer adam --schedule constant --epochs 25 \
        --rtol 1e-4 --atol 1e-4                                          # and with 1e-5 both
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxode.cli import train
from jaxode.config import preset

PRESET = preset("cifar10")


def main(argv: Sequence[str] | None = None) -> int:
    """Run this experiment; returns the exit code."""
    return train.main(argv, preset=PRESET, doc=__doc__ or "", prog="python -m experiments.cifar10")


if __name__ == "__main__":
    raise SystemExit(main())
