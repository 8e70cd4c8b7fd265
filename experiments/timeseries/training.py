"""The model that learns a data set of series, and what is written of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from flax import nnx

from experiments.run_settings import run_settings
from experiments.timeseries import pictures
from experiments.timeseries.config import SeriesConfig
from experiments.timeseries.data import Problem, problem
from experiments.written_at_the_start import WrittenAtTheStart, require_same
from jaxode.callbacks import EarlyStopping
from jaxode.config import RunConfig
from jaxode.inference.input_facts import FILE as INPUTS
from jaxode.models.series_config import FILE, SeriesModelConfig, create_series_model
from jaxode.runs import Progress
from jaxode.runs.files import write_whole
from jaxode.train import fit


def model_of(config: SeriesConfig, found: Problem) -> SeriesModelConfig:
    """Which model the settings ask for. Raises ConfigError."""
    latent = config.chosen("model") == "latent_ode"
    linear = config.data == "physionet"  # as Rubanova et al. have it
    return SeriesModelConfig(
        found.channels,
        found.outputs,
        config.chosen("model"),
        encoder=config.chosen("encoder"),
        hidden=config.chosen("hidden"),
        latent=config.chosen("latent"),
        units=config.chosen("units"),
        layers=config.chosen("layers"),
        activation="tanh" if linear or not latent else "elu",
        decoder=0 if linear else 20,
    )


def settings_of(config: SeriesConfig) -> RunConfig:
    """Settings of the run. Raises ConfigError."""
    usual = {"neural_cde": "rk4", "ode_rnn": "euler"}
    solver = config.solver or usual.get(config.chosen("model"), "dopri5")
    step = config.step_size
    if step is None and config.solver is None and solver in ("rk4", "euler"):
        step = 1.0
    return run_settings(
        config,
        solver=solver,
        step_size=step,
        per_sample=step is None,
        feed="streamed" if config.data == "physionet" else "auto",
        **{name: config.chosen(name) for name in ("lr", "epochs", "batch_size")},
    )


def train(config: SeriesConfig, out: Path, progress: Progress, command: str) -> str:
    """Train, write the run and its pictures; returns the last line to print.

    Raises ConfigError, DataError, ResumeError, Stopped, RunFailed, OSError.
    """
    found = problem(config)
    which, settings = model_of(config, found), settings_of(config)
    model = create_series_model(which, settings.solve, nnx.Rngs(config.seed), found.means)
    if config.resume:
        require_same(out / FILE, dataclasses.asdict(which))
    files = {
        FILE: dataclasses.asdict(which),
        INPUTS: found.facts.to_json(),
        "experiment.json": {"command": command, **dataclasses.asdict(config)},
    }
    stopping = [EarlyStopping(config.patience)] if config.patience else []
    done = fit(
        model,
        found.task,
        found.dataset,
        settings,
        out=out,
        resume=config.resume,
        callbacks=[WrittenAtTheStart(out, files), *stopping],
        progress=progress,
    )
    for name, drawn in pictures.drawn(done.model, found.dataset, done.result).items():
        write_whole(out / name, drawn)
    return last_line(done.result, done.history, out)


def last_line(result: dict[str, Any], history: list[dict[str, Any]], out: Path) -> str:
    """What the run found, at its end and in the epoch that the validation series choose."""
    best = history[result["best_epoch"] - 1]
    if "test_accuracy" in best:
        last, chosen = (100 * line["test_accuracy"] for line in (history[-1], best))
        text = f"test accuracy {last:.2f} %; {chosen:.2f} %"
    else:
        last, chosen = history[-1], best
        auroc = result.get("latent_series", {}).get("auroc")
        also = "" if auroc is None else f", AUROC {auroc:.4f}"
        text = f"test {errors(last)}{also}; {errors(chosen)}"
    where = f"in epoch {result['best_epoch']}, the best of the validation series"
    return f"{text} {where} ({json.dumps(str(out))})"


def errors(line: dict[str, Any]) -> str:
    """The errors of an epoch."""
    text = f"RMSE {line['test_rmse']:.4f}"
    return f"{text}, MSE {line['test_mse']:.3e}" if "test_mse" in line else text
