"""How a solve can fail, as numbers that travel through compiled programs, and in words."""

from __future__ import annotations

import diffrax
import jax.numpy as jnp
from jaxtyping import Array, Int

_FAILURES = {
    1: "the solver took max_steps steps before the end: raise max_steps, or loosen rtol and atol",
    2: (
        "the state or the vector field is not finite (NaN or infinity): look at the input and the"
        " parameters"
    ),
    3: (
        "the step size fell to the rounding error of the time: loosen rtol and atol, or use the"
        " implicit kvaerno3"
    ),
    4: (
        "Newton's iteration did not converge: loosen rtol and atol, or use an explicit solver such"
        " as dopri5"
    ),
    5: "the times ts are not finite, or do not all rise or all fall",
    6: (
        "the type of the state cannot tell the times of a step apart, and the vector field depends"
        " on the time: use float64, or times closer to zero"
    ),
}

MAX_STEPS, NOT_FINITE, TOO_SHORT, NEWTON, TIMES, UNRESOLVED = _FAILURES


class SolveError(RuntimeError):
    """A solve that did not reach its end time, or reached it with a non-finite state.

    `Stats.check` raises it; `odeint` itself does not, so that it can run under jit.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode import SolveConfig
      >>> from jaxode.ode import SolveError, odeint
      >>> _, stats = odeint(lambda t, z, a: z * z, jnp.full(1, 2.0), None, SolveConfig("dopri5"))
      >>> try:
      ...     stats.check()
      ... except SolveError as error:
      ...     print(str(error).partition(":")[0])
      the step size fell to the rounding error of the time
    """


def explain_failure(code: int) -> str:
    """The cause of a failed solve and what to change.

    Args:
      code: not 0, from `Stats.failure`.

    Raises:
      KeyError: there is no such code.

    Example:
      >>> from jaxode.ode import explain_failure
      >>> explain_failure(1).partition(":")[0]
      'the solver took max_steps steps before the end'
    """
    return _FAILURES[int(code)]


def code_of(result: diffrax.RESULTS) -> Int[Array, ""]:
    """0 for a Diffrax result that is no failure, else a code for `explain_failure`."""
    results = diffrax.RESULTS
    fine = (result == results.successful) | (result == results.event_occurred)
    code = jnp.where(fine, 0, NEWTON)  # what is left comes from the root finder
    for cause, number in ((results.max_steps_reached, MAX_STEPS), (results.nonfinite, NOT_FINITE),
                          (results.dt_min_reached, TOO_SHORT)):  # fmt: skip
        code = jnp.where(result == cause, number, code)
    return code.astype(jnp.int32)
