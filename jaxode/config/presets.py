"""Settings of the published experiments, a preset a data set.

`experiments/NAME.py` states the source, the expected result and the time of each.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxode.config.data import DataConfig
from jaxode.config.dataset_names import family
from jaxode.config.model import ModelConfig
from jaxode.config.optim import OptimConfig
from jaxode.config.run import RunConfig


@dataclass(frozen=True)
class Preset:
    """Settings of an experiment, and one line about its models and data."""

    summary: str
    config: RunConfig


def _images(name: str, summary: str, epochs: int) -> Preset:
    return Preset(summary, RunConfig(data=DataConfig(dataset=name), epochs=epochs))


PRESETS = {
    "mnist": _images("mnist", "MNIST: ODENet or ResNet on 60,000 handwritten digits.", 30),
    "fashion_mnist": _images(
        "fashion_mnist", "Fashion-MNIST: ODENet or ResNet on 60,000 pictures of clothing.", 50
    ),
    "qmnist": _images(
        "qmnist",
        "QMNIST: ODENet or ResNet on the reconstructed MNIST, with 60,000 test digits.",
        60,
    ),
    "cifar10": _images(
        "cifar10", "CIFAR-10: ODENet or ResNet on 50,000 colour pictures of 10 kinds.", 100
    ),
    "cifar100": _images(
        "cifar100", "CIFAR-100: ODENet or ResNet on 50,000 colour pictures of 100 kinds.", 100
    ),
    "asl_alphabet": Preset(
        "ASL alphabet: ODENet or ResNet on colour pictures of 29 hand signs.",
        RunConfig(
            model=ModelConfig(stem="eighth"),
            data=DataConfig(dataset="asl_alphabet", crop="none", augment="upright"),
            optim=OptimConfig(optimizer="adam", lr=1e-3, weight_decay=1e-4),
            epochs=60,
            precision="bfloat16",
        ),
    ),
    "folder": Preset(
        "Pictures of your own: --data-dir DIR holds a subfolder for each class.",
        RunConfig(
            model=ModelConfig(stem="eighth"),
            data=DataConfig(dataset="folder", crop="none"),
            optim=OptimConfig(optimizer="adam", lr=1e-3, schedule="cosine"),
            epochs=20,
            batch_size=64,
        ),
    ),
    "tfds:NAME": Preset(
        "A set that TensorFlow Datasets has prepared in array_record format below --data-dir DIR.",
        RunConfig(
            model=ModelConfig(stem="eighth"),
            data=DataConfig(dataset="tfds:NAME", crop="none"),
            optim=OptimConfig(optimizer="adam", lr=1e-3, schedule="cosine"),
            epochs=20,
            batch_size=64,
        ),
    ),
    "iceberg": Preset(
        "Icebergs and ships: three nets on 1,604 radar images of 75x75 pixels, two bands each.",
        RunConfig(
            model=ModelConfig(model="odecnn"),
            data=DataConfig(dataset="iceberg", crop="none"),
            optim=OptimConfig(optimizer="adam", lr=1e-3, schedule="constant"),
            epochs=150,
            batch_size=32,
        ),
    ),
}
"""Presets by the registered name of the data set."""


def preset(dataset: str) -> RunConfig:
    """Settings for a data set: those of its published experiment, or the defaults.

    Args:
      dataset: of PRESETS, or the name of a registered data set.

    Raises:
      ConfigError: there is no data set of this name.

    Example:
      >>> from jaxode.config import preset
      >>> preset("fashion_mnist").epochs
      50
    """
    known = PRESETS.get(family(dataset))
    if known is None:
        return RunConfig(data=DataConfig(dataset=dataset))
    return known.config.replaced(dataset=dataset)
