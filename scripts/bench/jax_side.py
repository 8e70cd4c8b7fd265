"""jaxode's side: the compiled program, what it computes, and the memory it needs.

The memory is XLA's own analysis.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxode.config import KernelsName
from jaxode.interop import from_torch, to_torch
from jaxode.losses import cross_entropy
from jaxode.models import create_model
from jaxode.ode import Stats
from jaxode.runs.provenance import device
from jaxode.train.objective import mean_cross_entropy
from scripts.bench.cases import Case
from scripts.bench.sides import CLASSES, Outcome, Problem, Ready
from scripts.bench.timing import reason

STEPS = 4
"""Training steps in a timed call.

The trainer runs many in one, and so pays once a call what XLA does once a call: it
allocates all memory anew, whose pages the system zeroes."""

RATE = 1e-9
"""Learning rate between them: too small to change anything, but the next step depends on the
gradient.
"""


class Counting(nnx.Module):
    """A vector field that counts its evaluations as they are carried out, on the host."""

    def __init__(self, field: nnx.Module, count: list[int]) -> None:
        """`count` holds one number."""
        self.field = field
        self.add = lambda: count.__setitem__(0, count[0] + 1)

    def __call__(self, t: Any, z: Any) -> Any:
        """dz/dt."""
        jax.debug.callback(self.add)
        return self.field(t, z)  # type: ignore[operator]


def build(case: Case, problem: Problem, kernels: KernelsName = "auto") -> Any:
    """The model with the given weights."""
    options: Any = {
        "image_shape": case.image_shape,
        "classes": CLASSES,
        "rngs": nnx.Rngs(0),
        "precision": case.precision,
    }
    options["kernels"] = kernels
    model = create_model(case.model_config, case.solve, **options)
    nnx.update(model, from_torch(model, problem.weights))
    return model


def compiled(
    function: Callable[..., Any], *arguments: Any
) -> tuple[Callable[[], Any], float, float | None]:
    """A call on these arguments that waits; compilation in seconds; megabytes.

    The memory is beside that of the arguments.
    """
    begin = time.perf_counter()
    program = jax.jit(function).lower(*arguments).compile()
    seconds = time.perf_counter() - begin
    memory: Any = program.memory_analysis()
    needed = None
    if memory is not None:
        needed = (
            memory.temp_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
        ) / 1e6
    return lambda: jax.block_until_ready(program(*arguments)), seconds, needed


def costs(stats: Stats) -> dict[str, int | None]:
    """The numbers of the solves for an outcome; the largest, where images differ.

    Raises SolveError if one failed.
    """
    stats.check()
    if stats.nfe.ndim == 2:
        stats = Stats(*(counts.max(1) for counts in stats))
    if not jnp.size(stats.nfe):
        return {}
    return {
        "nfe_forward": int(stats.nfe.sum()),
        "accepted": int(stats.accepted.sum()),
        "rejected": int(stats.rejected.sum()),
    }


def ready(
    case: Case, problem: Problem, *, count: bool = False, kernels: KernelsName = "auto"
) -> Ready:
    """The side of jaxode in a case.

    `count` has the evaluations of the backward pass counted, by another program.
    """
    model = build(case, problem, kernels)
    if case.work == "solve":
        return _solve(case, problem, model)
    graph, params = nnx.split(model)
    images, labels = jnp.asarray(problem.images), jnp.asarray(problem.labels)

    def inference(params: Any, images: Any) -> Any:
        return nnx.merge(graph, params)(images)

    step = training(graph, labels)
    run, seconds, memory = compiled(step if case.work == "training" else inference, params, images)
    if case.work == "inference":
        logits, stats = run()
        outcome = Outcome(
            np.asarray(logits), float(cross_entropy(logits, labels, jnp.ones(len(labels))))
        )
    else:
        (loss, (logits, stats)), gradient = run()
        found = to_torch(nnx.merge(graph, gradient))
        outcome = Outcome(np.asarray(logits), float(loss), found)
    for name, value in costs(stats).items():
        setattr(outcome, name, value)
    note = ""
    if count and case.mode:
        try:
            outcome.nfe_backward = backward_evaluations(case, problem, images, labels)
        except Exception as error:
            note = f"backward evaluations not counted: {reason(error)}"
    if case.work == "training":
        several, _, _ = compiled(repeated(step), params, images)
        return Ready(several, outcome, seconds, memory, device(), note=note, steps=STEPS)
    return Ready(run, outcome, seconds, memory, device(), note=note)


def training(graph: Any, labels: jax.Array) -> Callable[..., Any]:
    """(parameters, images) → ((loss, (logits, statistics)), gradient of the mean cross-entropy)."""

    def loss(params: Any, images: jax.Array) -> tuple[jax.Array, Any]:
        return mean_cross_entropy(graph, params, images, labels)

    return jax.value_and_grad(loss, has_aux=True)


def repeated(step: Callable[..., Any]) -> Callable[..., Any]:
    """(parameters, images) → parameters after STEPS steps and the last one's loss."""

    def several(params: Any, images: jax.Array) -> tuple[Any, jax.Array]:
        def one(_: Any, carry: tuple[Any, jax.Array]) -> tuple[Any, jax.Array]:
            params, _ = carry
            (loss, _), gradient = step(params, images)
            return jax.tree.map(lambda p, g: p - RATE * g, params, gradient), loss

        return jax.lax.fori_loop(0, STEPS, one, (params, jnp.zeros((), images.dtype)))

    return several


def backward_evaluations(case: Case, problem: Problem, images: jax.Array, labels: jax.Array) -> int:
    """Evaluations of the field in a training step less those in inference.

    They are counted as they are carried out.
    """
    count = [0]
    model = build(case, problem)
    for block in model.blocks:
        block.field = Counting(block.field, count)
    graph, params = nnx.split(model)
    seen = []
    for function in (lambda p, x: nnx.merge(graph, p)(x), training(graph, labels)):
        program = jax.jit(function).lower(params, images).compile()
        count[0] = 0
        jax.block_until_ready(program(params, images))
        jax.effects_barrier()
        seen.append(count[0])
    return seen[1] - seen[0]


def _solve(case: Case, problem: Problem, model: Any) -> Ready:
    block = model.blocks[0]
    graph, params = nnx.split(block)
    state = jnp.asarray(problem.state)
    run, seconds, memory = compiled(lambda p, z: nnx.merge(graph, p)(z), params, state)
    final, stats = run()
    outcome = Outcome(np.asarray(final))
    for name, value in costs(Stats.chain([stats])).items():
        setattr(outcome, name, value)
    evaluations = int(stats.nfe)

    def fields(params: Any, z: jax.Array) -> jax.Array:
        field = nnx.merge(graph, params).field
        # What is fed back is normalised by the field's last layer; a time that changes keeps its
        # part in the loop.
        return jax.lax.fori_loop(
            0, evaluations, lambda i, z: field((i / evaluations).astype(z.dtype), z), z
        )

    chain, _, _ = compiled(fields, params, state)
    return Ready(run, outcome, seconds, memory, device(), field=chain)
