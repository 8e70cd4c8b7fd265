"""Time a training step of Faster R-CNN here and in torchvision, in turn.

    python -m scripts.detector_speed                      # 10 rounds of 2 images of 240 x 320
    python -m scripts.detector_speed --rounds 5 --batch-size 4 --json speed.json

Losses and gradients of a batch by the detector with the residual backbone of
`experiments.detection` (six blocks of 64 channels at an eighth of the sides), with the same
weights, images and objects and equal numbers of anchors, proposals and sampled boxes, in float32.
torchvision's operators in C++ do not load beside a PyTorch for CPUs: its RoIAlign then runs as
Python, so it is timed both with that and with one of `grid_sample`, which gives the same; and its
suppression, which is given to it, goes over a matrix of overlaps. The quicker of the two is the
rival. Compiled and warmed up, then timed in turn; printed are medians and the ratio within a round,
PyTorch's time over ours. The samples that the losses are means over are drawn by each side, so the
losses are about the same, not equal. Leave the machine to it.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from jaxode.checks import ConfigError, Range
from jaxode.cli import process
from jaxode.cli.converters import Number, to_path
from jaxode.cli.parser import Parser, parse_flags
from jaxode.interop import torchvision_model
from jaxode.models import DetectorInputs, parameter_count
from jaxode.models.detector_config import DetectorConfig
from jaxode.runs.files import write_whole
from jaxode.runs.provenance import origin
from jaxode.types import Training
from scripts.bench.timing import in_turn, ratios, spread
from torch_ref import vision
from torch_ref.backbone import backbone

SIZES = DetectorConfig(3, backbone="resnet", blocks=6)
OBJECTS = 14
"""In an image; BCCD's training images have 13.5 in the mean."""

AGREE = 0.5
"""Most relative difference of the losses, whose samples are drawn anew by each side."""

OURS, PYTHON, GRID = "jaxode", "torchvision", "torchvision, RoIAlign by grid_sample"


class Examples(NamedTuple):
    """Images [B, H, W, 3] and their objects: boxes [B, M, 4] and classes [B, M]."""

    images: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray


def drawn(sizes: DetectorConfig, batch: int) -> Examples:
    """Images of noise with objects at random places, of 16 pixels to a third of the image."""
    rng = np.random.default_rng(0)
    sides = np.array([sizes.columns, sizes.rows], np.float32)
    extent = rng.uniform(16, np.maximum(sides / 3, 17), (batch, OBJECTS, 2))
    low = rng.uniform(0, 1, extent.shape) * (sides - extent)
    boxes = np.concatenate([low, low + extent], -1).astype(np.float32)
    images = rng.normal(size=(batch, sizes.rows, sizes.columns, 3)).astype(np.float32)
    return Examples(images, boxes, rng.integers(0, sizes.classes, (batch, OBJECTS)))


class Side(NamedTuple):
    """A call that computes losses and gradients and waits for them; the loss that it found."""

    call: Callable[[], Any]
    loss: float


def theirs(sizes: DetectorConfig, *, sampled_by_grid: bool) -> torch.nn.Module:
    """Torchvision's detector of the sizes; the weights are always the same."""
    torch.manual_seed(0)
    settings = sizes.settings
    return vision.faster_rcnn(
        backbone("resnet", sizes.width, 3 if sizes.stem == "eighth" else 4, sizes.blocks),
        sizes.classes,
        sizes=settings.sizes,
        ratios=settings.ratios,
        hidden=sizes.hidden,
        before=settings.before,
        after=settings.after,
        anchor_sample=settings.anchor_sample,
        box_sample=settings.box_sample,
        stride=sizes.stride,
        sampled_by_grid=sampled_by_grid,
    ).train()


def torch_side(model: torch.nn.Module, examples: Examples) -> Side:
    """Losses and gradients of torchvision's detector."""
    pictures = [torch.tensor(image.transpose(2, 0, 1)) for image in examples.images]
    targets = [
        {"boxes": torch.tensor(boxes), "labels": torch.tensor(classes + 1)}
        for boxes, classes in zip(examples.boxes, examples.classes, strict=True)
    ]

    def call() -> float:
        model.zero_grad()
        loss: Any = sum(model(pictures, targets).values())
        loss.backward()
        return loss.item()

    return Side(call, call())


