"""What ends a run when something in a pass over the data is not finite or a solve fails."""

from __future__ import annotations

from jaxode.config import RunConfig
from jaxode.errors import RunFailed
from jaxode.ode import explain_failure
from jaxode.train.state import Totals
from jaxode.train.step import LOSS_NOT_FINITE, SCALE_TOO_SMALL


def raise_if_failed(totals: Totals, config: RunConfig, where: str) -> None:
    """Raise an error that names the cause and a remedy if a pass has failed.

    Args:
        totals: sums of the pass so far.
        config: the settings, on which the remedy depends.
        where: the place of the failure, for the message.

    Raises:
        RunFailed: an ODE solve failed, or the loss, a gradient or a parameter is not finite.
    """
    if int(totals.bad_batch) < 0:
        return
    if int(totals.failure) > 0:
        remedy = explain_failure(int(totals.failure))
        raise RunFailed(f"{where}: {remedy}; in training a smaller lr may help")
    if int(totals.broken) == SCALE_TOO_SMALL:
        raise RunFailed(
            f"{where}: the gradient in float16 is not finite (NaN or infinity) however little"
            " the loss is scaled; use precision bfloat16, or a smaller lr"
        )
    what = "the loss is" if int(totals.broken) == LOSS_NOT_FINITE else "the update made a parameter"
    hint = "a smaller lr may help"
    if config.model.ode_blocks and config.solve.gradient_facts.backward_solve:
        hint += (
            "; or the backsolve ran out of steps: raise max_steps or loosen backward_rtol and"
            " backward_atol"
        )
    raise RunFailed(f"{where}: {what} not finite (NaN or infinity); {hint}")
