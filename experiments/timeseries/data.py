"""The series of each data set as arrays for training, and what is learned of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from experiments.timeseries.config import SeriesConfig
from jaxode.data import ArrayDataset, BatchStream, Dataset, StreamedDataset
from jaxode.data.series import (
    PaddedSeries,
    SeriesSplits,
    draw_spirals,
    random_split,
    read_characters,
    read_folder,
    read_physionet,
    read_ts_pair,
    stratified_split,
)
from jaxode.data.series.physionet_records import HOURS
from jaxode.data.streaming import Examples
from jaxode.inference import InputFacts
from jaxode.tasks import LatentSeries, NextValue, SeriesClassification, Task, examples_of

BEYOND = 100
"""Points of a spiral behind the observed window, at which the error is measured (table 2)."""

NOISE = 0.1
"""Standard deviation of a spiral's observations, in the data and in the likelihood."""

SPIRALS = {"train": 1000, "validation": 200, "test": 1000}

OUTCOMES = ("alive", "dead")

ANNEALED = 10
"""Epochs in which the divergence has no weight; it is 1 - 0.99^(n - ANNEALED) in epoch n."""


class Problem(NamedTuple):
    """Data, and what is learned of them."""

    dataset: Dataset
    task: Task
    channels: int
    outputs: int
    means: np.ndarray
    """Of each channel over the training observations."""
    facts: InputFacts
    """How series of the source become those of the data set, and the task's settings."""


def problem(config: SeriesConfig) -> Problem:
    """The problem of the settings. Raises ConfigError, DataError."""
    if config.data == "spirals":
        return spirals(config)
    if config.data == "physionet":
        return physionet(config)
    return classes(config)


def spirals(config: SeriesConfig) -> Problem:
    """Chen et al. 2018, table 2: observations at irregular times, errors at the times behind them.

    Training and validation predict the observations; the test predicts the truth behind them, where
    windows of training spirals lie too: nobody could tell what is never seen.
    """
    parts: dict[str, Examples] = {}
    for number, (name, count) in enumerate(SPIRALS.items()):
        beyond = BEYOND if name == "test" else 0
        drawn = draw_spirals(count, beyond=beyond, noise=NOISE, seed=3 * config.seed + number)
        seen = drawn.observed_at(config.observed, seed=config.seed)
        series = seen.series
        arrays = examples_of(series)
        if name == "test":
            times = np.tile(drawn.times[drawn.window :], (count, 1))
            values = drawn.truth[:, drawn.window :]
            mask = np.ones(values.shape, np.float32)
        else:
            longer = series.padded_to(BEYOND)
            times, values, mask = longer.times, longer.values, longer.mask.astype(np.float32)
        targets = {"target_times": times, "target_values": values, "target_mask": mask}
        parts[name] = {**arrays, **targets}
    data = ArrayDataset(
        "spirals",
        parts["train"],
        parts["test"],
        SimpleNamespace(class_names=("clockwise", "counter-clockwise")),
        validation=parts["validation"],
    )
    kind = NextValue if config.chosen("model") == "rnn" else LatentSeries
    task = {"name": kind.name, "noise_std": NOISE}
    facts = InputFacts((0.0, 0.0), (1.0, 1.0), ("x", "y"), task=task)
    return Problem(data, kind(NOISE, monitor="validation_loss"), 2, 0, np.zeros(2), facts)


def physionet(config: SeriesConfig) -> Problem:
    """Rubanova et al. 2019: reconstruction of the records of set a, and deaths in hospital."""
    raw = read_physionet(
        Path(config.data_dir or ""), quantisation=config.quantisation, scaling="none"
    )
    _, _, minimum, maximum, _ = raw.observed_statistics()
    scale = np.where(maximum == 0, 1.0, maximum)  # what the source divides by
    series = raw.affine(minimum, scale).times_divided(HOURS)
    split = random_split(series, 0.8, 42)
    held = random_split(split.train, 0.9, config.seed)
    parts = {"train": held.train, "validation": held.test, "test": split.test}
    examples = {name: binary(part) for name, part in parts.items()}
    count = len(held.train)
    batches = -(-count // config.chosen("batch_size"))

    def read(epoch: int) -> Iterator[Examples]:
        order = np.random.default_rng([config.seed, epoch]).permutation(count)
        weight = np.float32(1 - 0.99 ** max(0, epoch - ANNEALED))
        for rows in np.array_split(order, batches):
            batch = {name: array[rows] for name, array in examples["train"].items()}
            yield {**batch, "divergence_weight": np.full(len(rows), weight, np.float32)}

    data = StreamedDataset(
        "physionet",
        BatchStream(read, count, batches),
        examples["test"],
        fingerprint=f"physionet a, {config.quantisation} h, seed {config.seed}, {batches} batches",
        spec=SimpleNamespace(class_names=OUTCOMES, channels=series.channels),
        validation=examples["validation"],
    )
    settings: dict[str, Any] = {
        "noise_std": 0.01,
        "likelihood": "mean",
        "outcome": "outcome",
        "label_weight": config.label_weight,
    }
    task = LatentSeries(**settings, monitor="validation_loss")
    facts = InputFacts(
        tuple(minimum.tolist()),
        tuple(scale.tolist()),
        series.channels,
        OUTCOMES,
        time_unit=HOURS,
        quantisation=config.quantisation,
        task={"name": task.name, **settings},
    )
    return Problem(data, task, len(series.channels), 1, means_of(held.train), facts)


def binary(series: PaddedSeries) -> Examples:
    """Arrays with the labels as a binary outcome, and the weight of the divergence."""
    arrays = dict(examples_of(series))
    arrays["outcome"] = arrays.pop("label").astype(np.float32)
    return {**arrays, "divergence_weight": np.ones(len(series), np.float32)}


def classes(config: SeriesConfig) -> Problem:
    """Series with a class each, standardised by the training observations."""
    split = labelled(config)
    statistics = split.train.observed_statistics()
    longest = max(part.points for part in split if part is not None)
    parts = [
        None
        if part is None
        else part.standardised(statistics.mean, statistics.std).padded_to(longest)
        for part in split
    ]
    train, test, validation = (None if part is None else examples_of(part) for part in parts)
    names = split.train.class_names
    assert train is not None
    assert test is not None
    data = ArrayDataset(
        config.data if config.data_dir else Path(config.data).name,
        train,
        test,
        SimpleNamespace(class_names=names),
        validation=validation,
    )
    task = SeriesClassification(len(names), monitor="validation_loss")
    channels = split.train.channels
    scale = np.where(statistics.std > 0, statistics.std, 1.0)
    facts = InputFacts(
        tuple(statistics.mean.tolist()),
        tuple(scale.tolist()),
        channels,
        names,
        task={"name": task.name},
    )
    return Problem(data, task, len(channels), len(names), np.zeros(len(channels)), facts)


def labelled(config: SeriesConfig) -> SeriesSplits:
    """Training, validation and test series of a data set with classes."""
    folder = Path(config.data_dir or config.data)
    if config.data == "characters":
        series = read_characters(folder / "labelled.npz")
        return stratified_split(series.drop_points(config.drop, config.seed), seed=config.seed)
    split = read_ts_pair(folder) if config.data == "vowels" else read_folder(folder)
    train, test = (part.drop_points(config.drop, config.seed) for part in split[:2])
    held = random_split(train, 0.85, config.seed)
    return SeriesSplits(held.train, test, held.test)


def means_of(series: PaddedSeries) -> np.ndarray:
    """Mean of each channel's observations."""
    return np.asarray(series.observed_statistics().mean)
