"""The detector that the settings ask for, described."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.description import description
from experiments.detections.config import DetectionConfig
from experiments.detections.data import problem
from experiments.detections.training import model_of
from experiments.run_settings import run_settings
from jaxode.config import KernelsName
from jaxode.models import DetectorInputs
from jaxode.models.detector_config import create_detector
from jaxode.nn.kernels import choose_kernels

BCCD_CLASSES = 3
"""Platelets, red and white blood cells, of a data set that is not at hand."""


def described(config: DetectionConfig) -> dict[str, Any]:
    """What --describe prints. Raises ConfigError, DataError.

    Args:
      config: without a folder, of BCCD.
    """
    classes = BCCD_CLASSES
    if config.data_dir is not None or config.data != "bccd":
        classes = len(problem(config).splits.class_names)
    sizes, solve = model_of(config, classes), run_settings(config).solve

    def build(kernels: KernelsName) -> nnx.Module:
        chosen = choose_kernels(requested=kernels)
        return create_detector(sizes, solve, rngs=nnx.Rngs(config.seed), kernels=chosen)

    shape = (1, config.rows, config.columns, 3)
    images = jax.random.normal(jax.random.key(config.seed), shape)
    extents = jnp.array([[config.rows, config.columns]], jnp.float32)
    return description(sizes, build, DetectorInputs(images, extents))
