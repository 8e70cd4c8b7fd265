"""Time the gradient of an ODE block under each regulariser against that without any.

    python -m scripts.regulariser_cost
    python -m scripts.regulariser_cost --cpu-time      # of the process, where the machine is shared

The block has a convolutional field on maps of 7x7, in float32 with dopri5 at 1e-3. All are compiled
and warmed up, then timed in turn; printed are evaluations, medians, and the median and ends of the
ratio within a round.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxode.checks import Range
from jaxode.cli import process
from jaxode.cli.converters import Number
from jaxode.cli.parser import Parser, parse_flags
from jaxode.config import BATCHES, WIDTHS, SolveConfig
from jaxode.nn import ConvField, ODEBlock, begin_training, end_training
from jaxode.types import Training
from scripts.bench.timing import in_turn, ratios, spread

NONE = "none"
SETTINGS = (NONE, "error=1", "kinetic=0.01", "jacobian=0.01")


def gradient_of(regularise: str, batch_size: int, width: int) -> Callable[[], Any]:
    """A compiled call: (gradient, evaluations); it waits for the result."""
    text = None if regularise == NONE else regularise
    block = ODEBlock(ConvField(width, rngs=nnx.Rngs(0)), SolveConfig(regularise=text))
    graph, params = nnx.split(block, nnx.Param)
    z = jax.random.normal(jax.random.key(0), (batch_size, 7, 7, width), jnp.float32)
    training = Training(jax.random.split(jax.random.key(1), batch_size), jnp.ones(batch_size))

    def loss(params: Any) -> tuple[jax.Array, jax.Array]:
        module: Any = nnx.merge(graph, params)
        begin_training(module, training, jax.random.key(2))
        out, stats = module(z)
        return jnp.sum(out**2) + end_training(module), stats.nfe

    step = jax.jit(jax.grad(loss, has_aux=True))
    return lambda: jax.block_until_ready(step(params))


def build_parser() -> Parser:
    """The flags."""
    parser = Parser.from_doc("python -m scripts.regulariser_cost", __doc__)
    add = parser.add_argument
    add("--batch-size", type=Number(int, BATCHES), default=64, metavar="N", help="maps (64)")
    add("--width", type=Number(int, WIDTHS), default=64, metavar="N", help="channels (64)")
    add("--rounds", type=Number(int, Range(1, 1000)), default=12, metavar="N", help="(12)")
    add("--cpu-time", action="store_true", help="time of the process in place of the clock's")
    return parser


@process.command("scripts.regulariser_cost")
def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    options = argparse.Namespace(**parse_flags(build_parser(), argv))
    calls = {name: gradient_of(name, options.batch_size, options.width) for name in SETTINGS}
    evaluations = {name: int(call()[1]) for name, call in calls.items()}
    clock = time.process_time if options.cpu_time else time.perf_counter
    seconds, _ = in_turn(calls, options.rounds, clock=clock)
    for name, found in seconds.items():
        ratio = spread(ratios(found, seconds[NONE]))
        print(
            f"{name}: {evaluations[name]} evaluations, {1e3 * spread(found).median:.1f} ms,"
            f" {ratio.median:.2f} of none ({ratio.low:.2f} to {ratio.high:.2f})"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
