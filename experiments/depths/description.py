"""The model of depth that the settings ask for, described."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx

from experiments.depths.config import NYU, DepthConfig
from experiments.depths.data import problem
from experiments.depths.training import model_of, sizes_of
from experiments.description import description
from experiments.run_settings import run_settings
from jaxode.config import KernelsName
from jaxode.models.depth_config import DepthModelConfig, create_depth_model

NYU_SIZE = (120, 160)
"""Height and width of the pictures, of a data set that is not at hand."""


def described(config: DepthConfig) -> dict[str, Any]:
    """What --describe prints. Raises ConfigError, DataError.

    Args:
      config: without a folder, of NYU Depth v2 at a quarter of its sides.
    """
    sizes, solve = _sizes(config), run_settings(config).solve

    def build(kernels: KernelsName) -> nnx.Module:
        return create_depth_model(sizes, solve, nnx.Rngs(config.seed), kernels=kernels)

    shape = (1, sizes.height, sizes.columns, 3)
    return description(sizes, build, jax.random.normal(jax.random.key(config.seed), shape))


def _sizes(config: DepthConfig) -> DepthModelConfig:
    """Of the data, or of a data set that is not at hand by its size alone."""
    if config.data != NYU or config.data_dir is not None:
        return model_of(config, problem(config))
    if config.image_height is not None and config.image_width is not None:
        return sizes_of(config, (config.image_height, config.image_width))
    return sizes_of(config, NYU_SIZE)
