"""The directory of a run: what it holds, read from disk.

    config.json          the settings, which make a directory a run
    dataset.json         of images: class names, size, mean and standard deviation
    metrics.jsonl        the history: a line an epoch
    result.json          the metrics of the run as it stands, and where it was trained
    images.npz           the predictions of the test split, once the run is complete
    checkpoints/         what training goes on from
    *.png, tensorboard/  plots, and event files if they were requested

Reading takes no lock. What was read is compared with nothing that another process writes later:
whoever trains takes the lock first, and then reads by a `RunDirectory` of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from jaxode.config import ModelChoice, RunConfig
from jaxode.data.batches import steps_per_epoch
from jaxode.errors import ResumeError
from jaxode.runs import predictions
from jaxode.runs.checkpoint import Checkpoints
from jaxode.runs.checkpoint_folder import CHECKPOINTS, checkpoint_name
from jaxode.runs.checkpoint_meta import DamagedError
from jaxode.runs.completeness import is_complete
from jaxode.runs.directory_lock import lock_run_directory
from jaxode.runs.history import METRICS, History, check
from jaxode.runs.stored_config import read_config
from jaxode.runs.summary import RESULT
from jaxode.strict_json import JsonObject, need, read_object, read_objects
from jaxode.tasks import Predictions, Task

DATASET = "dataset.json"


class RunDirectory:
    """A run on disk.

    Each file is read when it is first needed, and once. A directory object that is made later
    sees what was written in the meantime.

    Args:
        path: the directory. `RunDirectory.open` also checks that it holds a run.
        own: the class of a model that is not registered, which the settings name.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from flax import nnx
        >>> from jaxode.config import DataConfig, OptimConfig, RunConfig
        >>> from jaxode.data import ArrayDataset
        >>> from jaxode.runs import RunDirectory
        >>> from jaxode.tasks import Regression
        >>> from jaxode.train import run
        >>> x = np.linspace(-1, 1, 32, dtype=np.float32)[:, None]
        >>> line = {"input": x, "target": 2 * x}
        >>> config = RunConfig(
        ...     data=DataConfig(dataset="a line", data="full"),
        ...     optim=OptimConfig(lr=0.1),
        ...     epochs=2,
        ...     batch_size=8,
        ... )
        >>> build = lambda *args, **options: nnx.Linear(1, 1, rngs=nnx.Rngs(0))
        >>> data = ArrayDataset("a line", line, line)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with RunDirectory.create(f"{folder}/run") as directory:
        ...         result = run(config, data, directory.path, build=build, task=Regression())
        ...     directory = RunDirectory.open(f"{folder}/run")
        ...     len(directory.history), directory.last_checkpoint.name
        (2, 'epoch-00002-step-0000000008')
    """

    def __init__(self, path: str | os.PathLike[str], own: ModelChoice | None = None) -> None:
        self.path, self.own = Path(path), own
        self.checkpoints = Checkpoints(self.path / CHECKPOINTS)

    @classmethod
    def open(cls, path: str | os.PathLike[str], own: ModelChoice | None = None) -> RunDirectory:
        """The run in a directory.

        Args:
            path: the directory.
            own: the class of a model that is not registered, which the settings name.

        Raises:
            ResumeError: it holds no run, or one whose settings are damaged.
        """
        directory = cls(path, own)
        _ = directory.config
        return directory

    @classmethod
    @contextmanager
    def create(cls, path: str | os.PathLike[str]) -> Iterator[RunDirectory]:
        """Context with a directory for a new run, which no other process can lock.

        Args:
            path: the directory, which is made if it does not exist. It is removed at the end if it
                was made here and is empty.

        Raises:
            ConfigError: another process has locked it, it holds a run, or it cannot be written.
        """
        with lock_run_directory(Path(path)) as locked:
            yield cls(locked)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Context in which no other process can lock the directory, to go on with its run.

        Raises:
            ConfigError: another process has locked it, or it cannot be written.
        """
        with lock_run_directory(self.path, may_hold_run=True):
            yield

    @cached_property
    def config(self) -> RunConfig:
        """The settings.

        Raises:
            ResumeError: there is no run, or its settings are damaged.
        """
        return read_config(self.path, self.own)

    @cached_property
    def dataset_facts(self) -> JsonObject | None:
        """Class names, size and normalisation of the images; None where they are not recorded.

        Raises:
            ValueError: the file is damaged.
        """
        try:
            return read_object(self.path / DATASET)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ResumeError(f"cannot read {self.path / DATASET}: {error.strerror}") from error

    @cached_property
    def result(self) -> JsonObject:
        """The content of result.json; empty if it cannot be read."""
        try:
            return read_object(self.path / RESULT)
        except (OSError, ValueError):
            return {}

    @cached_property
    def history(self) -> History:
        """A line for each epoch that is in a checkpoint.

        It is that of the newest checkpoint, or where that is damaged or all were deleted, what
        metrics.jsonl holds.

        Raises:
            ResumeError: metrics.jsonl is damaged, too.
        """
        path = self.path / METRICS
        try:
            meta = self.newest_meta
            lines = read_objects(path) if meta is None else meta["history"]
            check(lines, path)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ResumeError(f"cannot read {path}: {error.strerror}") from error
        except ValueError as error:
            raise ResumeError(str(error)) from error
        return lines

    @cached_property
    def newest_meta(self) -> JsonObject | None:
        """The meta data of the newest checkpoint; None without one, or if they are damaged."""
        names = self.checkpoints.names()
        try:
            return self.checkpoints.meta(names[-1]) if names else None
        except DamagedError:
            return None

    @property
    def last_checkpoint(self) -> Path | None:
        """The directory of the newest checkpoint; None without one."""
        names = self.checkpoints.names()
        return self.checkpoints.directory / names[-1] if names else None

    @property
    def best_checkpoint(self) -> Path | None:
        """The directory of the best epoch's checkpoint; None where there is none.

        The best epoch is that of the result, by the number that the task monitors.
        """
        try:
            epoch = need(self.result, "best_epoch", int, RESULT)
            images = need(self.result, "train_images", int, RESULT)
        except ValueError:
            return None
        drop_last = self.config.data.drop_last
        steps = steps_per_epoch(images, self.config.batch_size, drop_last=drop_last)
        name = checkpoint_name(epoch, epoch * steps)
        return self.checkpoints.directory / name if name in self.checkpoints.names() else None

    def predictions(self, task: Task) -> Predictions | None:
        """The stored predictions of the test split.

        Args:
            task: of the run.

        Returns:
            An array a name with a row for each example, in the order of the split; None if there
            are none, they are damaged, or the run has gone on since.
        """
        return predictions.load(self.path, self.result.get("epochs"), task)

    def has_report(self, task: Task) -> bool:
        """Whether the predictions are stored, and all that a complete run makes of them.

        Args:
            task: of the run.
        """
        stored = self.predictions(task)
        if stored is None:
            return False
        plots = all((self.path / name).exists() for name in task.plot_names(stored))
        return plots and set(task.report_names(stored)) <= set(self.result)

    def is_complete(self, config: RunConfig, task: Task) -> bool:
        """Whether all epochs are done, and no file is missing or damaged.

        Checkpoints that were deleted, to save space, are not missed.

        Args:
            config: the settings, of which the number of epochs counts.
            task: of the run.
        """
        return is_complete(self, config, task)
