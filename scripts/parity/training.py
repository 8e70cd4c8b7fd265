"""Cells of training: equal updates from equal gradients, and the losses of 100 steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from jaxode.config import DataConfig, ModelConfig, OptimConfig, OptimizerName, SolveConfig
from jaxode.data import load
from jaxode.data.augment import evaluation_views
from jaxode.interop import from_torch
from jaxode.models import create_model
from jaxode.optim import optimizer, update
from jaxode.tasks import Classification
from jaxode.train.state import initial_state, split_model
from jaxode.train.step import train_step
from scripts.parity.bounds import BOUNDS
from scripts.parity.measure import FAIL, PASS, Row, relative
from scripts.parity.settings import their_settings
from scripts.parity.subjects import SIDE
from torch_ref.model import build
from torch_ref.updates import make_optimizer, make_schedule, train

UPDATES, STEPS, BATCH, WIDTH = 40, 100, 8, 16


@dataclass(frozen=True)
class Training:
    """A run of `STEPS` steps on the bundled MNIST sample, or bare updates without a model."""

    optim: OptimConfig
    model: ModelConfig | None = None
    solve: SolveConfig | None = None
    quick: bool = True

    @property
    def name(self) -> str:
        """Short and unique, for test ids and the map."""
        rule = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}[self.optim.optimizer]
        if self.model is None:
            decay = ", weight decay" if self.optim.weight_decay else ""
            return f"{rule}, {self.optim.schedule} schedule{decay}, {UPDATES} updates"
        kind = self.model.facts.title
        return f"{kind} {self.model.blocks or ''}".strip() + f" trained by {rule}, {STEPS} steps"


def _adaptive(gradient: Any) -> SolveConfig:
    return SolveConfig(gradient=gradient, stepping="torchdiffeq", max_steps=64)


def trainings() -> Iterator[Training]:
    """All of them."""
    rules: list[tuple[OptimizerName, float]] = [("sgd", 0.1), ("adam", 1e-2), ("adamw", 1e-2)]
    for name, rate in rules:
        for decay in (0.0, 0.01):
            yield Training(OptimConfig(name, rate, weight_decay=decay))
        yield Training(OptimConfig(name, rate, schedule="cosine"))
    sgd, adam = OptimConfig("sgd", 0.05), OptimConfig("adam", 1e-3)
    yield Training(sgd, ModelConfig("mlp"))
    yield Training(sgd, ModelConfig("resnet", 2, WIDTH), quick=False)
    for solve in map(_adaptive, ("tape", "direct", "checkpointed", "backsolve")):
        yield Training(
            sgd,
            ModelConfig("odenet", 1, WIDTH),
            solve,
            quick=solve.gradient in ("tape", "backsolve"),
        )
    yield Training(adam, ModelConfig("odenet", 1, WIDTH), _adaptive("checkpointed"), quick=False)
    yield Training(OptimConfig("adamw", 1e-3, weight_decay=0.01), ModelConfig("resnet", 2, WIDTH))


def measure_training(cell: Training) -> Row:
    """The row of a training. Needs x64 to be on."""
    return _updates(cell) if cell.model is None else _trajectory(cell)


def _updates(cell: Training) -> Row:
    """Parameters after each of many updates with random gradients.

    The gradients change in size, and some are zero.
    """
    rng, optim = np.random.default_rng(0), cell.optim
    start = rng.normal(size=(7, 5))
    gradients = rng.normal(size=(UPDATES, 7, 5)) * 10.0 ** rng.integers(-4, 2, (UPDATES, 1, 5))
    gradients[:, 0] = 0
    theirs = torch.nn.Parameter(torch.from_numpy(start.copy()))
    rule = make_optimizer(optim.optimizer, [theirs], optim.lr, optim.momentum, optim.weight_decay)
    rate = make_schedule(optim.schedule, optim.lr, UPDATES)
    ours, transform = jnp.asarray(start), optimizer(optim, UPDATES)
    state = transform.init(ours)
    step = jax.jit(lambda gradient, state, ours: update(transform, gradient, state, ours))
    seen: tuple[list[Any], list[Any]] = ([], [])
    for number, gradient in enumerate(gradients):
        rule.param_groups[0]["lr"] = rate(number)
        theirs.grad = torch.from_numpy(gradient.copy())
        rule.step()
        ours, state = step(jnp.asarray(gradient), state, ours)
        seen[0].append(np.asarray(ours) - start)
        seen[1].append(theirs.detach().numpy() - start)
    return _row(cell, relative(*seen), BOUNDS["float64", "output"].limit)


def _trajectory(cell: Training) -> Row:
    """The loss of every step, and in the exact modes its evaluations, which must be equal."""
    assert cell.model is not None
    images, labels = _batches()
    model, classes = cell.model, 10
    torch.manual_seed(0)
    theirs = build(
        model.name,
        model.blocks or 0,
        channels=1,
        classes=classes,
        width=model.width,
        side=SIDE,
        settings=their_settings(cell.solve),
    ).double()
    built = nnx.eval_shape(
        lambda: create_model(
            model,
            cell.solve or SolveConfig(),
            image_shape=(SIDE, SIDE, 1),
            classes=classes,
            rngs=nnx.Rngs(0),
            dtype=jnp.float64,
        )
    )
    nnx.update(
        built,
        from_torch(built, {name: value.numpy() for name, value in theirs.state_dict().items()}),
    )
    graph, learned = split_model(built)
    transform = optimizer(cell.optim, STEPS)
    state = initial_state(learned, transform, model.ode_blocks)
    weights = jnp.ones(BATCH)

    @jax.jit
    def step(state: Any, x: Any, y: Any) -> Any:
        batch = {"image": x, "label": y, "weight": weights}
        task, total = Classification(classes), jnp.sum(weights)
        return train_step(graph, task, transform, state, batch, total, lambda rows: rows)[0]

    losses, evaluations = [], []
    for x, y in zip(images, labels, strict=True):
        before = state.totals
        state = step(state, x, y)
        losses.append(float(state.totals.loss - before.loss) / BATCH)
        evaluations.append(int((state.totals.nfe - before.nfe).sum()))
    optim = cell.optim
    rule = make_optimizer(
        optim.optimizer, theirs.parameters(), optim.lr, optim.momentum, optim.weight_decay
    )
    batches = zip(
        torch.from_numpy(images.transpose(0, 1, 4, 2, 3)), torch.from_numpy(labels), strict=True
    )
    steps = list(train(theirs, batches, rule, make_schedule(optim.schedule, optim.lr, STEPS)))
    error = max(
        abs(loss - found.loss) / abs(found.loss) for loss, found in zip(losses, steps, strict=True)
    )
    counts = (sum(evaluations), sum(sum(found.nfe) for found in steps))
    same = evaluations == [sum(found.nfe) for found in steps]
    return _row(
        cell, error, BOUNDS["float64", "training"].limit, counts if cell.solve else None, same
    )


def _batches() -> tuple[np.ndarray, np.ndarray]:
    """`STEPS` batches of the sample's images, as the models see them, and their labels."""
    data = load(DataConfig("mnist", "sample"), progress=False)
    count = STEPS * BATCH
    view = evaluation_views(
        jnp.asarray(data.train_images[:count]), data.spec.mean, data.spec.std, jnp.float64
    )
    images = np.array(view).reshape(STEPS, BATCH, SIDE, SIDE, -1)
    return images, data.train_labels[:count].astype(np.int64).reshape(STEPS, BATCH)


def _row(
    cell: Training,
    error: float,
    limit: float,
    counts: tuple[int, int] | None = None,
    same: bool = True,
) -> Row:
    problems = [] if error <= limit else [f"error {error:.1e} above {limit:g}"]
    problems += [] if same else ["evaluations differ in some step"]
    solve = cell.solve
    return Row(
        subject=cell.name,
        solver=solve.solver_facts.name if solve else "",
        gradient=solve.gradient_facts.name if solve else "",
        stepping=solve.stepping if solve else "",
        dtype="float64",
        tolerance=solve.rtol if solve else None,
        output_error=error,
        nfe_jax=counts[0] if counts else None,
        nfe_torch=counts[1] if counts else None,
        status=FAIL if problems else PASS,
        reason="; ".join(problems),
    )
