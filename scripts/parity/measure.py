"""One cell measured: both sides run, their numbers compared, the outcome as one row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from jaxode.config import SolveConfig
from scripts.parity.bounds import BOUNDS, gradient_bound
from scripts.parity.cells import Cell
from scripts.parity.settings import their_settings
from scripts.parity.subjects import IMAGES, Ours, Theirs, first, last, our_part, their_part
from torch_ref.solve import Counts

PASS, FAIL, OUT_OF_REACH = "pass", "fail", "out-of-reach"


@dataclass(frozen=True)
class Row:
    """The outcome of a cell, as in `parity.json`.

    Errors are global relative ones; steps include those rejected.
    """

    subject: str
    solver: str
    gradient: str
    stepping: str
    dtype: str
    tolerance: float | None
    output_error: float | None = None
    gradient_error: float | None = None
    steps_jax: int | None = None
    steps_torch: int | None = None
    rejected_jax: int | None = None
    rejected_torch: int | None = None
    nfe_jax: int | None = None
    nfe_torch: int | None = None
    status: str = OUT_OF_REACH
    reason: str = ""


def relative(ours: list[Any], theirs: list[Any]) -> float:
    """‖ours − theirs‖₂ / ‖theirs‖₂ over all arrays together.

    A bias before a norm of single channels has gradient 0.
    """
    a, b = (
        np.concatenate([np.ravel(np.asarray(x, np.float64)) for x in side])
        for side in (ours, theirs)
    )
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def run_theirs(theirs: Theirs, x: np.ndarray, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """Output, slope and gradient: of the sum of output · slope with respect to the input.

    The slope is a random array.
    """
    for block in theirs.blocks:
        block.odefunc.nfe, block.solver.counts = 0, Counts()
    start = torch.from_numpy(first(x)).requires_grad_()
    y = theirs.run(start)
    slope = rng.normal(size=last(y.detach().numpy()).shape).astype(x.dtype)
    (y * torch.from_numpy(first(slope))).sum().backward()
    assert start.grad is not None
    return last(y.detach().numpy()), slope, last(start.grad.numpy())


def run_ours(ours: Ours, x: np.ndarray, slope: np.ndarray) -> tuple[Any, Any, Any]:
    """Output, statistics and (gradients of the parameters, gradient of the input)."""

    def loss(parameters: list[jax.Array], x: jax.Array) -> tuple[jax.Array, Any]:
        y, stats = ours.run(parameters, x)
        return jnp.sum(y * slope), (y, stats)

    step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    (_, (y, stats)), gradients = step(ours.parameters, jnp.asarray(x))
    return y, stats, gradients


def tight(solve: SolveConfig | None, counts: list[Counts]) -> SolveConfig:
    """The solve with no more steps allowed than it needs.

    `direct` takes memory and time for all that it might take.
    """
    if solve is None or solve.step_size is not None:
        return solve or SolveConfig()
    most = max(max(count.steps, count.backward_steps) for count in counts)
    return replace(solve, max_steps=1 << max(4, (most + 1).bit_length()))


def measure(cell: Cell, *, seed: int = 0) -> Row:
    """Run a cell on both sides. Needs x64 to be on."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(IMAGES, *cell.subject.shape)).astype(cell.dtype)
    theirs = their_part(cell.subject, their_settings(cell.solve), cell.dtype, seed=seed)
    their_y, slope, their_to_x = run_theirs(theirs, x, rng)
    counts = [block.solver.counts for block in theirs.blocks]
    ours = our_part(cell.subject, tight(cell.solve, counts), theirs, cell.dtype)
    y, stats, (to_parameters, to_x) = run_ours(ours, x, slope)
    return judge(
        cell,
        output=relative([y], [their_y]),
        gradient=max(relative(to_parameters, ours.gradients()), relative([to_x], [their_to_x])),
        stats=stats if counts else None,
        counts=counts,
    )


def judge(cell: Cell, *, output: float, gradient: float, stats: Any, counts: list[Counts]) -> Row:
    """The row of a measured cell, with its verdict.

    Args:
      cell: what was compared.
      output: relative error of the output, which must be within its bound.
      gradient: relative error of the gradients, likewise.
      stats: of our solves; None without a solve.
      counts: of torchdiffeq's solves. In float64 both sides must have the same steps.
    """
    solve, subject = cell.solve, cell.subject
    numbers: dict[str, int] = {}
    problems = []
    if stats is not None:
        stats.check()
        numbers = {
            "steps_jax": int(stats.accepted.sum() + stats.rejected.sum()),
            "steps_torch": sum(count.steps for count in counts),
            "rejected_jax": int(stats.rejected.sum()),
            "rejected_torch": sum(count.rejected for count in counts),
            "nfe_jax": int(stats.nfe.sum()),
            "nfe_torch": sum(count.nfe for count in counts),
        }
        if cell.dtype == "float64":
            for what in ("steps", "rejected", "nfe"):
                if numbers[f"{what}_jax"] != numbers[f"{what}_torch"]:
                    problems.append(
                        f"{what} {numbers[f'{what}_jax']} against {numbers[f'{what}_torch']}"
                    )
    bounds = {
        "output": (output, BOUNDS[cell.dtype, "output"]),
        "gradient": (
            gradient,
            gradient_bound(cell.dtype, solve.gradient_facts.name if solve else ""),
        ),
    }
    for what, (error, bound) in bounds.items():
        if not error <= bound.limit:
            problems.append(f"{what} error {error:.1e} above {bound.limit:g}")
    loose = bounds["gradient"][1].reason if cell.dtype == "float32" else ""
    return Row(
        subject=subject.name,
        solver=solve.solver_facts.name if solve else "",
        gradient=cell.gradient,
        stepping=solve.stepping if solve else "",
        dtype=cell.dtype,
        tolerance=cell.tolerance,
        output_error=output,
        gradient_error=gradient,
        status=FAIL if problems else PASS,
        reason="; ".join(problems) or cell.why or loose,
        **numbers,
    )
