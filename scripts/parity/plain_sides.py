"""Both sides of a cell of plain torchdiffeq: outputs, gradients, and every evaluation's time."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torchdiffeq

from jaxode.config import SolveConfig
from jaxode.config.solvers import solver_facts
from jaxode.ode import BackwardCost, odeint
from scripts.parity.plain_cells import ADAPTIVE, PlainCell

RNG = np.random.default_rng(0)
PARAMETERS = [RNG.normal(size=shape) for shape in ((5, 4), (4, 5), (2, 2))]
START = (RNG.normal(size=(3, 4)), RNG.normal(size=2))

MOST_STEPS = 20_000
"""Of ours, more than any cell takes; torchdiffeq has no bound."""

WAYS = ("forward", "backward")


@dataclass
class Found:
    """What one side computes.

    Attributes:
      outputs: states at all times, leaf by leaf.
      gradients: of a weighted sum of the outputs, with respect to start, parameters and times.
      forward: evaluations of the forward solve.
      backward: evaluations of the backward solve; None for a direct gradient.
      steps: accepted and rejected, forward and backward; of a fixed grid all are accepted.
      times: of the forward evaluations, sorted.
    """

    outputs: list[np.ndarray]
    gradients: list[np.ndarray]
    forward: int
    backward: int | None
    steps: tuple[int, ...]
    times: np.ndarray


def weights(cell: PlainCell) -> list[np.ndarray]:
    """Of the outputs in the sum that is differentiated."""
    rng = np.random.default_rng(1)
    return [rng.normal(size=(len(cell.ts), *leaf.shape)) for leaf in start(cell)]


def start(cell: PlainCell) -> tuple[np.ndarray, ...]:
    """Leaves of the state at the start."""
    return START[: 1 if cell.state == "tensor" else 2]


def parameters_read(cell: PlainCell) -> int:
    """How many of the parameters the field reads."""
    return 3 if cell.state == "tuple" else 2


def slope(lib: Any, t: Any, z: Any, parameters: Sequence[Any]) -> Any:
    """A field of either library, of one array or of a tuple of two that depend on each other."""
    inner, outer, small = parameters
    if not isinstance(z, tuple):
        return lib.tanh(z @ inner.T + lib.sin(3 * t)) @ outer.T
    large = lib.tanh(z[0] @ inner.T + lib.sin(3 * t) + 0.3 * z[1][0]) @ outer.T
    return large, lib.sin(small @ z[1] + 0.1 * z[0][0, :2]) * lib.cos(t)


class Field(torch.nn.Module):
    """The field, which notes the time of every evaluation, and counts steps.

    Torchdiffeq calls what it finds under certain names at every step.
    """

    def __init__(self, adaptive: bool) -> None:
        super().__init__()
        self.weights = torch.nn.ParameterList(torch.tensor(p) for p in PARAMETERS)
        self.times: list[float] = []
        self.steps: Counter[tuple[str, str]] = Counter()
        names = {"accept_step": "accepted", "reject_step": "rejected"}
        for name, kind in (names if adaptive else {"step": "accepted"}).items():
            for suffix, way in zip(("", "_adjoint"), WAYS, strict=True):
                counted = functools.partial(self.count, (way, kind))
                setattr(self, f"callback_{name}{suffix}", counted)

    def count(self, key: tuple[str, str], *_: Any) -> None:
        """Note a step, of which torchdiffeq tells start, state and length."""
        self.steps[key] += 1

    def forward(self, t: torch.Tensor, z: Any) -> Any:
        """dz/dt."""
        self.times.append(float(t.detach()))
        return slope(torch, t, z, list(self.weights))


def theirs(cell: PlainCell, given: Sequence[np.ndarray] | None = None) -> Found:
    """Torchdiffeq's side, from the cell's start or from one that is given."""
    field, given = Field(cell.adaptive), start(cell) if given is None else given
    leaves = tuple(torch.tensor(leaf, requires_grad=True) for leaf in given)
    ts = torch.tensor(cell.ts, dtype=torch.float64, requires_grad=True)
    settings: dict[str, Any] = {"method": cell.solver}
    if cell.adaptive:
        settings |= {"rtol": cell.setting, "atol": cell.setting}
    else:
        settings["options"] = {"step_size": cell.setting}
    if cell.gradient == "adjoint seminorm":
        settings["adjoint_options"] = {"norm": "seminorm"}
        if not cell.adaptive:
            settings["adjoint_options"] |= settings["options"]
    solve = torchdiffeq.odeint_adjoint if cell.adjoint else torchdiffeq.odeint
    zs = solve(field, leaves if cell.state == "tuple" else leaves[0], ts, **settings)
    outputs: list[torch.Tensor] = list(zs) if cell.state == "tuple" else [zs]  # type: ignore
    times = np.sort(field.times)
    pairs = zip(outputs, weights(cell), strict=True)
    torch.stack([(z * torch.tensor(w)).sum() for z, w in pairs]).sum().backward()
    used = [*leaves, *list(field.weights)[: parameters_read(cell)], ts]
    return Found(
        [z.detach().numpy() for z in outputs],
        [np.asarray(p.grad) for p in used],
        len(times),
        len(field.times) - len(times) if cell.adjoint else None,
        tuple(field.steps[way, kind] for way in WAYS for kind in ("accepted", "rejected")),
        times,
    )


def forward_times(cell: PlainCell, given: Sequence[np.ndarray]) -> np.ndarray:
    """Times of torchdiffeq's forward evaluations from a start, of an adaptive method; sorted."""
    field, leaves = Field(adaptive=True), tuple(map(torch.tensor, given))
    with torch.no_grad():
        torchdiffeq.odeint(
            field,
            leaves if cell.state == "tuple" else leaves[0],
            torch.tensor(cell.ts, dtype=torch.float64),
            rtol=cell.setting,
            atol=cell.setting,
            method=cell.solver,
        )
    return np.sort(field.times)


