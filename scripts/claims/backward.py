"""The states that a backward solve reconstructs, beside those of the forward solve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxode.ode import explain_failure, odeint
from scripts.claims.forward import drifts
from scripts.claims.subject import ONCE, DType, Subject, arithmetic

FIELDS = {"trained": False, "initial": True}
"""Name of a field → whether it has the parameters from before training."""


def journey(graph: Any, solve: Any) -> Callable[..., Any]:
    """(parameters, z, start, span) → (state at start + span, the solve's failure).

    The field is the first block's.

    The time of the solve runs from 0 to 1 whatever the span, so that one program serves every span,
    backward ones too.
    """

    def travel(
        params: Any, z: jax.Array, start: jax.Array, span: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        def field(s: Any, y: Any, args: Any) -> Any:
            params, start, span = args
            return span * nnx.merge(graph, params).blocks[0].field(start + s * span, y)

        end, stats = odeint(field, z, (params, start, span), solve)
        return end, stats.failure

    return travel


def there_and_back(
    travel: Callable[..., Any], z0: jax.Array, times: Sequence[float]
) -> dict[str, Any]:
    """Drift at each time between the backward solve from z(1) and the forward solve from z(0).

    Args:
      travel: of `journey`, with its parameters bound.
      z0: states [B, ...] at time 0.
      times: at which the two are compared, from 0 to 1.
    """
    one = jnp.ones((), z0.dtype)
    z1, failure = travel(z0, 0 * one, one)
    codes, found = [int(failure)], []
    for time in times:
        back, failed = travel(z1, one, (time - 1) * one)
        true, failed_there = (z0, 0) if time == 0 else travel(z0, 0 * one, time * one)
        codes += [int(failed), int(failed_there)]
        found.append(drifts(back, true))
    code = next((code for code in codes if code), 0)
    failure = explain_failure(code) if code else None
    median, worst = ([float(f(drift)) for drift in found] for f in (np.median, np.max))
    ends = {"median": median, "worst": worst} if not code else {"median": None, "worst": None}
    return {"times": list(times), **ends, "failure": failure}


def reconstruction(
    subject: Subject, tolerance: float, dtype: DType, times: Sequence[float]
) -> list[dict[str, Any]]:
    """A row for each field, on the first batch of images."""
    rows = []
    with arithmetic(dtype):
        images = subject.views(subject.order[0][0], dtype)
        graph, _ = subject.split(subject.at(tolerance), dtype)
        begin = jax.jit(lambda params: nnx.merge(graph, params).downsample(images))
        travel = jax.jit(journey(graph, subject.at(tolerance)), compiler_options=ONCE)
        for name, initial in FIELDS.items():
            _, params = subject.split(subject.at(tolerance), dtype, initial=initial)
            found = there_and_back(
                lambda *where, params=params: travel(params, *where), begin(params), times
            )
            rows.append({"field": name, "tolerance": tolerance, "dtype": dtype, **found})
    return rows
