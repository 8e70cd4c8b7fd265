"""The files of a run for people: settings, metrics, result, plots."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

from jaxode.checks import ConfigError
from jaxode.config import RunConfig
from jaxode.config.migration import stored
from jaxode.plots import learning_curves
from jaxode.runs.directory_lock import CONFIG
from jaxode.runs.files import write_json, write_whole
from jaxode.runs.history import METRICS, History, HistoryFile
from jaxode.runs.origins import Origins
from jaxode.runs.summary import RESULT, settings_of_result, summary
from jaxode.strict_json import JsonObject, loads, read_object
from jaxode.tasks import Task

CURVES = "curves.png"
DRAW_EVERY_SECONDS = 60.0


class RecordFiles:
    """Writes these files into the directory of a run, each whole or not at all.

    Args:
        path: an existing directory.
        config: the settings, whose `data` is "full" or "sample".
        facts: values of result.json beside settings and metrics: counts of images, parameters.
        origins: where the run was trained.
        task: names the metrics.
    """

    def __init__(
        self,
        path: Path,
        config: RunConfig,
        facts: JsonObject,
        origins: Origins,
        task: Task,
    ) -> None:
        self.path, self.config, self.facts, self.origins = path, config, facts, origins
        self.task = task
        self.metrics = HistoryFile(path / METRICS)
        self.drawn = -math.inf

    def write_config(self) -> None:
        """Write config.json, which makes the directory a run that can be resumed.

        Raises:
            ConfigError: a setting could not be read again, such as a folder's name that is no
                text.
            OSError: the file could not be written.
        """
        settings = stored(self.config.to_json())
        try:
            loads(json.dumps(settings), "settings")
        except ValueError as error:
            raise ConfigError(str(error)) from error
        write_json(self.path / CONFIG, settings)

    def write(
        self,
        history: History,
        status: str,
        error: str | None = None,
        report: JsonObject | None = None,
    ) -> JsonObject:
        """Write all files of a history.

        Args:
            history: a line for each epoch.
            status: running, complete, stopped_early, stopped or failed.
            error: why the run has failed.
            report: values of the result of a complete run that come from its predictions.

        Returns:
            the result.

        Raises:
            OSError: a file could not be written.
        """
        result = {
            "status": status,
            **settings_of_result(self.config),
            **self.facts,
            **summary(self.task, history),
            **(report or {}),
            **self.origins.result(),
            **({"error": error} if error else {}),
        }
        self.metrics.write(history)
        write_json(self.path / RESULT, result)
        due = status != "running" or time.monotonic() - self.drawn > DRAW_EVERY_SECONDS
        if history and due:
            curves = learning_curves.draw(
                history, self.title(), self.task.loss_title, self.task.curve
            )
            write_whole(self.path / CURVES, curves)
            self.drawn = time.monotonic()
        return result

    def fail_running(self, error: str) -> None:
        """Turn a result whose status is "running" into that of a failed run.

        Args:
            error: why it has failed.

        Raises:
            OSError: the file could not be written.
        """
        try:
            result = read_object(self.path / RESULT)
        except (OSError, ValueError):
            return
        if result.get("status") == "running":
            write_json(self.path / RESULT, {**result, "status": "failed", "error": error})

    def title(self) -> str:
        """Title of the plots: model, blocks, solver, data set and number of images."""
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
