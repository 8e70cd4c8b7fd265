"""Time a training step of an own field in an own module against that of the built-in ODENet.

    python -m scripts.own_field                      # 96x96 pictures, 64 at a time
    python -m scripts.own_field --side 28 --stem quarter --batch-size 128

Both have the same layers, parameters, images and steps, and must give the same loss. They are
compiled and warmed up, then timed in turn; printed are medians, and the median and ends of the
ratio within a round. Two more own fields are of single layers, and of Flax's (`--flax`). Leave the
machine to it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxode.checks import ConfigError, Range
from jaxode.cli import process
from jaxode.cli.converters import Choice, Number, to_path
from jaxode.cli.parser import Parser, parse_flags
from jaxode.config import BATCHES, WIDTHS, ModelConfig, SolveConfig
from jaxode.models import create_model
from jaxode.nn import Downsample, GroupNorm, Head, NormReluConv, ODEBlock, TimeConv
from jaxode.nn.kernels import kernels_name
from jaxode.runs.files import write_whole
from jaxode.runs.provenance import device, versions
from jaxode.train.objective import mean_cross_entropy
from scripts.bench.timing import in_turn, ratios, spread

CLASSES = 10
STEMS = {"quarter": 3, "eighth": 4, "sixteenth": 5}
"""Convolutions of each stem."""

SOLVE = SolveConfig(rtol=1e-3, atol=1e-3)
TOLERANCE = 1e-3
"""Most relative difference of the losses, of layers that are the same and kernels that are not."""

BUILT_IN, OWN, SINGLE, FLAX = (
    "built-in ODENet",
    "own field",
    "own field of single layers",
    "own field of Flax's layers",
)


class OwnField(nnx.Module):
    """The field of `jaxode.nn.ConvField`, as a user writes it of jaxode's layers."""

    def __init__(self, width: int, rngs: nnx.Rngs) -> None:
        self.layers = NormReluConv(width, layers=2, norm=True, rngs=rngs)

    def __call__(self, t: Any, z: jax.Array) -> jax.Array:
        """dz/dt [B, H, W, C] at time t."""
        return self.layers(t, z)


class SingleLayers(nnx.Module):
    """The same of norms and convolutions."""

    def __init__(self, width: int, rngs: nnx.Rngs) -> None:
        self.norm1, self.conv1 = GroupNorm(width), TimeConv(width, rngs=rngs)
        self.norm2, self.conv2 = GroupNorm(width), TimeConv(width, rngs=rngs)
        self.norm3 = GroupNorm(width)

    def __call__(self, t: Any, z: jax.Array) -> jax.Array:
        """dz/dt [B, H, W, C] at time t."""
        out = self.conv1(t, jax.nn.relu(self.norm1(z)))
        out = self.conv2(t, jax.nn.relu(self.norm2(out)))
        return self.norm3(out)


class FlaxField(nnx.Module):
    """The same of Flax's layers."""

    def __init__(self, width: int, rngs: nnx.Rngs) -> None:
        norms = [nnx.GroupNorm(width, GroupNorm(width).groups, rngs=rngs) for _ in range(3)]
        self.norms = nnx.List(norms)
        self.convs = nnx.List([nnx.Conv(width + 1, width, (3, 3), rngs=rngs) for _ in range(2)])

    def __call__(self, t: Any, z: jax.Array) -> jax.Array:
        """dz/dt [B, H, W, C] at time t."""
        clock = jnp.broadcast_to(t, (*z.shape[:3], 1)).astype(z.dtype)
        for norm, conv in zip(self.norms, self.convs, strict=False):
            z = conv(jnp.concatenate([clock, jax.nn.relu(norm(z))], -1))
        return self.norms[2](z)


class OwnNet(nnx.Module):
    """A stem, an ODE block of an own field, a head."""

    def __init__(self, field: nnx.Module, width: int, convolutions: int, rngs: nnx.Rngs) -> None:
        self.stem = Downsample(3, width, convolutions, rngs=rngs)
        self.block = ODEBlock(field, SOLVE)
        self.head = Head(width, CLASSES, rngs=rngs)

    def __call__(self, images: jax.Array) -> Any:
        """Logits [B, K] and the statistics of the solve."""
        z, stats = self.block(self.stem(images))
        return self.head(z), stats


