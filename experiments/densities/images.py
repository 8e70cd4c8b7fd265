"""Flows of images: the data, the training, the bits per dimension and a sheet of samples."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments.densities.config import DensityConfig
from experiments.densities.settings import run_config
from experiments.written_at_the_start import WrittenAtTheStart, require_same
from jaxode.callbacks import EarlyStopping
from jaxode.config import DataConfig
from jaxode.data import ArrayDataset, load
from jaxode.models import ImageFlow
from jaxode.models.image_flow_config import FILE, ImageFlowConfig, create_image_flow
from jaxode.models.pixels import bits_per_dimension
from jaxode.plots.image_sheet import image_sheet
from jaxode.runs import Progress
from jaxode.runs.files import write_json, write_whole
from jaxode.tasks import ImageDensity
from jaxode.train import fit

SAMPLES = 64
"""Images of the sheet."""

COLUMNS = 16

EXACT_AT_ONCE = 4
"""Images whose exact divergence is computed together: their memory grows with D²."""


def dataset(config: DensityConfig) -> ArrayDataset:
    """The images as bytes, and a validation split if one is asked for. Raises DataError."""
    wanted = DataConfig(
        dataset=config.target,
        data_dir=config.data_dir,
        limit_train=config.limit_train or None,
        limit_test=config.limit_test or None,
    )
    found = load(wanted)
    train, test = ({"points": each} for each in (found.train_images, found.test_images))
    held, validation = round(config.validation * len(found.train_images)), None
    if held:
        order = np.random.default_rng(0).permutation(len(found.train_images))
        validation = {"points": found.train_images[order[:held]]}
        train = {"points": found.train_images[order[held:]]}
    spec = SimpleNamespace()
    return ArrayDataset(f"{config.target}-{found.source}", train, test, spec, validation=validation)


def flow_config(config: DensityConfig, shape: tuple[int, int, int]) -> ImageFlowConfig:
    """Which flow. Raises ConfigError."""
    several = config.scales > 1
    hidden = config.hidden or ("64,64,64" if several else "8,32,32,8")
    plain = ",".join(["1"] * (hidden.count(",") + 2))
    usual = plain if several or config.hidden else "2,2,1,-2,-2"
    return ImageFlowConfig(
        *shape,
        hidden=hidden,
        strides=config.strides or usual,
        layer=config.field or "concat",
        activation=config.activation or "softplus",
        scales=config.scales,
        blocks=config.blocks,
        noise=config.divergence or "rademacher",
    )


def train(config: DensityConfig, out: Path, progress: Progress, command: str) -> str:
    """Train, write the run and its samples; returns the last line to print.

    Raises ConfigError, DataError, ResumeError, Stopped, RunFailed, OSError.
    """
    data = dataset(config)
    images: Any = data.splits["test"]["points"]
    which = flow_config(config, images.shape[1:])
    settings = run_config(config)
    flow = create_image_flow(which, settings.solve, nnx.Rngs(config.seed))
    if config.resume:
        require_same(out / FILE, dataclasses.asdict(which))
    monitor = "validation_loss" if "validation" in data.splits else "test_loss"
    stopping = [EarlyStopping(config.patience)] if config.patience else []
    record = {"command": command, **dataclasses.asdict(config)}
    files = {FILE: dataclasses.asdict(which), "density.json": record}
    found = fit(
        flow,
        ImageDensity(flow.dimensions, monitor=monitor),
        data,
        settings,
        out=out,
        resume=config.resume,
        callbacks=[WrittenAtTheStart(out, files), *stopping],
        progress=progress,
    )
    report, trained = found.result["density"], found.model
    assert isinstance(trained, ImageFlow)
    samples, stats = jax.jit(lambda key: trained.sample(key, SAMPLES))(jax.random.key(config.seed))
    write_whole(out / "samples.png", image_sheet(np.asarray(samples), COLUMNS))
    record["samples"] = {"images": SAMPLES, "nfe": np.asarray(stats.nfe).tolist()}
    text = f"test {report['bits_per_dim']:.4f} ± {report['standard_error']:.4f} bits/dim"
    text += " by Hutchinson's estimate"
    if config.exact_images:
        record["exact"] = exact = exactly(trained, images[: config.exact_images])
        text += (
            f"; of the first {exact['images']} images {exact['bits_per_dim']:.4f} exactly,"
            f" {exact['estimated']:.4f} by the estimate"
        )
    write_json(out / "density.json", record)
    return f"{text} ({out})"


def exactly(flow: ImageFlow, images: np.ndarray) -> dict[str, float]:
    """Bits per dimension of images with the exact divergence, and with the estimate."""
    size = min(EXACT_AT_ONCE, len(images))
    count = -(-len(images) // size)
    parts = np.split(np.resize(images, (count * size, *images.shape[1:])), count)
    exact = jax.jit(lambda pixels: flow.exact_log_prob(pixels)[0])
    estimate = jax.jit(lambda pixels: flow(pixels)[0])
    means = [
        float(bits_per_dimension(jnp.concatenate(each)[: len(images)].mean(), flow.dimensions))
        for each in ([work(jnp.asarray(part)) for part in parts] for work in (exact, estimate))
    ]
    return {"images": len(images), "bits_per_dim": means[0], "estimated": means[1]}
