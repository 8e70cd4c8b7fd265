"""The model that learns depth, and what is written of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from flax import nnx

from experiments.depths import pictures
from experiments.depths.config import DepthConfig
from experiments.depths.data import Problem, problem
from experiments.run_settings import run_settings
from experiments.written_at_the_start import WrittenAtTheStart, require_same
from jaxode.callbacks import EarlyStopping
from jaxode.models.depth_config import FILE, DepthModelConfig, create_depth_model
from jaxode.runs import Progress
from jaxode.runs.files import write_whole
from jaxode.runs.run_directory import RunDirectory
from jaxode.tasks import DepthEstimation
from jaxode.train import fit


def sizes_of(config: DepthConfig, size: tuple[int, int]) -> DepthModelConfig:
    """The model for pictures of a size, whose statistics are not known. Raises ConfigError."""
    return DepthModelConfig(
        encoder=config.encoder,
        width=config.width,
        vgg_width=config.vgg_width,
        decoder=config.decoder,
        height=size[0],
        columns=size[1],
    )


def model_of(config: DepthConfig, found: Problem) -> DepthModelConfig:
    """Which model the settings ask for. Raises ConfigError."""
    numbers = {"mean": found.mean, "std": found.std, "mean_log_depth": found.mean_log_depth}
    return dataclasses.replace(sizes_of(config, found.size), **numbers)


def train(config: DepthConfig, out: Path, progress: Progress, command: str) -> str:
    """Train, write the run and its pictures; returns the last line to print.

    Raises ConfigError, DataError, ResumeError, Stopped, RunFailed, OSError.
    """
    settings = run_settings(config)
    found = problem(config)
    for line in found.malformed:
        progress.warn(f"left out: {line}")
    which = model_of(config, found)
    if config.resume:
        require_same(out / FILE, json.loads(json.dumps(dataclasses.asdict(which))))
    model = create_depth_model(which, settings.solve, nnx.Rngs(config.seed))
    files = {
        FILE: dataclasses.asdict(which),
        "experiment.json": {
            "command": command,
            **dataclasses.asdict(config),
            "left_out": len(found.malformed),
        },
    }
    task = DepthEstimation(config.loss)
    stopping = [EarlyStopping(config.patience)] if config.patience else []
    done = fit(
        model,
        task,
        found.dataset,
        settings,
        out=out,
        resume=config.resume,
        callbacks=[WrittenAtTheStart(out, files), *stopping],
        progress=progress,
    )
    errors = RunDirectory(out).predictions(task)
    if errors is not None:
        for name, drawn in pictures.drawn(done.model, found.dataset, settings, errors).items():
            write_whole(out / name, drawn)
    return last_line(done.result, out)


def last_line(result: dict[str, Any], out: Path) -> str:
    """What the run found in its last epoch."""
    rel, rms, log10, *shares = (
        result[f"test_{name}"] for name in ("rel", "rms", "log10", "delta1", "delta2", "delta3")
    )
    deltas = ", ".join(f"δ{power} {share:.3f}" for power, share in enumerate(shares, 1))
    where = json.dumps(str(out))
    return f"test rel {rel:.4f}, rms {rms:.4f} m, log10 {log10:.4f}, {deltas} ({where})"
