"""CIFAR-100: ODENet or ResNet on 50,000 colour pictures of 100 kinds.

Source: Gładzik 2019, the CIFAR-100 runs (100 epochs, and 200; ResNet 4, 8; ODENet, SGD and Adam).
Expected: ODENets converge to a lower limit than ResNets.
Time: in Gładzik 2019 (PyTorch, 4-core CPU) 279, 504 s an epoch; ODENet 1793 s with the adjoint,
  1411 s without.

    python -m experiments.cifar100 --solver dopri5

The defaults are the protocol: ODENet of one block, dopri5 with rtol = atol = 1e-3, batches of 128,
SGD with momentum 0.9, learning rate 0.1 divided by ten after every 0.3 of the epochs,
cross-entropy; random 28x28 crops for training. No sample of this set is bundled: it needs the
original files, or network.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxode.cli import train
from jaxode.config import preset

PRESET = preset("cifar100")


def main(argv: Sequence[str] | None = None) -> int:
    """Run this experiment; returns the exit code."""
    return train.main(argv, preset=PRESET, doc=__doc__ or "", prog="python -m experiments.cifar100")


if __name__ == "__main__":
    raise SystemExit(main())