@functools.lru_cache(maxsize=1)
def programs(solver: str, gradient: str, state: str, count: int, setting: float) -> Any:
    """Two compiled functions (start, parameters, times): gradient, and evaluation times."""
    config = settings(solver, gradient, setting)
    noted: list[float] = []

    def field(t: Any, z: Any, parameters: Any) -> Any:
        return slope(jnp, t, z, parameters)

    def noting(t: Any, z: Any, parameters: Any) -> Any:
        jax.debug.callback(lambda t: noted.append(float(t)), t)
        return slope(jnp, t, z, parameters)

    def loss(leaves: Any, parameters: Any, ts: Any, cost: Any, weights: Any) -> Any:
        z0 = leaves if state == "tuple" else leaves[0]
        zs, stats = odeint(field, z0, ts, parameters, config, backward_cost=cost)
        outputs = list(zs) if state == "tuple" else [zs]
        total = sum((z * w).sum() for z, w in zip(outputs, weights, strict=True))
        return total, (outputs, stats)

    def forward(leaves: Any, parameters: Any, ts: Any) -> Any:
        z0 = leaves if state == "tuple" else leaves[0]
        return odeint(noting, z0, ts, parameters, config)[1].nfe

    gradient_of = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3), has_aux=True))
    return gradient_of, jax.jit(forward), noted


def settings(solver: str, gradient: str, setting: float) -> SolveConfig:
    """Our settings of a cell."""
    # Torchdiffeq's default tolerances, which end the iterations of implicit Adams.
    fixed = {"step_size": setting, "rtol": 1e-7, "atol": 1e-9}
    steps: dict[str, Any] = {"rtol": setting, "atol": setting} if solver in ADAPTIVE else fixed
    name = {"heun2": "heun"}.get(solver, solver)
    mode = "tape" if solver_facts(name).taped else "checkpointed"
    norm = "seminorm" if gradient == "adjoint seminorm" else "full"
    return SolveConfig(
        name,
        gradient=mode if gradient == "direct" else "backsolve",
        backward_norm=norm,
        max_steps=MOST_STEPS,
        stepping="torchdiffeq",
        **steps,
    )


def ours(cell: PlainCell) -> Found:
    """Our side. Raises SolveError if a solve fails."""
    gradient_of, forward, noted = programs(
        cell.solver, cell.gradient, cell.state, len(cell.ts), cell.setting
    )
    given = tuple(map(jnp.asarray, start(cell))), list(map(jnp.asarray, PARAMETERS))
    ts = jnp.asarray(cell.ts)
    cost = BackwardCost(*jnp.zeros(3)) if cell.adjoint else None
    gradients, (outputs, stats) = gradient_of(*given, ts, cost, weights(cell))
    stats.check()
    noted.clear()
    jax.block_until_ready(forward(*given, ts))
    jax.effects_barrier()
    if cell.adaptive:
        # Of the two evaluations at the start, of the rule for the first step and of the first
        # stage, XLA keeps one where nothing is noted. Callbacks come in any order.
        noted.remove(cell.ts[0])
    to_leaves, to_parameters, to_ts, spent = gradients
    used = to_parameters[: parameters_read(cell)]
    backward, backward_steps = None, (0, 0)
    if spent is not None:
        backward_steps = int(spent.accepted), int(spent.rejected)
        # Where times have a gradient, torchdiffeq evaluates the field once more at each output.
        backward = int(spent.nfe) + len(cell.ts) - 1
    return Found(
        [np.asarray(z) for z in outputs],
        [np.asarray(g) for g in (*to_leaves, *used, to_ts)],
        int(stats.nfe),
        backward,
        (int(stats.accepted), int(stats.rejected), *backward_steps),
        np.sort(noted),
    )