def models(side: int, width: int, stem: str) -> dict[str, Any]:
    """The built-in model and own ones with its parameters, by name."""
    built_in: Any = create_model(
        ModelConfig("odenet", 1, width, stem=stem),  # type: ignore[arg-type]
        SOLVE,
        image_shape=(side, side, 3),
        classes=CLASSES,
        rngs=nnx.Rngs(0),
    )
    fields = {OWN: OwnField, SINGLE: SingleLayers, FLAX: FlaxField}
    own = {
        n: OwnNet(f(width, nnx.Rngs(0)), width, STEMS[stem], nnx.Rngs(0)) for n, f in fields.items()
    }
    field = built_in.blocks[0].field
    for model in own.values():
        nnx.update(model.stem, nnx.state(built_in.downsample))
        nnx.update(model.head, nnx.state(built_in.head))
    nnx.update(own[SINGLE].block.field, nnx.state(field))
    parts = (field.norm1, field.norm2, field.norm3), (field.conv1, field.conv2)
    ours: Any = own[OWN].block.field.layers
    for layers, built in zip((ours.norms, ours.convs), parts, strict=True):
        for layer, part in zip(layers, built, strict=True):
            nnx.update(layer, nnx.state(part))
    theirs: Any = own[FLAX].block.field
    for norm, part in zip(theirs.norms, parts[0], strict=True):
        norm.epsilon = 1e-5
        nnx.update(norm, nnx.state(part))
    for conv, part in zip(theirs.convs, parts[1], strict=True):
        nnx.update(conv, nnx.state(part))
    return {BUILT_IN: built_in, **own}


def step_of(model: Any, images: jax.Array, labels: jax.Array) -> Callable[[], Any]:
    """A compiled call: ((loss, (logits, statistics)), gradient); it waits for the result."""
    graph, params = nnx.split(model)

    def loss(params: Any, images: jax.Array) -> Any:
        return mean_cross_entropy(graph, params, images, labels)

    step = jax.jit(jax.value_and_grad(loss, has_aux=True)).lower(params, images).compile()
    return lambda: jax.block_until_ready(step(params, images))


def measured(
    options: argparse.Namespace, clock: Callable[[], float] = time.perf_counter
) -> dict[str, Any]:
    """Times of all sides in turn, as JSON values.

    Raises:
      ConfigError: the sides do not compute the same.
    """
    rng = np.random.default_rng(0)
    side, size = options.side, options.batch_size
    images = jnp.asarray(rng.normal(size=(size, side, side, 3)), jnp.float32)
    labels = jnp.asarray(rng.integers(CLASSES, size=size))
    found = models(side, options.width, options.stem)
    names = [name for name in found if name != FLAX or options.flax]
    calls = {name: step_of(found[name], images, labels) for name in names}
    losses = {name: float(call()[0][0]) for name, call in calls.items()}
    expected = losses[BUILT_IN]
    if any(abs(loss - expected) > TOLERANCE * expected for loss in losses.values()):
        raise ConfigError(f"all sides must have the same loss, got {losses}")
    (_, (_, stats)), _ = calls[BUILT_IN]()
    seconds, _ = in_turn(calls, options.rounds, clock=clock)
    return {
        "side": side,
        "batch_size": size,
        "width": options.width,
        "stem": options.stem,
        "kernels": kernels_name(),
        "nfe": int(stats.nfe.sum()),
        "rounds": options.rounds,
        "milliseconds": {name: 1e3 * spread(each).median for name, each in seconds.items()},
        "ratio": {
            name: spread(ratios(each, seconds[BUILT_IN]))._asdict()
            for name, each in seconds.items()
            if name != BUILT_IN
        },
        "device": device(),
        "versions": versions(),
    }


def shown(row: dict[str, Any]) -> str:
    """The lines that are printed."""
    lines = [
        f"{row['side']}x{row['side']} pictures, {row['batch_size']} at a time, width"
        f" {row['width']}, stem {row['stem']}, kernels {row['kernels']}, {row['nfe']} evaluations"
    ]
    for name, milliseconds in row["milliseconds"].items():
        line = f"{name}: {milliseconds:.1f} ms a step"
        if name in row["ratio"]:
            line += ", {median:.3f} of it ({low:.3f} to {high:.3f})".format(**row["ratio"][name])
        lines.append(line)
    return "\n".join(lines)


def build_parser() -> Parser:
    """The flags."""
    parser = Parser.from_doc("python -m scripts.own_field", __doc__)
    add = parser.add_argument
    add("--side", type=Number(int, Range(16, 512)), default=96, metavar="N", help="pixels (96)")
    add("--batch-size", type=Number(int, BATCHES), default=64, metavar="N", help="pictures (64)")
    add("--width", type=Number(int, WIDTHS), default=64, metavar="N", help="channels (64)")
    add("--stem", type=Choice(tuple(STEMS)), default="eighth", metavar="NAME", help="(eighth)")
    add("--rounds", type=Number(int, Range(1, 1000)), default=10, metavar="N", help="(10)")
    add("--flax", action="store_true", help="time Flax's layers too, which takes long on a CPU")
    add("--json", type=to_path, metavar="FILE", help="write the figures as JSON")
    return parser


@process.command("scripts.own_field")
def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = build_parser()
    options = argparse.Namespace(**parse_flags(parser, argv))
    try:
        row = measured(options)
    except ConfigError as error:
        return process.report(parser.prog, error, 1)
    print(shown(row))
    if options.json is not None:
        write_whole(options.json, (json.dumps(row, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
