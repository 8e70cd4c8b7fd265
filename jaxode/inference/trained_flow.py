"""A trained density of points: log-densities, samples, the way to the base and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxode.checks import ConfigError, require, require_count
from jaxode.config import RunConfig
from jaxode.data.point_files import read_points
from jaxode.inference.input_facts import InputFacts, read_facts
from jaxode.inference.recorded_run import recorded_run
from jaxode.inference.run_checkpoint import Which
from jaxode.inference.trained_density import Found, TrainedDensity, solved_in_batches
from jaxode.models.flow import ContinuousFlow
from jaxode.models.flow_config import FILE, FlowConfig, create_flow
from jaxode.ode import Stats
from jaxode.tasks import Density
from jaxode.train.state import split_model

PointArray = Float[np.ndarray, "N D"]


class TrainedFlow(TrainedDensity):
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

    batch, kind = 2000, "points"

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
        self.task = Density()
        self.graphdef, self.learned = split_model(nnx.clone(flow))
        self._log_prob, self._encode, self._decode = (
            _compiled(work) for work in (flow.log_prob, flow.encode, flow.decode)
        )

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

    def encode(self, points: Any, *, batch_size: int | None = None) -> PointArray:
        """Where points end in the base, a normal distribution: float64 [N, D].

        Args:
          points: [N, D], finite.
          batch_size: points that are solved together.

        Raises:
          ConfigError: points of another shape.
          SolveError: a solve failed.
        """
        inward = self.inward(self.checked(points, self.kind))
        found, _ = solved_in_batches(self._encode, inward, self._size(batch_size))
        return found.astype(np.float64)

    def decode(self, base: Any, *, batch_size: int | None = None) -> PointArray:
        """The points whose ends in the base are given: the inverse of `encode`.

        Args:
          base: points of the normal distribution, [N, D], finite.
          batch_size: points that are solved together.

        Raises:
          ConfigError: points of another shape.
          SolveError: a solve failed.
        """
        ends = self.checked(base, "base").astype(np.float32)
        found, _ = solved_in_batches(self._decode, ends, self._size(batch_size))
        return self.facts.outward(found)

    def sample(self, n: int, seed: int = 0, *, batch_size: int | None = None) -> PointArray:
        """Points of the density, float64 [n, D]; as of `TrainedDensity`."""
        require_count("n", n)
        first, size = jax.random.key(seed), min(n, self._size(batch_size))
        drawn = [
            self.flow.sample_base(jax.random.fold_in(first, k), size) for k in range(-(-n // size))
        ]
        return self.decode(np.concatenate(drawn), batch_size=size)[:n]

    def read(self, path: Path) -> np.ndarray:
        """The points of an .npy or .csv file. Raises ConfigError, DataError."""
        return read_points(path, self.flow.dimensions)

    def inward(self, examples: np.ndarray) -> np.ndarray:
        """Points as the flow was trained on them, float32."""
        return self.facts.inward(examples).astype(np.float32)

    def log_densities(self, examples: np.ndarray, size: int) -> Found:
        """In the user's units, with the exact divergence. Raises SolveError."""
        found, nfe = solved_in_batches(self._log_prob, self.inward(examples), size)
        return found.astype(np.float64) - np.log(np.abs(self.facts.scale)).sum(), nfe

    def checked(self, data: Any, name: str) -> np.ndarray:
        """Points [N, D] of numbers. Raises ConfigError."""
        found, size = np.asarray(data), self.flow.dimensions
        fits = found.ndim == 2 and found.dtype.kind in "fiu" and found.shape[1:] == (size,)
        if not fits or not len(found):
            raise ConfigError(f"{name} must be numbers [N, {size}], got {list(found.shape)}")
        if not np.isfinite(found).all():
            raise ConfigError(f"{name} must be finite numbers alone")
        return found

    def __repr__(self) -> str:
        return self.described(f"density of {self.flow.dimensions} dimensions")


def _compiled(work: Callable[..., tuple[Array, Stats]]) -> Callable[..., Any]:
    """A solve with the statistics of a chain of one."""

    def chained(points: Array) -> tuple[Array, Stats]:
        answer, stats = work(points)
        return answer, Stats.chain([stats])

    return jax.jit(chained)


def load_flow(path: Path, which: Which) -> TrainedFlow:
    """The flow of a run that has recorded one.

    Args:
      path: the run's directory, or that of one of its checkpoints.
      which: last or best checkpoint.

    Raises:
      ConfigError: the run cannot be read.
    """
    run, _, trained = recorded_run(path, which, FILE, FlowConfig.from_json, create_flow)
    flow: Any = trained.model
    return TrainedFlow(trained.config, flow, read_facts(run), origin=path, epoch=trained.epoch)
