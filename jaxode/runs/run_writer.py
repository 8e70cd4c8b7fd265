"""The files of a run: settings, metrics, result, learning curves, TensorBoard's events."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from jaxode.checks import ConfigError
from jaxode.config import RunConfig
from jaxode.data import has_predefined_split
from jaxode.errors import NOT_WRITTEN, ResumeError
from jaxode.plots import learning_curves
from jaxode.runs.directory_lock import CONFIG
from jaxode.runs.files import count_lines, write_json, write_whole
from jaxode.runs.history import METRICS, HistoryFile
from jaxode.runs.migration import stored
from jaxode.runs.origins import Origins
from jaxode.runs.summary import summary
from jaxode.runs.tensorboard import EventWriter
from jaxode.strict_json import loads, need, read_object
from jaxode.tasks import Task

RESULT, CURVES = "result.json", "curves.png"
DRAW_EVERY_SECONDS = 60.0


def settings_of_result(config: RunConfig) -> dict[str, Any]:
    """The settings that a reader of a result needs.

    Those of the solver are None for models that solve nothing.
    """
    solves = config.model.ode_blocks > 0
    solve = {name: getattr(config.solve, name) if solves else None for name in SOLVE_SETTINGS}
    return {
        "dataset": config.data.dataset,
        "data": config.data.data,
        "crop": config.data.crop,
        "augment": list(config.data.augmentations),
        "split_seed": (
            None if has_predefined_split(config.data.dataset) else config.data.split_seed
        ),
        "model": config.model.name,
        "blocks": config.model.blocks,
        "width": config.model.width if "width" in config.model.facts.uses else None,
        "stem": config.model.stem if "stem" in config.model.facts.uses else None,
        "augment_dims": config.model.augment_dims if solves else None,
        **solve,
        "optimizer": config.optim.optimizer,
        "lr": config.optim.lr,
        "momentum": config.optim.momentum if config.optim.optimizer == "sgd" else None,
        "weight_decay": config.optim.weight_decay,
        "schedule": config.optim.schedule,
        "batch_size": config.batch_size,
        "parallel": config.parallel.parallel,
        "accumulate": config.parallel.accumulate,
        "precision": config.precision,
        "seed": config.seed,
        "epochs_planned": config.epochs,
    }


SOLVE_SETTINGS = (
    "solver",
    "gradient",
    "rtol",
    "atol",
    "step_size",
    "backward_rtol",
    "backward_atol",
    "backward_norm",
    "stepping",
    "max_steps",
    "per_sample",
)


class RunWriter:
    """Writes a run's files into its directory, each whole or not at all.

    Args:
        out: an existing directory.
        config: the settings, with `data` being what was really taken.
        facts: what else goes into result.json: data counts, parameters.
        origins: where the run was trained.
        task: names the metrics.
        tensorboard: whether to write event files too. Raises ConfigError if that is not possible.
    """

    def __init__(
        self,
        out: Path,
        config: RunConfig,
        facts: dict[str, Any],
        origins: Origins,
        task: Task,
        tensorboard: bool = False,
    ) -> None:
        self.out, self.config, self.facts, self.origins = out, config, facts, origins
        self.task = task
        self.events = EventWriter(out / "tensorboard") if tensorboard else None
        self.metrics = HistoryFile(out / METRICS)
        self.drawn = -math.inf

    def start(self) -> None:
        """Write config.json, which makes the directory a run that can be resumed.

        Raises ConfigError if a setting is nothing that could be read again, such as a folder's name
        that is no text.
        """
        settings = stored(self.config.to_json())
        try:
            loads(json.dumps(settings), "settings")
        except ValueError as error:
            raise ConfigError(str(error)) from error
        write_json(self.out / CONFIG, settings)

    def write(
        self,
        history: list[dict[str, Any]],
        status: str,
        error: str | None = None,
        more: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Write all files for this history; returns the result.

        `status`: running, complete, stopped or failed.

        `more` is what else is known of a complete run.
        """
        result = {
            "status": status,
            **settings_of_result(self.config),
            **self.facts,
            **summary(self.task, history),
            **(more or {}),
            **self.origins.result(),
            **({"error": error} if error else {}),
        }
        self.metrics.write(history)
        write_json(self.out / RESULT, result)
        due = status != "running" or time.monotonic() - self.drawn > DRAW_EVERY_SECONDS
        if history and due:
            curves = learning_curves.draw(
                history, self.title(), self.task.loss_title, self.task.curve
            )
            write_whole(self.out / CURVES, curves)
            self.drawn = time.monotonic()
        if self.events is not None:
            self.events.write(history)
        return result

    def fail_running(self, error: str) -> None:
        """Turn a result that says "running" into that of a failed run. Raises OSError."""
        result = self.left()
        if result.get("status") == "running":
            write_json(self.out / RESULT, {**result, "status": "failed", "error": error})

    def left(self) -> dict[str, Any]:
        """The result that an earlier start left; empty where there is none that can be read."""
        try:
            return read_object(self.out / RESULT)
        except (OSError, ValueError):
            return {}

    def epochs_written(self) -> int:
        """Epochs of which an earlier start left results.

        Counted by its metrics or, where they are lost, by its result.

        Raises ResumeError if there is a result that cannot be read: nothing tells what it is of.
        """
        try:
            told = need(read_object(self.out / RESULT), "epochs", int, self.out / RESULT)
        except FileNotFoundError:
            told = 0
        except OSError as error:
            raise ResumeError(f"cannot read {self.out / RESULT}: {error.strerror}") from error
        except ValueError as error:
            raise ResumeError(
                f"{error}: train again with another --out, or delete the file first"
            ) from error
        return max(told, count_lines(self.out / METRICS))

    def only_first_checkpoint_lacking(self, epochs: int) -> bool:
        """Whether so many epochs are those of a start whose first checkpoint found no room.

        Earlier versions wrote the results of that epoch nevertheless; of more epochs there have
        been checkpoints.
        """
        left = self.left()
        return (
            epochs == 1
            and left.get("status") == "failed"
            and str(left.get("error", "")).startswith(NOT_WRITTEN)
        )

    def title(self) -> str:
        """Headline of the picture."""
        model = self.config.model
        blocks = (
            f", {model.blocks} block{'s' if model.blocks != 1 else ''}"
            if "blocks" in model.facts.uses
            else ""
        )
        blocks += f", {model.augment_dims} augmented" if model.augment_dims else ""
        solver = f", {self.config.solve.solver}" if model.ode_blocks else ""
        part = " (bundled sample)" if self.config.data.data == "sample" else ""
        count = f"{self.facts['train_images']:,} training images"
        return f"{model.facts.title}{blocks}{solver} on {self.config.data.dataset}{part}, {count}"

    def close(self) -> None:
        """Close the event files."""
        if self.events is not None:
            self.events.close()
