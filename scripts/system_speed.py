"""Time a training step of a continuous flow and of a latent ODE here and in torchdiffeq.

    python -m scripts.system_speed                   # 20 rounds, a minute or two
    python -m scripts.system_speed --rounds 5 --only "latent ODE"

Loss and gradient of a batch, with the same weights, the same numbers and torchdiffeq's own stepping
on both sides, in float32: the problem of torchdiffeq's examples/cnf.py (its field, its tolerance)
and that of its examples/latent_ode.py (100 spirals of 100 observations at a time; tolerance 1e-5,
since the example's 1e-7 is below what float32 resolves). Compiled and warmed up, then timed in
turn; printed are medians and the ratio within a round, PyTorch's time over ours. Both sides must
give the same loss with as many evaluations. Leave the machine to it.
"""

from __future__ import annotations

import argparse
import json
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
from jaxode.cli.converters import Choice, Number, to_path
from jaxode.cli.parser import Parser, parse_flags
from jaxode.config import SolveConfig
from jaxode.data.densities import TARGETS
from jaxode.data.series import draw_spirals
from jaxode.models import ContinuousFlow, LatentODE, RNNEncoder
from jaxode.nn import Dense, DenseField, HyperField
from jaxode.runs.files import write_whole
from jaxode.runs.provenance import device, versions
from jaxode.tasks import LatentSeries, examples_of, series_of
from scripts.bench.timing import in_turn, ratios, spread
from torch_ref import cnf, latent_ode
from torch_ref.solve import Settings

POINTS = 512
SPIRALS = 100
TOLERANCE = 1e-5
AGREE = 1e-3
"""Most relative difference of the losses, in float32."""

SYSTEMS = ("flow", "latent ODE")
GRADIENTS = {"direct": "tape", "adjoint": "backsolve"}
"""torchdiffeq's two ways to a gradient, and ours."""


class Side(NamedTuple):
    """A call that computes loss and gradient and waits for them, and what it found."""

    call: Callable[[], Any]
    loss: float
    nfe: int


def copied(ours: Any, theirs: torch.nn.Linear) -> None:
    """Give a linear layer PyTorch's weights."""
    ours.kernel[...] = jnp.asarray(theirs.weight.detach().numpy().T)
    ours.bias[...] = jnp.asarray(theirs.bias.detach().numpy())


def solve_of(gradient: str) -> SolveConfig:
    """Torchdiffeq's stepping."""
    return SolveConfig(
        rtol=TOLERANCE,
        atol=TOLERANCE,
        gradient=GRADIENTS[gradient],  # type: ignore[arg-type]
        stepping="torchdiffeq",
    )


def flows(gradient: str) -> tuple[Side, Side]:
    """A step of examples/cnf.py: ours and torchdiffeq's."""
    theirs = cnf.Flow(cnf.HyperField(2), tolerance=TOLERANCE, adjoint=gradient == "adjoint")
    field = HyperField(2, rngs=nnx.Rngs(0))
    for k in (1, 2, 3):
        copied(getattr(field, f"linear{k}"), getattr(theirs.slope.field, f"linear{k}"))
    solve = solve_of(gradient)
    flow = ContinuousFlow(field, 2, solve, data_time=10.0, base_time=0.0, variance=0.1)
    x = TARGETS["circles"].draw(np.random.default_rng(0), POINTS).astype(np.float32)

    def loss(model: Any, x: jax.Array) -> Any:
        log_p, stats = model.log_prob(x)
        return -log_p.mean(), stats.nfe

    given = torch.tensor(x)
    return (
        ours(flow, loss, jnp.asarray(x)),
        torch_side(theirs, lambda: -theirs.log_prob(given).mean(), theirs.slope),
    )


