"""Size, work, memory and time of a model that sees pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import PyTree

from jaxode.checks import ConfigError
from jaxode.inference import evaluate
from jaxode.models import multiply_adds, parameter_count
from jaxode.models.multiply_adds import QUICK
from scripts.bench.timing import in_turn, spread
from scripts.vision.cases import Case, Pictures

MB = 1e6


def size_and_work(case: Case, pictures: Pictures) -> dict[str, Any]:
    """Parameters, and multiply-adds of a picture apart from the evaluations of its fields."""
    plain = nnx.eval_shape(lambda: case.build("plain"))
    counts = multiply_adds(plain, pictures(case, 1))
    work = {"outside_fields": counts.outside, "of_an_evaluation": list(counts.evaluation)}
    return {"parameters": parameter_count(plain), "multiply_adds": work}


def compiled(
    case: Case, pictures: Pictures, batch: int
) -> tuple[Callable[[], Any], dict[str, Any]]:
    """A call of a model on a batch that waits for its outputs, and facts about its program.

    Args:
      case: the model.
      pictures: that it is shown.
      batch: pictures of a call.

    Returns:
      The call; memory of arguments, results and temporaries as XLA plans it, in MB, seconds of
      compilation, and the evaluations of each block's field for these pictures.
    """
    graph, state = _parameters(case)
    inputs = jax.block_until_ready(pictures(case, batch))

    def work(state: PyTree, inputs: PyTree) -> Any:
        with jax.default_matmul_precision("highest"):
            model: Any = nnx.merge(graph, state)
            outputs, stats = model(inputs)
        return outputs, stats.nfe

    begin = time.perf_counter()
    program = jax.jit(work).lower(state, inputs).compile()
    seconds = time.perf_counter() - begin
    plan: Any = program.memory_analysis()
    bytes_ = plan.argument_size_in_bytes + plan.output_size_in_bytes + plan.temp_size_in_bytes
    _, nfe = jax.block_until_ready(program(state, inputs))
    found = {
        "megabytes": (bytes_ - plan.alias_size_in_bytes) / MB,
        "compile_seconds": seconds,
        "evaluations": np.asarray(nfe).reshape(len(nfe), -1).max(1).tolist() if len(nfe) else [],
    }
    return lambda: jax.block_until_ready(program(state, inputs)), found


def _parameters(case: Case) -> tuple[Any, PyTree]:
    """The model's structure, and its parameters: those of its run, or initial ones."""
    if case.trained is not None:
        return nnx.split(case.trained.trained.model)
    graph = nnx.split(nnx.eval_shape(case.build))[0]
    # In one program: array by array, every shape takes a compilation.
    draw = jax.jit(lambda: nnx.split(case.build())[1]).lower().compile(compiler_options=QUICK)
    return graph, draw()


def timed(
    found: Sequence[Case], pictures: Pictures, batch: int, rounds: int
) -> dict[str, dict[str, Any]]:
    """Milliseconds a picture of models called in turn, and the facts of `compiled`, by label.

    Args:
      found: of one system.
      pictures: that all are shown.
      batch: pictures of a call.
      rounds: calls of each.

    Raises:
      ConfigError: a call failed.
    """
    calls, facts = {}, {}
    for case in found:
        calls[case.label], facts[case.label] = compiled(case, pictures, batch)
    seconds, failures = in_turn(calls, rounds)
    if failures:
        raise ConfigError("; ".join(f"{label}: {why}" for label, why in failures.items()))
    for label, each in seconds.items():
        milliseconds = spread([1e3 * second / batch for second in each])
        facts[label]["milliseconds"] = milliseconds._asdict()
    return facts


def by_tolerance(case: Case, data: Any, tolerances: Sequence[float]) -> list[dict[str, Any]]:
    """Scores of a trained model's test pictures by the tolerance of its solves, which are adaptive.

    Args:
      case: with a run.
      data: as of `jaxode.evaluate`.
      tolerances: relative and absolute ones.
    """
    assert case.trained is not None
    adaptive = {} if case.solve.step_size is None else {"solver": "dopri5", "step_size": None}
    lines = []
    for tolerance in tolerances:
        found = evaluate(case.trained, data, rtol=tolerance, atol=tolerance, **adaptive)
        scores: Mapping[str, Any] = found.metrics
        lines.append({"tolerance": tolerance, "evaluations": found.nfe, "scores": dict(scores)})
    return lines
