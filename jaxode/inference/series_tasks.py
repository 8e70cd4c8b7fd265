"""How the models of each task on series are asked, and what their outputs mean.

A task is found by the name that the run has recorded of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxode.checks import ConfigError, one_line, require
from jaxode.data.series import PaddedSeries
from jaxode.inference.input_facts import InputFacts
from jaxode.inference.predictions import PicturePredictions
from jaxode.inference.series_answers import SeriesPredictions
from jaxode.nn.series import Series
from jaxode.tasks import LatentSeries, NextValue, SeriesClassification, Task, examples_of

Evaluations = np.ndarray | None


class Asked(NamedTuple):
    """Series of a user as the model reads them, and the times at which values are wanted.

    Args:
      names: of the series.
      series: in the model's units.
      times: in the model's units, float32 [N, T]; None where no times were asked for.
    """

    names: list[str]
    series: PaddedSeries
    times: Float[np.ndarray, "N T"] | None

    @property
    def read(self) -> Series:
        """What an encoder or a classifier reads."""
        series = self.series
        mask = series.mask.astype(np.float32)
        return Series(series.times, series.values, mask, series.lengths)  # type: ignore[arg-type]


class SeriesTask(ABC):
    """A task on series in use.

    Args:
      facts: what its run has recorded of its inputs.

    Raises:
      ConfigError: the facts are not of this task.
    """

    task: Task

    def __init__(self, facts: InputFacts) -> None:
        self.facts = facts
        settings = {name: value for name, value in facts.task.items() if name != "name"}
        try:
            self.task = self.made(settings)
        except TypeError as error:
            raise ConfigError(f"the run's task has wrong settings: {one_line(error)}") from error

    @abstractmethod
    def made(self, settings: dict[str, Any]) -> Task:
        """The task with these settings. Raises TypeError, ConfigError."""

    @abstractmethod
    def inputs(self, asked: Asked) -> Any:
        """The model's inputs. Raises ConfigError."""

    @abstractmethod
    def answer(self, asked: Asked, outputs: Any, nfe: Evaluations) -> Any:
        """What the model's outputs say, in the user's units."""

    def examples(self, series: PaddedSeries) -> dict[str, np.ndarray]:
        """Arrays to evaluate on. Raises ConfigError if the task needs others.

        Args:
          series: in the model's units.
        """
        return dict(examples_of(series))

    def _no_times(self, asked: Asked) -> None:
        require(asked.times is None, "times", "given", "left out for a model of classes")

    def _labels(self, series: PaddedSeries) -> np.ndarray:
        """Labels by the names that the model knows. Raises ConfigError."""
        names = self.facts.class_names
        if series.labels is None:
            raise ConfigError("data must have labels to be evaluated on, and has none")
        unknown = set(series.class_names) - set(names)
        allowed = f"some of {', '.join(names)}"
        require(not unknown, "class_names", ", ".join(series.class_names), allowed)
        places = np.array([names.index(name) for name in series.class_names], np.int32)
        return places[series.labels]


class Classes(SeriesTask):
    """One class for each series."""

    def made(self, settings: dict[str, Any]) -> Task:
        """Classification by the class names of the facts."""
        return SeriesClassification(len(self.facts.class_names), **settings)

    def inputs(self, asked: Asked) -> Series:
        """The series alone."""
        self._no_times(asked)
        return asked.read

    def answer(self, asked: Asked, outputs: Any, nfe: Evaluations) -> PicturePredictions:
        """Probabilities of all classes."""
        logits = np.asarray(outputs, np.float64)
        above = np.exp(logits - logits.max(1, keepdims=True))
        probabilities = (above / above.sum(1, keepdims=True)).astype(np.float32)
        return PicturePredictions(asked.names, self.facts.class_names, probabilities, nfe, "series")

    def examples(self, series: PaddedSeries) -> dict[str, np.ndarray]:
        """The series with their labels. Raises ConfigError without labels of the known classes."""
        return {**super().examples(series), "label": self._labels(series)}


