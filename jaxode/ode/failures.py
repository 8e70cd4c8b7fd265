"""How a solve can fail, as numbers that travel through compiled programs, and in words."""

from __future__ import annotations

from typing import Any

import diffrax
import jax.numpy as jnp
from jaxtyping import Array, Int

_FAILURES = {
    1: (
        "the solver took max_steps steps before the end: raise max_steps, loosen rtol and atol, or"
        " use a lower lr"
    ),
    2: (
        "the state or the vector field is not finite (NaN or infinity): use a lower lr, or look at"
        " the input"
    ),
    3: (
        "the step size fell to the rounding error of the time: loosen rtol and atol, or use the"
        " implicit kvaerno3"
    ),
    4: (
        "Newton's iteration did not converge: loosen rtol and atol, or use an explicit solver such"
        " as dopri5"
    ),
}

MAX_STEPS, NOT_FINITE, TOO_SHORT, NEWTON = _FAILURES


class SolveError(RuntimeError):
    """A solve that did not reach its end time, or reached it with a non-finite state."""


def explain_failure(code: int) -> str:
    """The cause of a failed solve and what to change."""
    return _FAILURES[int(code)]


def code_of(result: Any) -> Int[Array, ""]:
    """0 for a Diffrax result that is no failure, else a code for `explain_failure`."""
    results = diffrax.RESULTS
    fine = (result == results.successful) | (result == results.event_occurred)
    code = jnp.where(fine, 0, NEWTON)  # what is left comes from the root finder
    for cause, number in ((results.max_steps_reached, MAX_STEPS), (results.nonfinite, NOT_FINITE),
                          (results.dt_min_reached, TOO_SHORT)):  # fmt: skip
        code = jnp.where(result == cause, number, code)
    return code.astype(jnp.int32)
