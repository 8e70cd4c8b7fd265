"""A trained model of time series: classes, values at any times, or what follows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from jaxtyping import Float

from jaxode.checks import ConfigError, require
from jaxode.config import RunConfig
from jaxode.data.preprocessing import UNCHANGED
from jaxode.data.series import PaddedSeries, concatenate, pad
from jaxode.data.series.reading import read_series
from jaxode.inference.base import Answer, Trained
from jaxode.inference.input_facts import FILE as FACTS
from jaxode.inference.input_facts import InputFacts, read_facts
from jaxode.inference.own_model import TrainedModule
from jaxode.inference.recorded_run import recorded_run
from jaxode.inference.run_checkpoint import Which, run_of
from jaxode.inference.series_tasks import Asked, task_of
from jaxode.models.series_config import FILE, SeriesModelConfig, create_series_model
from jaxode.train.state import Learned

SeriesLike = PaddedSeries | Sequence[tuple] | str | Path
"""Padded series; for each series its times [L] and values [L, D], perhaps with a mask; a path."""


class TrainedSeries(Trained):
    """A trained model of series, in the units of its data.

    Args:
      config: settings of the run that trained it.
      which: which model.
      learned: its parameters.
      facts: what the run has recorded of its series, and its task.
      origin: the run's directory.
      epoch: how many epochs it was trained for.

    Example:
      >>> from flax import nnx
      >>> from jaxode.config import RunConfig
      >>> from jaxode.inference import InputFacts, TrainedSeries
      >>> from jaxode.models.series_config import SeriesModelConfig, create_series_model
      >>> from jaxode.train.state import split_model
      >>> which = SeriesModelConfig(1, 2, "rnn_delta")
      >>> learned = split_model(create_series_model(which, RunConfig().solve, nnx.Rngs(0)))[1]
      >>> task = {"name": "classification"}
      >>> facts = InputFacts((0.0,), (1.0,), class_names=("up", "down"), task=task)
      >>> model = TrainedSeries(RunConfig(), which, learned, facts)
      >>> model.predict([([0.0, 1.5], [[1.0], [2.0]])]).probabilities.shape
      (1, 2)
    """

    def __init__(
        self,
        config: RunConfig,
        which: SeriesModelConfig,
        learned: Learned,
        facts: InputFacts,
        *,
        origin: Path | None = None,
        epoch: int | None = None,
    ) -> None:
        self.config, self.which, self.learned, self.facts = config, which, learned, facts
        self.origin, self.epoch, self.views = origin, epoch, UNCHANGED
        allowed = f"{which.channels} numbers, one for each channel of the model"
        require(len(facts.shift) == which.channels, "shift", list(facts.shift), allowed)
        self.use = task_of(facts)
        self.task = self.use.task
        module = create_series_model(which, config.solve, nnx.Rngs(0))
        place = origin or Path()
        self._trained = TrainedModule(config, module, learned, place, epoch or 0)
        self.graphdef = self._trained.graphdef

    @property
    def model(self) -> nnx.Module:
        """The Flax module with the trained weights."""
        return self._trained.model

    def with_solve(self, **changes: Any) -> TrainedSeries:
        """The same parameters, solved with other settings.

        Args:
          changes: fields of `jaxode.SolveConfig`.

        Raises:
          ConfigError: settings that are no solve's, or outside their ranges; or a model that
            solves no ODE.
        """
        if not changes:
            return self
        if not self.which.solves:
            raise ConfigError(f"{self.which.model} solves no ODE, got {', '.join(changes)}")
        rest = (self.which, self.learned, self.facts)
        about = {"origin": self.origin, "epoch": self.epoch}
        return TrainedSeries(self.config.replaced(**changes), *rest, **about)

    def predict(
        self,
        series: SeriesLike,
        times: Any = None,
        *,
        batch_size: int = 128,
    ) -> Any:
        """What the model says of series.

        Args:
          series: padded ones (`jaxode.data.series`), a list of (times [L], values [L, D]) or
            (times, values, mask), or the path of a file or folder as `read_series` takes it; with
            the channels and in the units that the model was trained with.
          times: at which values are predicted, rising, [T] or [N, T], for a model that predicts
            any: a latent ODE's default is each series' own.
          batch_size: series that are solved together.

        Returns:
          Of a classifier, probabilities (`PicturePredictions`, with the names of the series); else
          `SeriesPredictions`.

        Raises:
          ConfigError: series of other channels, times that the model cannot predict at, or a path
            that cannot be read.
          DataError: malformed series.
          SolveError: a solve failed.
        """
        if isinstance(series, (str, Path)):
            series = self._read(Path(series))
        elif not isinstance(series, PaddedSeries):
            series = pad(series)
        series = self._inward(series)
        names = list(series.record_names) or list(map(str, range(len(series))))
        asked = Asked(names, series, self._times(times, len(series)))
        inputs = self.use.inputs(asked)
        outputs, nfe = self._trained.predict_with_stats(inputs, batch_size=batch_size)
        return self.use.answer(asked, outputs, nfe)

    predict_options = ("times",)

    def predict_files(
        self, paths: Sequence[Path], *, batch_size: int = 128, times: Sequence[float] | None = None
    ) -> Answer:
        """What the model says of the series in files and folders; errors as of `predict`."""
        parts = [self._read(path) for path in paths]
        series = concatenate(parts) if len(parts) > 1 else parts[0]
        return self.predict(series, times, batch_size=batch_size)

    def examples(self, data: Any) -> tuple[str, dict[str, np.ndarray]]:
        """Name and arrays to evaluate on.

        Args:
          data: series as of `predict`, with labels where the task has any.

        Raises:
          ConfigError: there are none, or they do not fit the model.
          DataError: malformed series.
        """
        if data is None:
            raise ConfigError(
                "data must be given for a model of series: series, a file or a folder"
            )
        name = "series"
        if isinstance(data, (str, Path)):
            name, data = str(data), self._read(Path(data))
        elif not isinstance(data, PaddedSeries):
            data = pad(data)
        return name, self.use.examples(self._inward(data))

    def _read(self, path: Path) -> PaddedSeries:
        return read_series(path, self.facts.quantisation)

    def _inward(self, series: PaddedSeries) -> PaddedSeries:
        """Series in the model's units. Raises ConfigError for other channels."""
        own, given = self.facts.channels, series.channels
        unnamed = tuple(map(str, range(len(given))))
        same = own == given or (len(given) == self.which.channels and unnamed in (own, given))
        if not same:
            wanted = f"{self.which.channels}: {', '.join(own)}"
            raise ConfigError(f"channels must be {wanted}, got {len(given)}: {', '.join(given)}")
        if self.facts.time_unit != 1:
            series = series.times_divided(self.facts.time_unit)
        return series.affine(self.facts.shift, self.facts.scale)

    def _times(self, times: Any, count: int) -> Float[np.ndarray, "N T"] | None:
        """Times in the model's unit, for every series. Raises ConfigError."""
        if times is None:
            return None
        try:
            found = np.asarray(times, np.float64)
        except (TypeError, ValueError):
            found = np.zeros(0)
        fits = found.ndim in (1, 2) and found.size and found.shape[:-1] in ((), (count,))
        good = fits and np.isfinite(found).all() and (np.diff(found, axis=-1) > 0).all()
        allowed = f"rising and finite, [T] or [{count}, T]"
        require(bool(good), "times", list(np.shape(times)), allowed)
        found = np.broadcast_to(found, (count, found.shape[-1])) / self.facts.time_unit
        return found.astype(np.float32)

    def __repr__(self) -> str:
        return self.described(f"{self.which.model} of {self.which.channels} channels")


def load_series_model(path: Path, which: Which) -> TrainedSeries:
    """The model of series of a run that has recorded one.

    Args:
      path: the run's directory, or that of one of its checkpoints.
      which: last or best checkpoint.

    Raises:
      ConfigError: the run cannot be read, or has not recorded what its series are.
    """
    run = run_of(path)[0]
    facts = read_facts(run)
    if facts is None:
        raise ConfigError(
            f"{run} has no {FACTS}, as runs of earlier versions: the experiment with the flags of"
            " the run and --resume writes it"
        )
    _, found, trained = recorded_run(
        path, which, FILE, SeriesModelConfig.from_json, create_series_model
    )
    about = {"origin": path, "epoch": trained.epoch}
    return TrainedSeries(trained.config, found, trained.learned, facts, **about)
