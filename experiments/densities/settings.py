"""From the flags of density estimation to the settings of a run."""

from __future__ import annotations

import dataclasses
from typing import Any

from experiments.densities.config import OF_IMAGES, PLANE, DensityConfig
from experiments.run_settings import run_settings
from jaxode.config import RunConfig


def recorded(config: DensityConfig) -> dict[str, Any]:
    """The settings of a run of points as density.json has them: with defaults, those of images out.

    So they are equal to those of runs from before there were flows of images.
    """
    found = dataclasses.asdict(config)
    for name in OF_IMAGES:
        del found[name]
    usual = {"field": "hypernetwork", "activation": "tanh", "divergence": "exact"}
    return {name: usual.get(name) if value is None else value for name, value in found.items()}


def run_config(config: DensityConfig) -> RunConfig:
    """Settings of solve, data, optimizer and length. Raises ConfigError."""
    return run_settings(config, feed="streamed" if config.target in PLANE else "auto")
