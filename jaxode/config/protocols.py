"""Protocols of published programs: all their settings under one name, for `--protocol`.

A preset is a data set's published experiment; a protocol is another program's training on one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxode.checks import require
from jaxode.config.run import RunConfig


@dataclass(frozen=True)
class Protocol:
    """The settings of a published program.

    Args:
      name: on the command line.
      source: the program.
      datasets: names of the data sets that it trains on.
      settings: all that the program decides, by the names of `RunConfig.flat`.
    """

    name: str
    source: str
    datasets: tuple[str, ...]
    settings: Mapping[str, Any]


ODENET_MNIST = Protocol(
    "odenet_mnist",
    "odenet_mnist.py, an example of torchdiffeq",
    ("mnist",),
    {
        "model": "odenet",
        "blocks": 1,
        "width": 64,
        "augment_dims": 0,
        "stem": "quarter",
        "downsampling_method": "conv",
        "solver": "dopri5",
        "rtol": 1e-3,
        "atol": 1e-3,
        "stepping": "torchdiffeq",
        "gradient": "tape",
        "regularise": None,
        "crop": "pad",
        "augment": "none",
        "pixels": "unit",
        "drop_last": True,
        "optimizer": "sgd",
        "lr": 0.1,
        "lr_batch": 128,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "schedule": "milestones",
        "milestones": "60,100,140",
        "epochs": 160,
        "batch_size": 128,
        "eval_batch_size": 1000,
        "precision": "float32",
        "train_evaluation": "every",
    },
)

PROTOCOLS = {each.name: each for each in (ODENET_MNIST,)}
"""The protocols by their names."""


def protocol(name: str, config: RunConfig) -> RunConfig:
    """Settings of a run with those of a protocol in their place.

    Args:
      name: of PROTOCOLS.
      config: the settings that the protocol does not decide, its data set among them.

    Raises:
      ConfigError: there is no protocol of this name for the data set.

    Example:
      >>> from jaxode.config import preset, protocol
      >>> config = protocol("odenet_mnist", preset("mnist"))
      >>> config.epochs, config.optim.milestone_epochs, config.data.pixels
      (160, (60, 100, 140), 'unit')
    """
    dataset = config.data.dataset
    known = [each.name for each in PROTOCOLS.values() if dataset in each.datasets]
    allowed = f"one of {', '.join(known)}" if known else f"left out: there is none for {dataset}"
    require(name in known, "protocol", name, allowed)
    return config.replaced(**PROTOCOLS[name].settings)
