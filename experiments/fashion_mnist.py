"""Fashion-MNIST: ODENet or ResNet on 60,000 pictures of clothing.

Source: Gładzik 2019, the Fashion-MNIST runs (50 epochs; ResNet 2, 4, 8; ODENet of 1 and 2 blocks,
  both gradients).
Expected: over 90 % on the training images for all; with 2 blocks 20 function evaluations a block,
  no accuracy gained.
Time: in Gładzik 2019 (PyTorch, 4-core CPU) 320, 352, 513 s an epoch; ODENet 2453 s with the
  adjoint, 1887 s without.

    python -m experiments.fashion_mnist --solver dopri5

The defaults are the protocol: ODENet of one block, dopri5 with rtol = atol = 1e-3, batches of 128,
SGD with momentum 0.9, learning rate 0.1 divided by ten after every 0.3 of the epochs,
cross-entropy; random 28x28 crops for training.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxode.cli import train
from jaxode.config import preset

PRESET = preset("fashion_mnist")


def main(argv: Sequence[str] | None = None) -> int:
    """Run this experiment; returns the exit code."""
    return train.main(
        argv, preset=PRESET, doc=__doc__ or "", prog="python -m experiments.fashion_mnist"
    )


if __name__ == "__main__":
    raise SystemExit(main())
