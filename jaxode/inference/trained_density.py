"""What every trained density can do: log-densities of examples in memory and in files."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from jaxtyping import Float, Int

from jaxode.checks import ConfigError, require_count
from jaxode.data.preprocessing import UNCHANGED
from jaxode.inference.base import Trained
from jaxode.inference.log_densities import LogDensities

Found = tuple[Float[np.ndarray, " N"], Int[np.ndarray, " N"]]
"""Log-densities in nats, float64, and the function evaluations of each."""


class TrainedDensity(Trained):
    """A trained density of points or images.

    Attributes:
      batch: examples that are solved together if nothing else is asked for.
      kind: what its examples are, for messages.

    Example:
      >>> from jaxode.inference import TrainedDensity, TrainedFlow, TrainedImageFlow
      >>> issubclass(TrainedFlow, TrainedDensity), TrainedImageFlow.kind
      (True, 'images')
    """

    batch: ClassVar[int]
    kind: ClassVar[str]
    views = UNCHANGED

    @abstractmethod
    def with_solve(self, **changes: Any) -> TrainedDensity:
        """As of `Trained`."""

    @abstractmethod
    def checked(self, data: Any, name: str) -> np.ndarray:
        """Examples as arrays. Raises ConfigError if they do not fit the model."""

    @abstractmethod
    def read(self, path: Path) -> np.ndarray:
        """The examples of a file. Raises ConfigError, DataError."""

    @abstractmethod
    def inward(self, examples: np.ndarray) -> np.ndarray:
        """Examples as the flow was trained on them."""

    @abstractmethod
    def log_densities(self, examples: np.ndarray, size: int) -> Found:
        """Of examples that were checked, so many at a time. Raises SolveError."""

    @abstractmethod
    def sample(self, n: int, seed: int = 0, *, batch_size: int | None = None) -> np.ndarray:
        """Draws of the density.

        Args:
          n: how many, at least 1.
          seed: of the draw, from 0; a longer draw with the same seed begins with the same batches.
          batch_size: examples that are solved together.

        Raises:
          ConfigError: none are asked for.
          SolveError: a solve failed.
        """

    def log_density(self, data: Any, *, batch_size: int | None = None) -> Float[np.ndarray, " N"]:
        """Log-densities in nats, float64 [N].

        Args:
          data: examples of the model's shape.
          batch_size: examples that are solved together, with one step size unless the solve is per
            sample.

        Raises:
          ConfigError: examples of another shape.
          SolveError: a solve failed.
        """
        return self.log_densities(self.checked(data, self.kind), self._size(batch_size))[0]

    def predict(self, data: Any, *, batch_size: int | None = None) -> LogDensities:
        """Log-densities, with what they cost.

        Args:
          data: examples of the model's shape, or the path of a file of them.
          batch_size: examples that are solved together.

        Raises:
          ConfigError: examples of another shape, or a file that cannot be read.
          DataError: a line of a file that is not of numbers.
          SolveError: a solve failed.
        """
        if isinstance(data, (str, Path)):
            return self.predict_files([Path(data)], batch_size=batch_size)
        values, nfe = self.log_densities(self.checked(data, self.kind), self._size(batch_size))
        return LogDensities(list(map(str, range(len(values)))), values, nfe)

    def predict_files(
        self, paths: Sequence[Path], *, batch_size: int | None = None
    ) -> LogDensities:
        """Log-densities of the examples in files; errors as of `predict`."""
        parts = [self.read(path) for path in paths]
        several = len(paths) > 1
        names = [
            f"{path}:{row}" if several else str(row)
            for path, part in zip(paths, parts, strict=True)
            for row in range(len(part))
        ]
        values, nfe = self.log_densities(np.concatenate(parts), self._size(batch_size))
        return LogDensities(names, values, nfe)

    def examples(self, data: Any) -> tuple[str, dict[str, np.ndarray]]:
        """Name and arrays to evaluate on, in the units that the flow was trained in.

        Args:
          data: examples of the model's shape, a mapping that has them as `points`, or the path of a
            file.

        Raises:
          ConfigError: there are none, or they cannot be read.
          DataError: a line of a file that is not of numbers.
        """
        if data is None:
            raise ConfigError(f"data must be given for a density: {self.kind}, or a file of them")
        if isinstance(data, (str, Path)):
            return str(data), {"points": self.inward(self.read(Path(data)))}
        found = data.get("points") if isinstance(data, dict) else data
        return self.kind, {"points": self.inward(self.checked(found, self.kind))}

    def _size(self, batch_size: int | None) -> int:
        size = self.batch if batch_size is None else batch_size
        require_count("batch_size", size)
        return size


def solved_in_batches(
    solve: Callable[..., Any], examples: np.ndarray, size: int
) -> tuple[np.ndarray, Int[np.ndarray, " N"]]:
    """Answers for all examples, and evaluations for each.

    Args:
      solve: examples → (answers, statistics of a chain of solves [blocks, ...]), compiled.
      examples: N of them, at least 1; the last batch is filled up with the first ones.
      size: how many at a time.

    Raises:
      SolveError: a solve failed.
    """
    count = len(examples)
    size = min(count, size)
    parts = -(-count // size)
    answers, counts = [], []
    for part in np.split(np.resize(examples, (parts * size, *examples.shape[1:])), parts):
        answer, stats = jax.device_get(solve(part))
        stats.check()
        answers.append(answer)
        counts.append(np.broadcast_to(np.asarray(stats.nfe).sum(0), (size,)))
    return np.concatenate(answers)[:count], np.concatenate(counts)[:count]
