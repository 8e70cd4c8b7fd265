"""A trained density of images: log-densities of bytes, and samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import UInt8

from jaxode.checks import ConfigError, require_count
from jaxode.config import RunConfig
from jaxode.data.npy import read_npy
from jaxode.inference.recorded_run import recorded_run
from jaxode.inference.run_checkpoint import Which
from jaxode.inference.trained_density import Found, TrainedDensity, solved_in_batches
from jaxode.models.image_flow import ImageFlow
from jaxode.models.image_flow_config import FILE, ImageFlowConfig, create_image_flow
from jaxode.tasks import ImageDensity
from jaxode.train.state import split_model


class TrainedImageFlow(TrainedDensity):
    """A trained flow of images, bytes [N, H, W, C], or [N, H, W] of one channel.

    Log-densities are by Hutchinson's estimate with a fixed draw for each image.

    Args:
      config: settings of the run that trained it.
      flow: with the trained parameters.
      origin: the run's directory.
      epoch: how many epochs it was trained for.

    Example:
      >>> import jaxode
      >>> flow = jaxode.load("runs/digits")  # doctest: +SKIP
      >>> flow.log_density(flow.sample(3)).shape  # doctest: +SKIP
      (3,)
    """

    batch, kind = 100, "images"

    def __init__(
        self,
        config: RunConfig,
        flow: ImageFlow,
        *,
        origin: Path | None = None,
        epoch: int | None = None,
    ) -> None:
        self.config, self.flow, self.origin, self.epoch = config, flow, origin, epoch
        self.task = ImageDensity(flow.dimensions)
        self.graphdef, self.learned = split_model(nnx.clone(flow))
        self._log_prob = jax.jit(lambda pixels: flow(pixels))

    def with_solve(self, **changes: Any) -> TrainedImageFlow:
        """The same parameters, solved with other settings.

        Args:
          changes: fields of `jaxode.SolveConfig`.

        Raises:
          ConfigError: settings that are no solve's, or outside their ranges.
        """
        if not changes:
            return self
        config, flow = self.config.replaced(**changes), nnx.clone(self.flow)
        for each in flow.flows:
            each.solve = config.solve
        return TrainedImageFlow(config, flow, origin=self.origin, epoch=self.epoch)

    def sample(
        self, n: int, seed: int = 0, *, batch_size: int | None = None
    ) -> UInt8[np.ndarray, "n H W C"]:
        """Images of the density; as of `TrainedDensity`."""
        require_count("n", n)
        first, size = jax.random.key(seed), min(n, self._size(batch_size))
        draw = jax.jit(lambda key: self.flow.sample(key, size))
        parts = []
        for k in range(-(-n // size)):
            images, stats = jax.device_get(draw(jax.random.fold_in(first, k)))
            stats.check()
            parts.append(images)
        return np.concatenate(parts)[:n]

    def read(self, path: Path) -> np.ndarray:
        """The images of an .npy file. Raises ConfigError."""
        return self.checked(read_npy(path), str(path))

    def inward(self, examples: np.ndarray) -> np.ndarray:
        """The bytes as they are."""
        return examples

    def log_densities(self, examples: np.ndarray, size: int) -> Found:
        """By Hutchinson's estimate. Raises SolveError."""
        found, nfe = solved_in_batches(self._log_prob, examples, size)
        return found.astype(np.float64), nfe

    def checked(self, data: Any, name: str) -> np.ndarray:
        """Bytes [N, H, W, C]. Raises ConfigError."""
        found, shape = np.asarray(data), self.flow.shape
        if found.ndim == 3 and shape[2] == 1:
            found = found[..., None]
        if found.dtype != np.uint8 or found.shape[1:] != shape or not len(found):
            wanted = ", ".join(map(str, shape))
            got = f"{found.dtype} {list(found.shape)}"
            raise ConfigError(f"{name} must be an array [N, {wanted}] of bytes, got {got}")
        return found

    def __repr__(self) -> str:
        return self.described(f"density of images {list(self.flow.shape)}")


def load_image_flow(path: Path, which: Which) -> TrainedImageFlow:
    """The flow of images of a run.

    Args:
      path: the run's directory, or that of one of its checkpoints.
      which: last or best checkpoint.

    Raises:
      ConfigError: the run cannot be read.
    """
    _, _, trained = recorded_run(path, which, FILE, ImageFlowConfig.from_json, create_image_flow)
    flow: Any = trained.model
    return TrainedImageFlow(trained.config, flow, origin=path, epoch=trained.epoch)