class Valued(SeriesTask):
    """Values at times."""

    def _predictions(
        self, asked: Asked, values: Any, nfe: Evaluations, outcome: Any = None
    ) -> SeriesPredictions:
        series, times = asked.series, asked.times
        lengths = series.lengths
        if times is None:
            times = series.times
        else:
            lengths = np.full(len(series), times.shape[1])
        names = self.facts.class_names
        return SeriesPredictions(
            asked.names,
            series.channels,
            np.asarray(times, np.float64) * self.facts.time_unit,
            self.facts.outward(values),
            lengths,
            outcome,
            names[-1] if names else "outcome",
            nfe,
        )


class Reconstruction(Valued):
    """A latent ODE: values at any times from the first observation on, perhaps an outcome."""

    def made(self, settings: dict[str, Any]) -> Task:
        """The evidence lower bound with the run's settings."""
        return LatentSeries(**settings)

    def inputs(self, asked: Asked) -> tuple[Series, np.ndarray]:
        """The series, and their own times if none were asked for.

        Raises ConfigError for times before a series' first.
        """
        times = asked.series.times if asked.times is None else asked.times
        early = times[:, 0] < asked.series.times[:, 0]
        first = float(asked.series.times[:, 0].max()) * self.facts.time_unit
        require(not early.any(), "times", "earlier", f"not before the first observation, {first:g}")
        return asked.read, times

    def answer(self, asked: Asked, outputs: Any, nfe: Evaluations) -> SeriesPredictions:
        """Values of the posterior's mean, and the outcome's probability."""
        values, _, log_odds = outputs
        outcome = None
        if log_odds is not None:
            outcome = 1 / (1 + np.exp(-np.asarray(log_odds, np.float64).mean(1)))
        return self._predictions(asked, values[:, 0], nfe, outcome)

    def examples(self, series: PaddedSeries) -> dict[str, np.ndarray]:
        """The series, their outcomes where the model tells one: unknown without labels."""
        arrays = dict(examples_of(series))
        arrays.pop("label", None)
        task: Any = self.task
        if task.outcome is None:
            return arrays
        known = series.labels is not None
        labels = self._labels(series) if known else np.full(len(series), np.nan)
        return {**arrays, task.outcome: labels.astype(np.float32)}


class Forecasts(Valued):
    """A recurrent network that goes on behind the last observation."""

    def made(self, settings: dict[str, Any]) -> Task:
        """The likelihood of next values with the run's settings."""
        return NextValue(**settings)

    def inputs(self, asked: Asked) -> tuple[Series, np.ndarray]:
        """The series and the times behind them. Raises ConfigError for other times or none."""
        last = asked.series.times[:, -1]
        allowed = f"behind the last observation, {float(last.max()) * self.facts.time_unit:g}"
        times = asked.times
        require(times is not None, "times", None, allowed)
        assert times is not None
        require(bool((times[:, 0] > last).all()), "times", "earlier", allowed)
        return asked.read, times

    def answer(self, asked: Asked, outputs: Any, nfe: Evaluations) -> SeriesPredictions:
        """The values behind the last observation."""
        return self._predictions(asked, outputs[1], nfe)

    def examples(self, series: PaddedSeries) -> dict[str, np.ndarray]:
        """None: what follows a series would have to be known."""
        raise ConfigError("a forecaster is evaluated by its own run: predict what follows a series")


TASKS: Mapping[str, type[SeriesTask]] = {
    SeriesClassification.name: Classes,
    LatentSeries.name: Reconstruction,
    NextValue.name: Forecasts,
}
"""By the names of the tasks."""


def task_of(facts: InputFacts) -> SeriesTask:
    """The task that a run has recorded. Raises ConfigError for another one."""
    name = facts.task.get("name")
    require(name in TASKS, "task", name, f"one of {', '.join(TASKS)}")
    return TASKS[name](facts)  # type: ignore[index]
