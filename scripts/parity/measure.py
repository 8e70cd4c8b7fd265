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
from scripts.parity.cells import THEIR_NAME, Cell
from scripts.parity.subjects import IMAGES, Pair, first, last, make_pair
from torch_ref.solve import Counts, Settings

PASS, FAIL, OUT_OF_REACH = "pass", "fail", "out-of-reach"


@dataclass(frozen=True)
class Row:
    """The outcome of a cell, as in `parity.json`. Errors are global relative ones; steps include those rejected."""

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
    """‖ours − theirs‖₂ / ‖theirs‖₂ over all arrays together: a bias before a norm of single channels has gradient 0."""
    a, b = (np.concatenate([np.ravel(np.asarray(x, np.float64)) for x in side]) for side in (ours, theirs))
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def pooled(state: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Diffrax's norm of an adjoint state: RMS over state, adjoint and parameters' gradients together."""
    _, *parts = state
    return torch.cat([part.reshape(-1) for part in parts]).pow(2).mean().sqrt()


def pooled_seminorm(state: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The same over state and adjoint."""
    return pooled(state[:3])


def their_settings(solve: SolveConfig | None, span: tuple[float, float] = (0.0, 1.0)) -> Settings:
    """The options under which torchdiffeq takes the steps that we take."""
    if solve is None:
        return Settings()
    backsolve, adaptive = solve.gradient == "backsolve", solve.step_size is None
    norm: Any = None
    if backsolve and adaptive and solve.stepping == "diffrax":
        norm = pooled if solve.backward_norm == "full" else pooled_seminorm
    elif solve.backward_norm == "seminorm":
        norm = "seminorm"
    return Settings(
        method=THEIR_NAME.get(solve.solver, solve.solver),
        rtol=solve.rtol,
        atol=solve.atol,
        step_size=solve.step_size,
        span=span,
        adjoint=backsolve,
        adjoint_norm=norm,
        stop_at_ends=adaptive and (backsolve or solve.stepping == "diffrax"),
        constant_first_step=adaptive and not backsolve,
    )


def run_ours(pair: Pair, x: np.ndarray, slope: np.ndarray) -> tuple[Any, Any, Any]:
    """Output, statistics and (gradients of the parameters, gradient of the input) of the sum of output · slope."""

    def loss(parameters: list[jax.Array], x: jax.Array) -> tuple[jax.Array, Any]:
        y, stats = pair.ours(parameters, x)
        return jnp.sum(y * slope), (y, stats)

    step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    (_, (y, stats)), gradients = step(pair.parameters, jnp.asarray(x))
    return y, stats, gradients


def run_theirs(pair: Pair, x: np.ndarray, slope: np.ndarray) -> tuple[Any, Any, Any]:
    """The same of the reference, in our layout."""
    for block in pair.blocks:
        block.odefunc.nfe, block.solver.counts = 0, Counts()
    start = torch.from_numpy(first(x)).requires_grad_()
    y = pair.theirs(start)
    (y * torch.from_numpy(first(slope))).sum().backward()
    assert start.grad is not None
    counts = [block.solver.counts for block in pair.blocks]
    return last(y.detach().numpy()), counts, (pair.their_gradients(), last(start.grad.numpy()))


def tight(cell: Cell, counts: list[Counts]) -> Cell:
    """The cell with no more steps allowed than it needs: `direct` takes memory and time for all that it might take."""
    if cell.solve is None or cell.solve.step_size is not None:
        return cell
    most = max(max(count.steps, count.backward_steps) for count in counts)
    room = 1 << max(4, (most + 1).bit_length())
    return replace(cell, solve=replace(cell.solve, max_steps=room))


def measure(cell: Cell, *, seed: int = 0) -> Row:
    """Run a cell on both sides. Needs x64 to be on."""
    settings, rng = their_settings(cell.solve), np.random.default_rng(seed)
    x = rng.normal(size=(IMAGES, *cell.subject.shape)).astype(cell.dtype)
    pair = make_pair(cell.subject, cell.solve or SolveConfig(), settings, cell.dtype, seed=seed)
    slope = rng.normal(size=jax.eval_shape(pair.ours, pair.parameters, x)[0].shape).astype(cell.dtype)
    their_y, counts, theirs = run_theirs(pair, x, slope)
    cell = tight(cell, counts)
    pair = make_pair(cell.subject, cell.solve or SolveConfig(), settings, cell.dtype, seed=seed)
    y, stats, ours = run_ours(pair, x, slope)
    return judge(
        cell,
        output=relative([y], [their_y]),
        gradient=max(relative(ours[0], theirs[0]), relative([ours[1]], [theirs[1]])),
        stats=stats if counts else None,
        counts=counts,
    )


def judge(cell: Cell, *, output: float, gradient: float, stats: Any, counts: list[Counts]) -> Row:
    """The row of a measured cell: a cell passes if every error is within its bound and the steps are those demanded."""
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
                    problems.append(f"{what} {numbers[f'{what}_jax']} against {numbers[f'{what}_torch']}")
    bounds = {
        "output": (output, BOUNDS[cell.dtype, "output"]),
        "gradient": (gradient, gradient_bound(cell.dtype, solve.gradient if solve else "")),
    }
    for what, (error, bound) in bounds.items():
        if not error <= bound.limit:
            problems.append(f"{what} error {error:.1e} above {bound.limit:g}")
    loose = bounds["gradient"][1].reason if cell.dtype == "float32" else ""
    return Row(
        subject=subject.name,
        solver=solve.solver if solve else "",
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
