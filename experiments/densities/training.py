"""The points of a target, the flow that learns them, and what is written of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from flax import nnx

from experiments.densities import cost, images, pictures
from experiments.densities.config import IMAGES, PLANE, TABLES, DensityConfig
from experiments.densities.settings import recorded, run_config
from experiments.written_at_the_start import WrittenAtTheStart, require_same
from jaxode.callbacks import EarlyStopping
from jaxode.checks import require
from jaxode.data import ArrayDataset, BatchStream, Dataset, StreamedDataset
from jaxode.data.densities import TARGETS
from jaxode.data.point_tables import (
    Splits,
    StandardisedSplits,
    gaussian_score,
    read_array,
    read_patches,
    read_wine,
)
from jaxode.inference import InputFacts
from jaxode.inference.input_facts import FILE as INPUTS
from jaxode.models.flow_config import FILE, FlowConfig, create_flow
from jaxode.plots import likelihood_cost
from jaxode.runs import Progress
from jaxode.runs.files import write_json, write_whole
from jaxode.tasks import Density
from jaxode.train import fit


def dataset(config: DensityConfig) -> Dataset:
    """The points of the target: fresh ones in every step if it can be drawn from."""
    if config.target in PLANE:
        return drawn(config)
    if config.target in TABLES:
        path = Path(config.data_dir or "") / TABLES[config.target]
        allowed = f"the folder that holds {path.name}"
        require(path.is_file(), "data_dir", config.data_dir, allowed)
        patches = config.target == "bsds300"
        splits = read_patches(path) if patches else read_wine(path, config.fold)
    else:
        splits = read_array(Path(config.target), config.fold)
    spec = SimpleNamespace(gaussian=gaussian_score(splits), facts=facts_of(splits))
    train, test = ({"points": part} for part in splits)
    held = round(config.validation * len(splits.train))
    if not held:
        return ArrayDataset(Path(config.target).stem, train, test, spec)
    # The rows have been shuffled, and patches come from other images further on.
    parts = splits.train[held:], splits.train[:held]
    train, validation = ({"points": part} for part in parts)
    return ArrayDataset(Path(config.target).stem, train, test, spec, validation=validation)


def facts_of(splits: Splits) -> InputFacts | None:
    """How points of the source are standardised; None where they are not."""
    if not isinstance(splits, StandardisedSplits):
        return None
    return InputFacts(tuple(splits.shift.tolist()), tuple(splits.scale.tolist()))


def drawn(config: DensityConfig) -> StreamedDataset:
    """Points of a density in the plane."""
    target = TARGETS[config.target]

    def read(epoch: int) -> Iterator[dict[str, np.ndarray]]:
        rng = np.random.default_rng([config.seed, 1, epoch])
        for _ in range(config.steps):
            yield {"points": target.draw(rng, config.batch_size).astype(np.float32)}

    test = target.draw(np.random.default_rng([config.seed, 0]), config.test_points)
    words = f"{config.target}, seed {config.seed}, {config.steps} x {config.batch_size}"
    return StreamedDataset(
        config.target,
        BatchStream(read, config.steps * config.batch_size, config.steps),
        {"points": test.astype(np.float32)},
        fingerprint=f"{words}, {config.test_points} test points",
        spec=SimpleNamespace(entropy=target.entropy) if target.exact else SimpleNamespace(),
    )


def train(config: DensityConfig, out: Path, progress: Progress, command: str) -> str:
    """Train, write the run and its pictures; returns the last line to print.

    Raises ConfigError, DataError, ResumeError, Stopped, RunFailed, OSError.
    """
    if config.target in IMAGES:
        return images.train(config, out, progress, command)
    data = dataset(config)
    points: Any = data.splits["test"]
    record = {"command": command, **recorded(config)}
    field = record["field"]
    which = FlowConfig(
        points["points"].shape[1],
        field,
        config.hidden or ("32" if field == "hypernetwork" else "64,64,64"),
        config.width,
        record["activation"],
        record["divergence"],
    )
    settings = run_config(config)
    flow = create_flow(which, settings.solve, nnx.Rngs(config.seed))
    if config.resume:
        require_same(out / FILE, dataclasses.asdict(which))
    monitor = "validation_loss" if "validation" in data.splits else "test_loss"
    stopping = [EarlyStopping(config.patience)] if config.patience else []
    files: dict[str, dict[str, Any]] = {FILE: dataclasses.asdict(which), "density.json": record}
    facts = getattr(data.spec, "facts", None)
    if facts is not None:
        files[INPUTS] = facts.to_json()
    found = fit(
        flow,
        Density(monitor=monitor),
        data,
        settings,
        out=out,
        resume=config.resume,
        callbacks=[WrittenAtTheStart(out, files), *stopping],
        progress=progress,
    )
    report = found.result.get("density", {})
    if config.target in PLANE:
        write_pictures(found.model, config, out, points["points"], report["nats"], record)
    text = last_line(report, data)
    if monitor == "validation_loss":
        epoch = found.result["best_epoch"]
        nats = found.history[epoch - 1]["test_log_likelihood"]
        text += f"; of epoch {epoch}, the best of the validation points, {nats:.4f}"
    return f"{text} ({json.dumps(str(out))})"


def write_pictures(
    flow: Any,
    config: DensityConfig,
    out: Path,
    points: np.ndarray,
    nats: float,
    record: dict[str, Any],
) -> None:
    """The pictures of a flow in the plane, and in density.json the numbers of one of them.

    Args:
      flow: the trained flow.
      config: the run's settings.
      out: its directory.
      points: of the test.
      nats: their mean log-likelihood.
      record: what density.json has so far.
    """
    title = f"{TARGETS[config.target].title}: {nats:.3f} nats"
    write_whole(out / "density.png", pictures.draw(flow, config, title))
    write_whole(out / "flow.gif", pictures.animated(flow, config))
    costs = cost.measured(flow, points)
    write_whole(out / "likelihood_nfe.png", likelihood_cost.draw(costs, title))
    numbers = [each._asdict() for each in costs]
    write_json(out / "density.json", {**record, "likelihood_against_nfe": numbers})


def last_line(report: dict[str, Any], data: Dataset) -> str:
    """The log-likelihood in words."""
    text = f"test log-likelihood {report['nats']:.4f} ± {report['standard_error']:.4f} nats"
    if "gap" in report:
        text += f"; -entropy {-report['entropy']:.3f}, gap {report['gap']:.4f}"
    gaussian = getattr(data.spec, "gaussian", None)
    if gaussian is not None:
        text += f"; a Gaussian {gaussian:.4f}"
    return text
