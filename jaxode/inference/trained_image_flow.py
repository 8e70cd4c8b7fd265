"""A trained density of images: log-densities of bytes, and samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float, UInt8

from jaxode.checks import ConfigError, one_line, require_count
from jaxode.config import RunConfig
from jaxode.data.preprocessing import UNCHANGED
from jaxode.inference.base import Trained
from jaxode.inference.log_densities import LogDensities
from jaxode.inference.own_model import module_of
from jaxode.inference.run_checkpoint import Which, run_of
from jaxode.models.image_flow import ImageFlow
from jaxode.models.image_flow_config import FILE, ImageFlowConfig, create_image_flow
from jaxode.runs import read_config
from jaxode.strict_json import read_object
from jaxode.tasks import ImageDensity
from jaxode.train.state import split_model

BATCH = 100
"""Images that are solved together."""


class TrainedImageFlow(Trained):
    """A trained flow of images of bytes.

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

    def __init__(
        self,
        config: RunConfig,
        flow: ImageFlow,
        *,
        origin: Path | None = None,
        epoch: int | None = None,
    ) -> None:
        self.config, self.flow, self.origin, self.epoch = config, flow, origin, epoch
        self.task, self.views = ImageDensity(flow.dimensions), UNCHANGED
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

    def log_density(self, images: Any, *, batch_size: int = BATCH) -> Float[np.ndarray, " N"]:
        """Log-densities in nats, float64 [N], by Hutchinson's estimate with a draw of each image.

        Args:
          images: bytes [N, H, W, C], or [N, H, W] of one channel.
          batch_size: images that are solved together, with one step size unless the solve is per
            sample.

        Raises:
          ConfigError: images of another shape or type.
          SolveError: a solve failed.
        """
        return self._log_densities(self._checked(images, "images"), batch_size)[0]

    def sample(
        self, n: int, seed: int = 0, *, batch_size: int = BATCH
    ) -> UInt8[np.ndarray, "n H W C"]:
        """Images of the density.

        Args:
          n: how many, at least 1.
          seed: of the draw, from 0.
          batch_size: images that are solved together.

        Raises:
          ConfigError: no images are asked for.
          SolveError: a solve failed.
        """
        require_count("n", n)
        require_count("batch_size", batch_size)
        first, size = jax.random.key(seed), min(n, batch_size)
        draw = jax.jit(lambda key: self.flow.sample(key, size))
        parts = []
        for k in range(-(-n // size)):
            images, stats = jax.device_get(draw(jax.random.fold_in(first, k)))
            stats.check()
            parts.append(images)
        return np.concatenate(parts)[:n]

    def predict(self, images: Any, *, batch_size: int = BATCH) -> LogDensities:
        """Log-densities of images, with what they cost.

        Args:
          images: as of `log_density`, or the path of an .npy file of them.
          batch_size: images that are solved together.

        Raises:
          ConfigError: images of another shape or type, or a file that cannot be read.
          SolveError: a solve failed.
        """
        if isinstance(images, (str, Path)):
            return self.predict_files([Path(images)], batch_size=batch_size)
        values, nfe = self._log_densities(self._checked(images, "images"), batch_size)
        return LogDensities(list(map(str, range(len(values)))), values, nfe)

    def predict_files(self, paths: Sequence[Path], *, batch_size: int = BATCH) -> LogDensities:
        """Log-densities of the images in .npy files of bytes; errors as of `predict`."""
        parts = [self._read(path) for path in paths]
        several = len(paths) > 1
        names = [
            f"{path}:{row}" if several else str(row)
            for path, part in zip(paths, parts, strict=True)
            for row in range(len(part))
        ]
        values, nfe = self._log_densities(np.concatenate(parts), batch_size)
        return LogDensities(names, values, nfe)

    def examples(self, data: Any) -> tuple[str, dict[str, np.ndarray]]:
        """Name and arrays to evaluate on.

        Args:
          data: images as of `log_density`, or the path of an .npy file of them.

        Raises:
          ConfigError: there are none, or they cannot be read.
        """
        if data is None:
            raise ConfigError("data must be given for a density: images, or an .npy file of them")
        if isinstance(data, (str, Path)):
            return str(data), {"points": self._read(Path(data))}
        return "images", {"points": self._checked(data, "data")}

    def _read(self, path: Path) -> np.ndarray:
        try:
            images = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ConfigError(f"cannot read {path}: {one_line(error)}") from error
        return self._checked(images, str(path))

    def _checked(self, images: Any, name: str) -> np.ndarray:
        """Bytes [N, H, W, C]. Raises ConfigError."""
        found, shape = np.asarray(images), self.flow.shape
        if found.ndim == 3 and shape[2] == 1:
            found = found[..., None]
        if found.dtype != np.uint8 or found.shape[1:] != shape or not len(found):
            wanted = ", ".join(map(str, shape))
            got = f"{found.dtype} {list(found.shape)}"
            raise ConfigError(f"{name} must be an array [N, {wanted}] of bytes, got {got}")
        return found

    def _log_densities(self, images: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Answers for all images, and evaluations for each; the last batch is filled up."""
        require_count("batch_size", size)
        size = min(len(images), size)
        parts = -(-len(images) // size)
        answers, counts = [], []
        solve: Callable[..., Any] = self._log_prob
        for part in np.split(np.resize(images, (parts * size, *images.shape[1:])), parts):
            log_p, stats = jax.device_get(solve(part))
            stats.check()
            answers.append(log_p)
            counts.append(np.broadcast_to(np.asarray(stats.nfe).sum(0), (size,)))
        nfe = np.concatenate(counts)[: len(images)]
        return np.concatenate(answers)[: len(images)].astype(np.float64), nfe

    def __repr__(self) -> str:
        where = f" from {self.origin}" if self.origin else ""
        epochs = "" if self.epoch is None else f" after {self.epoch} epochs"
        return f"<density of images {list(self.flow.shape)}{epochs}{where}>"


def load_image_flow(path: Path, which: Which) -> TrainedImageFlow:
    """The flow of images of a run.

    Args:
      path: the run's directory, or that of one of its checkpoints.
      which: last or best checkpoint.

    Raises:
      ConfigError: the run cannot be read.
    """
    run = run_of(path)[0]
    try:
        found = ImageFlowConfig.from_json(read_object(run / FILE))
        solve = read_config(run, ImageFlow).solve
    except (OSError, ValueError) as error:
        raise ConfigError(one_line(error)) from error
    trained = module_of(path, which, create_image_flow(found, solve, nnx.Rngs(0)))
    flow: Any = trained.model
    return TrainedImageFlow(trained.config, flow, origin=path, epoch=trained.epoch)
