"""Two points that have to change places on a line.

The fields are trained to do it; the cases say where the points end.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments.dynamics.crossing_config import CrossingConfig
from experiments.dynamics.crossing_flow import DATA, MAX_STEPS, Case, Flow, checked
from experiments.dynamics.text import loss_text, number
from jaxode.config import OptimConfig, RunConfig, SolveConfig
from jaxode.errors import RunFailed
from jaxode.nn.fields import DenseField
from jaxode.runs import Progress
from jaxode.tasks import Regression
from jaxode.train import fit
from jaxode.types import Params

REFINEMENTS = (2, 4, 16, 64)
"""How many times as many Euler steps the field trained with few is solved with again."""


class Trained(NamedTuple):
    """Parameters after the last update, where they take the points, and the record of training."""

    params: Params
    output: Any
    losses: np.ndarray
    """[steps + 1]: before each update, and after the last."""
    nfe: np.ndarray
    """[steps + 1]: evaluations of each solve."""


class Outcome(NamedTuple):
    """What became of one case."""

    name: str
    title: str
    case: Case
    params: Params
    losses: np.ndarray | None
    """[steps + 1] of the training; None for a field that was trained in another case."""
    times: np.ndarray
    paths: np.ndarray
    facts: dict[str, Any]
    """Plain numbers, for the JSON file."""


class Study(NamedTuple):
    """All outcomes, and the loss of the Euler-trained field with more and more steps."""

    outcomes: list[Outcome]
    refined: list[dict[str, Any]]


def outcome(name: str, title: str, case: Case, found: Trained, trained_here: bool) -> Outcome:
    """Follow the paths and put the facts together."""
    times, paths = case.paths(found.params)
    apart, solve = paths[:, 1] - paths[:, 0], case.solve
    facts = {
        "title": title,
        "solver": solve.solver,
        **(
            {"step_size": solve.step_size}
            if solve.step_size
            else {"rtol": solve.rtol, "atol": solve.atol}
        ),
        "dimensions": 1 + case.extra,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(found.params)),
        "trained_here": trained_here,
        "first_loss": float(found.losses[0]) if trained_here else None,
        "loss": float(found.losses[-1]),
        "ends": found.output.tolist(),
        "nfe": int(found.nfe[-1]),
        "order_kept": bool((apart[:, 0] > 0).all()),
        "smallest_distance": float(np.linalg.norm(apart, axis=1).min()),
    }
    return Outcome(
        name, title, case, found.params, found.losses if trained_here else None, times, paths, facts
    )


def trained(case: Case, field: DenseField, config: CrossingConfig, title: str) -> Trained:
    """The field after `config.steps` updates, each with the gradient of both points' loss.

    Raises RunFailed.
    """
    settings = RunConfig(
        epochs=config.steps,
        batch_size=1,
        optim=OptimConfig(optimizer="adam", lr=config.lr, schedule="cosine"),
        precision="float64",
        train_evaluation="last",
    )
    model = Flow(field, case.solve, case.extra)
    try:
        found = fit(model, Regression("start", "end"), DATA, settings)
    except RunFailed as error:
        raise RunFailed(f"{title}: {error}") from error
    last = measured(case, nnx.state(found.model.field, nnx.Param), title)  # type: ignore[attr-defined]
    losses = [epoch["loss"] for epoch in found.history]
    nfe = [int(epoch["nfe_forward_train"]) for epoch in found.history]
    return last._replace(losses=np.array([*losses, *last.losses]), nfe=np.array([*nfe, *last.nfe]))


def measured(case: Case, params: Params, title: str) -> Trained:
    """A field as it is. Raises RunFailed if the solve fails."""
    loss, (ends, stats) = jax.jit(case)(params)
    checked(stats, title)
    return Trained(params, np.asarray(ends), np.array([float(loss)]), np.array([int(stats.nfe)]))


def study(config: CrossingConfig, progress: Progress) -> Study:
    """Train the three fields, and solve Euler's again. Raises RunFailed."""
    exact = SolveConfig(
        solver=config.solver, rtol=config.rtol, atol=config.atol, max_steps=MAX_STEPS
    )
    euler = SolveConfig(solver="euler", step_size=1 / config.euler_steps)
    count = f"{config.euler_steps} step" + ("s" if config.euler_steps > 1 else "")
    more = f"{config.augment_dims} dimension" + ("s" if config.augment_dims > 1 else "")

    def one(name: str, title: str, solve: SolveConfig, extra: int = 0) -> Outcome:
        field = DenseField(
            1 + extra, config.hidden, rngs=nnx.Rngs(config.seed), dtype=jnp.dtype(float)
        )
        case, begin = Case(nnx.graphdef(field), solve, extra), time.perf_counter()
        found = trained(case, field, config, title)
        result = outcome(name, title, case, found, True)
        progress.say(f"{in_words(result)}; {time.perf_counter() - begin:.1f} s")
        return result

    flow = one("exact_flow", "exact flow on the line", exact)
    steps = one("euler", f"Euler, {count}", euler)
    case, title = replace(steps.case, solve=exact), "exact flow of Euler's field"
    found = measured(case, steps.params, title)
    again = outcome("euler_solved_exactly", title, case, found, False)
    progress.say(in_words(again))
    augmented = one("augmented", f"exact flow with {more} more", exact, config.augment_dims)
    return Study([flow, steps, again, augmented], refined(steps, config.euler_steps))


def in_words(found: Outcome) -> str:
    """A line of progress."""
    facts = found.facts
    before = "" if facts["first_loss"] is None else f"{loss_text(facts['first_loss'])} → "
    low, high = map(number, facts["ends"])
    ends = f"−1 goes to {low}, 1 goes to {high}"
    return (
        f"{found.title}: loss {before}{loss_text(facts['loss'])}; {ends}; {facts['nfe']}"
        " evaluations a solve"
    )


def refined(steps: Outcome, count: int) -> list[dict[str, Any]]:
    """The field trained with `count` Euler steps, solved with more of them."""
    rows = [{"euler_steps": count, "loss": steps.facts["loss"], "ends": steps.facts["ends"]}]
    for factor in REFINEMENTS:
        config = SolveConfig(
            solver="euler", step_size=1 / (factor * count), max_steps=factor * count
        )
        loss, (ends, stats) = jax.jit(replace(steps.case, solve=config))(steps.params)
        checked(stats, f"Euler, {factor * count} steps")
        rows.append(
            {"euler_steps": factor * count, "loss": float(loss), "ends": np.asarray(ends).tolist()}
        )
    return rows