def latent_odes(gradient: str) -> tuple[Side, Side]:
    """A step of examples/latent_ode.py: ours and torchdiffeq's."""
    settings = Settings(rtol=TOLERANCE, atol=TOLERANCE, adjoint=gradient == "adjoint")
    theirs = latent_ode.LatentODE(settings=settings)
    r = nnx.Rngs(0)
    encoder, field = RNNEncoder(2, 4, rngs=r), DenseField(4, 20, 2, "elu", rngs=r)
    decoder = Dense((4, 20, 2), "relu", rngs=r)
    model = LatentODE(encoder, field, decoder, solve_of(gradient))
    copied(encoder.cell, theirs.rec.i2h)
    copied(encoder.readout, theirs.rec.h2o)
    func, dec = theirs.func, theirs.dec
    for layer, other in zip(field.net.layers, (func.fc1, func.fc2, func.fc3), strict=True):
        copied(layer, other)
    for layer, other in zip(decoder.layers, (dec.fc1, dec.fc2), strict=True):
        copied(layer, other)
    series = draw_spirals(SPIRALS, noise=0.3).series
    noise = np.random.default_rng(0).normal(size=(SPIRALS, 4)).astype(np.float32)
    batch = {name: jnp.asarray(array) for name, array in examples_of(series).items()}
    task = LatentSeries(noise_std=0.3)

    def loss(model: Any, batch: Any) -> Any:
        outputs, stats = model.predict(series_of(batch), batch["times"], jnp.asarray(noise)[None])
        return task.losses(outputs, batch).mean(), stats.nfe[0]

    given = [torch.tensor(array) for array in (series.values, series.times[0], noise)]
    return ours(model, loss, batch), torch_side(theirs, lambda: theirs.loss(*given), theirs.func)


def ours(model: nnx.Module, loss: Callable[[Any, Any], Any], batch: Any) -> Side:
    """Loss and gradient of a model, compiled."""
    graph, params = nnx.split(model)

    def work(params: Any, batch: Any) -> Any:
        return loss(nnx.merge(graph, params), batch)

    step = jax.jit(jax.value_and_grad(work, has_aux=True)).lower(params, batch).compile()
    (value, nfe), _ = step(params, batch)
    return Side(lambda: jax.block_until_ready(step(params, batch)), float(value), int(nfe))


def torch_side(model: torch.nn.Module, loss: Callable[[], torch.Tensor], field: Any) -> Side:
    """Loss and gradient of PyTorch's model."""

    def call() -> float:
        model.zero_grad()
        value = loss()
        value.backward()
        return value.item()

    before = field.nfe
    with torch.no_grad():
        loss()
    nfe = field.nfe - before
    return Side(call, call(), nfe)


def row(system: str, gradient: str, rounds: int) -> dict[str, Any]:
    """Times of both sides in turn, as JSON values.

    Raises:
      ConfigError: the sides do not do the same.
    """
    torch.manual_seed(0)
    mine, theirs = (flows if system == "flow" else latent_odes)(gradient)
    if abs(mine.loss - theirs.loss) > AGREE * abs(theirs.loss):
        raise ConfigError(f"both sides must have the same loss, got {mine.loss} and {theirs.loss}")
    if mine.nfe != theirs.nfe:
        raise ConfigError(f"both sides must evaluate as often, got {mine.nfe} and {theirs.nfe}")
    seconds, _ = in_turn({"jaxode": mine.call, "torchdiffeq": theirs.call}, rounds)
    return {
        "system": system,
        "gradient": gradient,
        "nfe": mine.nfe,
        "milliseconds": {name: 1e3 * spread(each).median for name, each in seconds.items()},
        "ratio": spread(ratios(seconds["torchdiffeq"], seconds["jaxode"]))._asdict(),
        "rounds": rounds,
    }


def shown(found: dict[str, Any]) -> str:
    """The line of a row."""
    times, ratio = found["milliseconds"], found["ratio"]
    return (
        f"{found['system']}, {found['gradient']}: {times['jaxode']:.1f} ms here,"
        f" {times['torchdiffeq']:.1f} in torchdiffeq, {found['nfe']} evaluations; ratio"
        f" {ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"
    )


def build_parser() -> Parser:
    """The flags."""
    parser = Parser.from_doc("python -m scripts.system_speed", __doc__)
    add = parser.add_argument
    add("--rounds", type=Number(int, Range(1, 1000)), default=20, metavar="N", help="(20)")
    add("--only", type=Choice(SYSTEMS), metavar="NAME", help=f"{' or '.join(SYSTEMS)}")
    add("--json", type=to_path, metavar="FILE", help="write the figures as JSON")
    return parser


@process.command("scripts.system_speed")
def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = build_parser()
    options = argparse.Namespace(**parse_flags(parser, argv))
    found = []
    try:
        for system in (options.only,) if options.only else SYSTEMS:
            for gradient in GRADIENTS:
                found.append(row(system, gradient, options.rounds))
                print(shown(found[-1]), flush=True)
    except ConfigError as error:
        return process.report(parser.prog, error, 1)
    if options.json is not None:
        whole = {"rows": found, "device": device(), "versions": versions()}
        write_whole(options.json, (json.dumps(whole, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
