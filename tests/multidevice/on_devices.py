"""Trains small models on eight virtual devices, spread in every way; run as a program, whose
results are JSON.

A process has as many devices as it starts with, so this is no test module: `test_devices` starts
it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from stubs import image_set  # noqa: E402

from jaxode.config import (  # noqa: E402
    DataConfig,
    ModelConfig,
    OptimConfig,
    ParallelConfig,
    RunConfig,
    SolveConfig,
)
from jaxode.models import create_model  # noqa: E402
from jaxode.nn import ODEBlock  # noqa: E402
from jaxode.nn.fields import DenseField  # noqa: E402
from jaxode.ode import Stats, odeint  # noqa: E402
from jaxode.train.compiled_steps import CompiledSteps  # noqa: E402
from jaxode.train.state import TrainState  # noqa: E402
from scripts.collectives import counted, row  # noqa: E402
from scripts.scaling.hlo import collectives  # noqa: E402

TIGHT = {"rtol": 1e-6, "atol": 1e-6}
FIXED = {"solver": "midpoint", "step_size": 0.5}
COUNTED = ("adaptive, jit, 8", "adaptive, pmap, 8")
"""Cases whose communication between devices is counted."""


class Dense(nnx.Module):
    """The 16 means of an image as the state of dz/dt = tanh(z W) cos(t + z), and a linear head:
    compiles at once.
    """

    def __init__(self, solve: SolveConfig, classes: int, rngs: nnx.Rngs, dtype: Any) -> None:
        self.solve = solve
        self.inside = nnx.Param(jax.random.normal(rngs.params(), (16, 16), dtype))
        self.head = nnx.Linear(16, classes, rngs=rngs, dtype=dtype, param_dtype=dtype)

    def __call__(self, images: Any, training: Any = None) -> Any:
        z = images.reshape(-1, 4, 7, 4, 7).mean((2, 4)).reshape(-1, 16)
        z, stats = odeint(
            lambda t, z, w: jnp.tanh(z @ w) * jnp.cos(t + z), z, self.inside[...], self.solve
        )
        return self.head(z), Stats.chain([stats])


def dense(
    model: Any,
    solve: SolveConfig,
    *,
    image_shape: Any,
    classes: int,
    rngs: nnx.Rngs,
    **options: Any,
) -> Any:
    return Dense(solve, classes, rngs, options["dtype"])


class Regularised(nnx.Module):
    """The same state and a block with every regulariser."""

    def __init__(self, solve: SolveConfig, classes: int, rngs: nnx.Rngs, dtype: Any) -> None:
        self.block = ODEBlock(DenseField(16, 8, rngs=rngs, dtype=dtype), solve)
        self.head = nnx.Linear(16, classes, rngs=rngs, dtype=dtype, param_dtype=dtype)

    def __call__(self, images: Any) -> Any:
        z = images.reshape(-1, 4, 7, 4, 7).mean((2, 4)).reshape(-1, 16)
        return self.head(self.block(z)[0])


def regularised(
    model: Any,
    solve: SolveConfig,
    *,
    image_shape: Any,
    classes: int,
    rngs: nnx.Rngs,
    **options: Any,
) -> Any:
    return Regularised(solve, classes, rngs, options["dtype"])


BACK = {"gradient": "backsolve", "stepping": "torchdiffeq", "solver": "bosh3"}
EVERY = FIXED | {"regularise": "kinetic=1,jacobian=1,steer=0.3,weight_decay=0.1"}

CASES: dict[str, tuple[Any, ...]] = {
    # name: model, solver, (parallel, devices, accumulate), epochs of 5 steps, feed
    "adaptive, jit, 1": (dense, {}, ("jit", 1), 10),
    "adaptive, jit, 2": (dense, {}, ("jit", 2), 10),
    "adaptive, jit, 2, streamed": (dense, {}, ("jit", 2), 2, "streamed"),
    "adaptive, jit, 8": (dense, {}, ("jit", 8), 10),
    "adaptive, pmap, 8": (dense, {}, ("pmap", 8), 1),
    "tight, jit, 1": (dense, TIGHT, ("jit", 1), 1),
    "tight, pmap, 8": (dense, TIGHT, ("pmap", 8), 1),
    "fixed, jit, 1": (dense, FIXED, ("jit", 1), 10),
    "fixed, pmap, 2": (dense, FIXED, ("pmap", 2), 10),
    "fixed, pmap, 2, streamed": (dense, FIXED, ("pmap", 2), 2, "streamed"),
    "fixed, pmap, 8": (dense, FIXED, ("pmap", 8), 10),
    "fixed, jit, 2, accumulate 2": (dense, FIXED, ("jit", 2, 2), 2),
    "fixed, pmap, 4, accumulate 2": (dense, FIXED, ("pmap", 4, 2), 2),
    "backsolve, jit, 1": (dense, {"gradient": "backsolve"}, ("jit", 1), 1),
    **{
        f"{gradient}, jit, 8": (dense, {"gradient": gradient}, ("jit", 8), 1)
        for gradient in ("direct", "backsolve", "checkpointed")
    },
    **{
        f"{gradient}, pmap, 8": (dense, {"gradient": gradient}, ("pmap", 8), 1)
        for gradient in ("replay", "backsolve")
    },
    "regularised, jit, 1": (regularised, EVERY, ("jit", 1), 2),
    "regularised, jit, 2": (regularised, EVERY, ("jit", 2), 2),
    "regularised, pmap, 4, accumulate 2": (regularised, EVERY, ("pmap", 4, 2), 2),
    "counted, jit, 1": (regularised, BACK, ("jit", 1), 1),
    "counted, jit, 2": (regularised, BACK, ("jit", 2), 1),
    "counted, pmap, 2, accumulate 2": (regularised, BACK, ("pmap", 2, 2), 1),
    "odenet, jit, 1": (create_model, {}, ("jit", 1), 1),
    "odenet, jit, 8": (create_model, {}, ("jit", 8), 1),
}


def prepared(
    build: Any,
    solve: dict[str, Any],
    parallel: tuple[Any, ...],
    epochs: int,
    feed: Any = "resident",
) -> CompiledSteps:
    """The steps of a case: 70 and 23 images, batches of 16."""
    config = RunConfig(
        model=ModelConfig(width=4),
        solve=SolveConfig(**solve),
        data=DataConfig(dataset="mnist", data="full", feed=feed),
        optim=OptimConfig(lr=0.01, schedule="constant"),
        parallel=ParallelConfig(*parallel),
        epochs=epochs,
        batch_size=16,
        precision="float64",
    )
    return CompiledSteps(config, image_set(), build)


def results(name: str, every: bool) -> dict[str, Any]:
    """What `test_devices` compares of a case, whose loops are compiled once.

    Communication is counted where every case is asked for: it runs another program.
    """
    steps, epochs = prepared(*CASES[name]), CASES[name][3]
    state = steps.first_state()
    steps.compile(state)
    counted = every and name in COUNTED
    again = jax.tree.map(jnp.copy, state) if counted else None  # training takes it away
    found = train(steps, state, epochs)
    return found if again is None else found | communication(steps, again)


def train(steps: CompiledSteps, state: TrainState, epochs: int) -> dict[str, Any]:
    """Mean loss of every step and what the last epoch and an evaluation counted."""
    losses, before = [], 0.0
    for epoch in range(epochs):
        key, table = steps.epoch(epoch)
        state, before = state._replace(totals=steps.zero()), (0.0, 0)
        for stop in range(1, 6):
            state = steps.train(state, key, table, stop)
            now = float(state.totals.loss), int(state.totals.images)
            losses.append((now[0] - before[0]) / (now[1] - before[1]))
            before = now
    split = steps.feed.evaluation("test")
    tested = steps.evaluate(state.learned, steps.empty_metrics(), split, split.count)
    return {
        "losses": losses,
        "trained": counts(state.totals),
        "tested": counts(tested.totals) | {"confusion": tested.metrics["confusion"].tolist()},
        "test_loss": float(tested.totals.loss),
        "penalty": None if state.totals.penalty is None else float(state.totals.penalty),
    }


def communication(steps: CompiledSteps, state: TrainState) -> dict[str, Any]:
    """The collectives of the first step, and the counts of its solves."""
    state, times = counted(steps, state)
    rows = [row(item, times[item.name]) for item in collectives(steps.train_loop.as_text())]
    return {"first": counts(state.totals), "rows": rows}


def counts(totals: Any) -> dict[str, Any]:
    """The whole numbers of a pass."""
    names = ("images", "batches", "solves", "nfe", "accepted", "rejected", "failure", "bad_batch")
    back = totals.backward
    backward = (
        None if back is None else {name: each.tolist() for name, each in back._asdict().items()}
    )
    return {name: getattr(totals, name).tolist() for name in names} | {"backward": backward}


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 8)
    jax.config.update("jax_enable_x64", True)
    names = sys.argv[2:]
    found = {name: results(name, not names) for name in names or CASES}
    Path(sys.argv[1]).write_text(json.dumps(found))
