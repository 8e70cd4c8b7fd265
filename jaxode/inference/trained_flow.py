"""A trained density: log-densities of points, samples, the way to the base and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float

from jaxode.checks import ConfigError, one_line, require, require_count
from jaxode.config import RunConfig
from jaxode.data.point_files import read_points
from jaxode.data.preprocessing import UNCHANGED
from jaxode.inference.base import Trained
from jaxode.inference.input_facts import InputFacts, read_facts
from jaxode.inference.log_densities import LogDensities
from jaxode.inference.own_model import TrainedModule, module_of
from jaxode.inference.run_checkpoint import Which, run_of
from jaxode.models.flow import ContinuousFlow
from jaxode.models.flow_config import FILE, FlowConfig, create_flow
from jaxode.runs import read_config
from jaxode.strict_json import read_object
from jaxode.tasks import Density
from jaxode.train.state import split_model

BATCH = 2000
"""Points that are solved together."""

PointArray = Float[np.ndarray, "N D"]


class TrainedFlow(Trained):
    """A trained continuous normalizing flow, in the units of its data.

    Where the training points were standardised, points of a user are too, and densities are those
    of the user's units.

    Args:
      config: settings of the run that trained it.
      flow: with the trained parameters.
      facts: shift and scale of the training points; None where there are none.
      origin: the run's directory.
      epoch: how many epochs it was trained for.

    Example:
      >>> import numpy as np
      >>> from flax import nnx
      >>> from jaxode.config import RunConfig, SolveConfig
      >>> from jaxode.inference import TrainedFlow
      >>> from jaxode.models import ContinuousFlow
      >>> from jaxode.nn import ConcatSquashField
      >>> field = ConcatSquashField(2, (4,), rngs=nnx.Rngs(0))
      >>> flow = TrainedFlow(RunConfig(), ContinuousFlow(field, 2, SolveConfig("bosh3")))
      >>> points = flow.sample(3, seed=1)
      >>> flow.log_density(points).shape, flow.decode(flow.encode(points)).shape
      ((3,), (3, 2))
    """

    def __init__(
        self,
        config: RunConfig,
        flow: ContinuousFlow,
        facts: InputFacts | None = None,
        *,
        origin: Path | None = None,
        epoch: int | None = None,
    ) -> None:
        self.config, self.flow, self.origin, self.epoch = config, flow, origin, epoch
        size = flow.dimensions
        self.facts = facts or InputFacts((0.0,) * size, (1.0,) * size)
        require(len(self.facts.shift) == size, "shift", self.facts.shift, f"{size} numbers")
        self.task, self.views = Density(), UNCHANGED
        self.graphdef, self.learned = split_model(nnx.clone(flow))
        self._log_prob = jax.jit(flow.log_prob)
        self._encode, self._decode = jax.jit(flow.encode), jax.jit(flow.decode)

    def with_solve(self, **changes: Any) -> TrainedFlow:
        """The same parameters, solved with other settings.

        Args:
          changes: fields of `jaxode.SolveConfig`.

        Raises:
          ConfigError: settings that are no solve's, or outside their ranges.
        """
        if not changes:
            return self
        config, flow = self.config.replaced(**changes), nnx.clone(self.flow)
        flow.solve = config.solve
        return TrainedFlow(config, flow, self.facts, origin=self.origin, epoch=self.epoch)

    def log_density(self, points: Any, *, batch_size: int = BATCH) -> Float[np.ndarray, " N"]:
        """Log-densities in nats, float64 [N], with the exact divergence.

        Args:
          points: [N, D], finite.
          batch_size: points that are solved together, with one step size unless the solve is per
            sample.

        Raises:
          ConfigError: points of another shape.
          SolveError: a solve failed.
        """
        return self._log_densities(points, batch_size)[0]

    def encode(self, points: Any, *, batch_size: int = BATCH) -> PointArray:
        """Where points end in the base, a normal distribution: float64 [N, D].

        Args:
          points: [N, D], finite.
          batch_size: points that are solved together.

        Raises:
          ConfigError: points of another shape.
          SolveError: a solve failed.
        """
        found, _ = self._solved(self._encode, self.facts.inward(self._checked(points)), batch_size)
        return found.astype(np.float64)

    def decode(self, base: Any, *, batch_size: int = BATCH) -> PointArray:
        """The points whose ends in the base are given: the inverse of `encode`.

        Args:
          base: points of the normal distribution, [N, D], finite.
          batch_size: points that are solved together.

        Raises:
          ConfigError: points of another shape.
          SolveError: a solve failed.
        """
        found, _ = self._solved(self._decode, self._checked(base), batch_size)
        return self.facts.outward(found)

    def sample(self, n: int, seed: int = 0, *, batch_size: int = BATCH) -> PointArray:
        """Points of the density, float64 [n, D].

        Args:
          n: how many, at least 1.
          seed: of the draw, from 0; a longer draw with the same seed begins with the same batches.
          batch_size: points that are solved together.

        Raises:
          ConfigError: no points are asked for.
          SolveError: a solve failed.
        """
        require_count("n", n)
        require_count("batch_size", batch_size)
        first, size = jax.random.key(seed), min(n, batch_size)
        drawn = [
            self.flow.sample_base(jax.random.fold_in(first, k), size) for k in range(-(-n // size))
        ]
        return self.decode(np.concatenate(drawn), batch_size=size)[:n]

    def predict(self, points: Any, *, batch_size: int = BATCH) -> LogDensities:
        """Log-densities of points, with what they cost.

        Args:
          points: [N, D], or the path of an .npy or .csv file of them.
          batch_size: points that are solved together.

        Raises:
          ConfigError: points of another shape, or a file that cannot be read.
          DataError: a line of a file that is not of numbers.
          SolveError: a solve failed.
        """
        if isinstance(points, (str, Path)):
            return self.predict_files([Path(points)], batch_size=batch_size)
        values, nfe = self._log_densities(points, batch_size)
        return LogDensities(list(map(str, range(len(values)))), values, nfe)

    def predict_files(self, paths: Sequence[Path], *, batch_size: int = BATCH) -> LogDensities:
        """Log-densities of the points in .npy and .csv files; errors as of `predict`."""
        parts = [read_points(path, self.flow.dimensions) for path in paths]
        several = len(paths) > 1
        names = [
            f"{path}:{row}" if several else str(row)
            for path, part in zip(paths, parts, strict=True)
            for row in range(len(part))
        ]
        values, nfe = self._log_densities(np.concatenate(parts), batch_size)
        return LogDensities(names, values, nfe)

    def examples(self, data: Any) -> tuple[str, dict[str, np.ndarray]]:
        """Name and arrays to evaluate on: points, in the units that the flow was trained in.

        Args:
          data: points [N, D], a mapping with `points`, or the path of a file.

        Raises:
          ConfigError: there are none, or they cannot be read.
        """
        if data is None:
            size = self.flow.dimensions
            raise ConfigError(f"data must be given for a density: points [N, {size}], or a file")
        name = "points"
        if isinstance(data, (str, Path)):
            name, data = str(data), read_points(Path(data), self.flow.dimensions)
        elif isinstance(data, dict):
            data = data.get("points")
        points = self.facts.inward(self._checked(data))
        return name, {"points": points.astype(np.float32)}

    def _log_densities(self, points: Any, size: int) -> tuple[np.ndarray, np.ndarray]:
        inward = self.facts.inward(self._checked(points))
        found, nfe = self._solved(self._log_prob, inward, size)
        return found.astype(np.float64) - np.log(np.abs(self.facts.scale)).sum(), nfe

    def _checked(self, points: Any) -> np.ndarray:
        """Points [N, D] of numbers. Raises ConfigError."""
        found, size = np.asarray(points), self.flow.dimensions
        fits = found.ndim == 2 and found.dtype.kind in "fiu" and found.shape[1:] == (size,)
        if not fits or not len(found):
            raise ConfigError(f"points must be numbers [N, {size}], got {list(found.shape)}")
        if not np.isfinite(found).all():
            raise ConfigError("points must be finite numbers alone")
        return found

    def _solved(
        self, solve: Callable[..., Any], points: np.ndarray, batch_size: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Answers for all points, and evaluations for each; the last batch is filled up."""
        require_count("batch_size", batch_size)
        count = len(points)
        size = min(count, batch_size)
        parts = -(-count // size)
        padded = np.resize(points.astype(np.float32), (parts * size, points.shape[1]))
        answers, nfe = [], []
        for part in np.split(padded, parts):
            answer, stats = jax.device_get(solve(part))
            stats.check()
            answers.append(answer)
            nfe.append(np.broadcast_to(stats.nfe, (size,)))
        return np.concatenate(answers)[:count], np.concatenate(nfe)[:count]

    def __repr__(self) -> str:
        where = f" from {self.origin}" if self.origin else ""
        epochs = "" if self.epoch is None else f" after {self.epoch} epochs"
        return f"<density of {self.flow.dimensions} dimensions{epochs}{where}>"


def load_flow(path: Path, which: Which) -> TrainedFlow:
    """The flow of a run that has recorded one.

    Args:
      path: the run's directory, or that of one of its checkpoints.
      which: last or best checkpoint.

    Raises:
      ConfigError: the run cannot be read.
    """
    run = run_of(path)[0]
    try:
        found = FlowConfig.from_json(read_object(run / FILE))
        solve = read_config(run, ContinuousFlow).solve
    except (OSError, ValueError) as error:
        raise ConfigError(one_line(error)) from error
    trained: TrainedModule = module_of(path, which, create_flow(found, solve, nnx.Rngs(0)))
    flow: Any = trained.model
    return TrainedFlow(trained.config, flow, read_facts(run), origin=path, epoch=trained.epoch)
