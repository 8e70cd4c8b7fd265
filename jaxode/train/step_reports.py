"""From the log of a compiled call to what callbacks are told of each step."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxode.callbacks.base import TrainingStep
from jaxode.train.compiled_steps import CompiledSteps
from jaxode.train.state import Totals


class StepReports:
    """Reads the log of a run's steps, once a compiled call.

    Args:
        steps: of the run.
    """

    def __init__(self, steps: CompiledSteps) -> None:
        self.steps = steps
        numbers = np.arange(steps.steps_per_epoch, dtype=np.int32)
        rate = jax.vmap(lambda step: jnp.asarray(steps.rate(step)))
        self._rates = jax.jit(lambda first: rate(first + numbers))
        self._epoch, self._epoch_rates = -1, np.zeros(0)

    def of(self, epoch: int, first: int, totals: Totals) -> list[TrainingStep]:
        """The steps that the last compiled calls did, as far as nothing in them failed.

        Args:
            epoch: from 0.
            first: number in the epoch of the first of them.
            totals: of the epoch's steps, on the device.
        """
        log, done, bad = jax.device_get((self.steps.log, totals.batches, totals.bad_batch))
        rates, before = self._rates_of(epoch), epoch * self.steps.steps_per_epoch
        found = []
        for row in range(first, int(done) - int(bad >= 0)):
            found.append(
                TrainingStep(
                    step=before + row + 1,
                    epoch=epoch + 1,
                    loss=float(log.loss[row]),
                    lr=float(f"{rates[row]:.6g}"),  # without the noise of float32
                    gradient_norm=float(log.gradient_norm[row]),
                    **{
                        name: _a_solve(getattr(log, name)[row], log.solves[row])
                        for name in ("nfe", "accepted", "rejected")
                    },
                    nfe_backward=(
                        None
                        if log.nfe_backward is None
                        else _a_solve(log.nfe_backward[row], log.solves[row])
                    ),
                )
            )
        return found

    def _rates_of(self, epoch: int) -> np.ndarray:
        """Learning rates of an epoch's steps."""
        if epoch != self._epoch:
            first = np.int32(epoch * self.steps.steps_per_epoch)
            self._epoch, self._epoch_rates = epoch, jax.device_get(self._rates(first))
        return self._epoch_rates


def _a_solve(counts: np.ndarray, solves: Any) -> float | None:
    """Mean of a count over solves and blocks; None without blocks."""
    return float(counts.mean() / solves) if len(counts) else None