def our_side(sizes: DetectorConfig, weights: dict[str, np.ndarray], examples: Examples) -> Side:
    """Losses and gradients of our detector with torchvision's weights, compiled."""
    names = ("anchors", "ratios", "proposals", "boxes", "rows", "columns")
    given: dict[str, Any] = {name: getattr(sizes, name) for name in names}
    model = torchvision_model(weights, **given)
    if parameter_count(model) != sum(array.size for array in weights.values()):
        raise ConfigError("both sides must have as many parameters")
    graph, params = nnx.split(model)
    batch = len(examples.images)
    inputs = DetectorInputs(
        jnp.asarray(examples.images),
        jnp.tile(jnp.array([[sizes.rows, sizes.columns]], jnp.float32), (batch, 1)),
        jnp.asarray(examples.boxes),
        jnp.asarray(examples.classes, jnp.int32),
    )
    training = Training(jax.random.split(jax.random.key(0), batch), jnp.ones(batch))

    def loss(params: Any, inputs: DetectorInputs) -> jax.Array:
        built: Any = nnx.merge(graph, params)
        with jax.default_matmul_precision("highest"):
            return built(inputs, training)[0].losses.sum(1).mean()

    step = jax.jit(jax.value_and_grad(loss)).lower(params, inputs).compile()
    value, _ = step(params, inputs)
    return Side(lambda: jax.block_until_ready(step(params, inputs)), float(value))


def measured(sizes: DetectorConfig, batch: int, rounds: int) -> dict[str, Any]:
    """Times of all sides in turn, as JSON values.

    Args:
      sizes: of the detector, with residual blocks.
      batch: images of a step.
      rounds: timed steps of each side.

    Raises:
      ConfigError: the sides do not do the same, or one failed.
    """
    examples = drawn(sizes, batch)
    models = {
        PYTHON: theirs(sizes, sampled_by_grid=False),
        GRID: theirs(sizes, sampled_by_grid=True),
    }
    weights = {name: each.detach().numpy() for name, each in models[PYTHON].state_dict().items()}
    sides = {OURS: our_side(sizes, weights, examples)}
    sides |= {name: torch_side(model, examples) for name, model in models.items()}
    losses = {name: side.loss for name, side in sides.items()}
    if max(losses.values()) > (1 + AGREE) * min(losses.values()):
        raise ConfigError(f"all sides must have about the same loss, got {losses}")
    seconds, failures = in_turn({name: side.call for name, side in sides.items()}, rounds)
    if failures:
        raise ConfigError("; ".join(f"{name}: {why}" for name, why in failures.items()))
    middle = {name: spread(each).median for name, each in seconds.items()}
    return {
        "sizes": dataclasses.asdict(sizes),
        "batch": batch,
        "objects": OBJECTS,
        "rounds": rounds,
        "torch_threads": torch.get_num_threads(),
        "losses": losses,
        "milliseconds": {name: 1e3 * each for name, each in middle.items()},
        "ratios": {name: spread(ratios(seconds[name], seconds[OURS]))._asdict() for name in models},
        "rival": min(models, key=lambda name: middle[name]),
    }


def shown(found: dict[str, Any]) -> str:
    """A line for each side."""
    lines = [f"{OURS}: {found['milliseconds'][OURS]:.0f} ms a step"]
    for name, ratio in found["ratios"].items():
        rival = " (the rival)" if name == found["rival"] else ""
        lines.append(
            f"{name}{rival}: {found['milliseconds'][name]:.0f} ms; ratio {ratio['median']:.2f}"
            f" ({ratio['low']:.2f} to {ratio['high']:.2f})"
        )
    return "\n".join(lines)


def build_parser() -> Parser:
    """The flags."""
    parser = Parser.from_doc("python -m scripts.detector_speed", __doc__)
    add, counts = parser.add_argument, Range(1, 1000)
    add("--rounds", type=Number(int, counts), default=10, metavar="N", help="(10)")
    add("--batch-size", type=Number(int, counts), default=2, metavar="N", help="images (2)")
    add("--json", type=to_path, metavar="FILE", help="write the figures as JSON")
    return parser


@process.command("scripts.detector_speed")
def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = build_parser()
    words = list(sys.argv[1:] if argv is None else argv)
    options = argparse.Namespace(**parse_flags(parser, words))
    if importlib.util.find_spec("torchvision") is None:
        return process.report(parser.prog, ConfigError("torchvision must be installed"), 2)
    try:
        found = measured(SIZES, options.batch_size, options.rounds)
    except ConfigError as error:
        return process.report(parser.prog, error, 1)
    print(shown(found))
    if options.json is not None:
        command = shlex.join(["python", "-m", "scripts.detector_speed", *words])
        whole = {"origin": origin(command, "torch", "torchvision"), **found}
        write_whole(options.json, (json.dumps(whole, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
