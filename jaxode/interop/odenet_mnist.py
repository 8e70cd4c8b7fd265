"""What torchdiffeq's `odenet_mnist.py` says of a model in the checkpoint that it saves.

It saves `{"state_dict": …, "args": args}`, whose `args` are its flags.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxode.config import PROTOCOLS
from jaxode.interop.pytorch_layout import InteropError

PROTOCOL = "odenet_mnist"

NETWORKS = ("odenet", "resnet")

COPIED = {
    "lr": "lr",
    "batch_size": "batch_size",
    "test_batch_size": "eval_batch_size",
    "nepochs": "epochs",
    "downsampling_method": "downsampling_method",
}
"""Flags whose value is that of a setting, and its name."""


def is_of_odenet_mnist(flags: Mapping[str, Any] | None) -> bool:
    """Whether a checkpoint's `args` are flags of `odenet_mnist.py`, or of a program made of it."""
    return flags is not None and flags.get("network") in NETWORKS and "tol" in flags


def settings_of(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the run that `odenet_mnist.py` was with these flags, by name.

    Where a flag is missing, as from older versions of the script, its default counts.

    Args:
      flags: `args` of the checkpoint: network, tol, adjoint, downsampling_method, nepochs,
        data_aug, lr, batch_size, test_batch_size.

    Returns:
      settings for `RunConfig.replaced`, `dataset` among them; the values are not checked.

    Raises:
      InteropError: a flag that decides how the model is used is no such value.

    Example:
      >>> from jaxode.interop.odenet_mnist import settings_of
      >>> found = settings_of({"network": "odenet", "tol": 1e-5, "adjoint": True})
      >>> found["rtol"], found["gradient"], found["pixels"]
      (1e-05, 'backsolve', 'unit')
    """
    for name in ("adjoint", "data_aug"):
        if not isinstance(flags.get(name, False), (bool, int)):
            raise InteropError(f"its args: {name} must be true or false, got {flags[name]!r}")
    found = {"dataset": "mnist", **PROTOCOLS[PROTOCOL].settings, "model": flags["network"]}
    for name in ("blocks", "downsampling_method"):  # those of the weights, unless a flag says it
        del found[name]
    found["rtol"] = found["atol"] = flags["tol"]
    found["gradient"] = "backsolve" if flags.get("adjoint", False) else "tape"
    found["crop"] = "pad" if flags.get("data_aug", True) else "none"
    return found | {name: flags[flag] for flag, name in COPIED.items() if flag in flags}
