"""How an ODE is solved and differentiated.

Every field is one command-line flag, with its help text next to its default.
"""

# ruff: noqa: RUF009 - `setting` is dataclasses.field under a shorter name

from __future__ import annotations

from dataclasses import dataclass

from jaxode.checks import ConfigError, Range, any_of, require
from jaxode.config.choices import NormName, SteppingName
from jaxode.config.fields import check_fields, setting
from jaxode.config.gradients import (
    GRADIENT_FACTS,
    GradientChoice,
    GradientFacts,
    default_gradient,
    gradient_facts,
    modes_where,
)
from jaxode.config.regularise import Regularisers
from jaxode.config.solvers import (
    SOLVER_FACTS,
    SolverChoice,
    SolverFacts,
    names_where,
    solver_facts,
)

TOLERANCES = Range(1e-16, 1e3)
"""Squares of errors that are measured in tolerances stay finite in float32."""

MOST_STEPS = 100_000
"""Of one solve.

The exact gradient modes plan memory for a state of each (or for each of as many as a tape holds).
"""


@dataclass(frozen=True)
class SolveConfig:
    """How an ODE is solved and differentiated.

    Args:
      solver: a registered name; a Diffrax solver class; or a function (rtol, atol) → Diffrax
        solver.
      rtol: relative tolerance of a step, 1e-16 to 1e3.
      atol: absolute tolerance of a step, 1e-16 to 1e3.
      step_size: fixed step size, 1e-5 to 1e9 units of time; None for adaptive steps. With
        torchdiffeq's stepping and a method without adaptive steps, None is one step from each
        output time to the next.
      gradient: a registered gradient mode, or a function (config, max_steps) → Diffrax adjoint,
        whose attribute `facts` may be a `GradientFacts`; None for the quickest exact mode.
      backward_rtol: relative tolerance of the backward solve; None for `rtol`.
      backward_atol: absolute tolerance of the backward solve; None for `atol`.
      backward_norm: norm of the backward solve's error: "full", or "seminorm" without the
        parameters (Kidger, Chen and Lyons 2021, "Hey, that's not an ODE").
      stepping: whose step control and evaluation counts: "diffrax" or "torchdiffeq".
      tape_steps: accepted steps that the tape stores at a time, 1 to 100 000.
      max_steps: most steps of a solve, accepted and rejected, 1 to 100 000; of a solve over more
        than a unit of time, in proportion to it.
      per_sample: whether every example has its own step sizes.
      regularise: what an ODE block adds to the loss in training: NAME=WEIGHT joined by commas, of
        the names of `Regularisers`. `odeint` by itself, which knows no training, ignores it.

    Raises:
      ConfigError: a value outside its range, or settings that contradict each other.

    Example:
      >>> from jaxode import SolveConfig
      >>> SolveConfig("kvaerno3").gradient
      'checkpointed'
    """

    solver: SolverChoice = setting(
        "dopri5",
        "Runge-Kutta method; kvaerno3 is implicit, for stiff fields",
        choices=SOLVER_FACTS,
    )
    rtol: float = setting(1e-3, "relative tolerance of a step", TOLERANCES)
    atol: float = setting(1e-3, "absolute tolerance of a step", TOLERANCES)
    step_size: float | None = setting(
        None, "fixed step size; without it the step size adapts", Range(1 / MOST_STEPS, 1e9)
    )
    gradient: GradientChoice = setting(
        None,
        "tape: exact, least time; replay: exact, re-runs every step, little memory; direct and"
        " checkpointed: Diffrax's exact modes; backsolve: the adjoint ODE, constant memory (default"
        " tape; checkpointed for kvaerno3)",
        choices=GRADIENT_FACTS,
    )
    backward_rtol: float | None = setting(
        None, "relative tolerance of the backsolve (default: rtol)", TOLERANCES
    )
    backward_atol: float | None = setting(
        None, "absolute tolerance of the backsolve (default: atol)", TOLERANCES
    )
    backward_norm: NormName = setting(
        "full",
        "norm of the backsolve's error: full, or seminorm, which leaves the parameters out",
    )
    stepping: SteppingName = setting(
        "diffrax",
        "step control: diffrax's, or torchdiffeq's with its overshoot, norms and evaluation counts",
    )
    tape_steps: int = setting(
        8,
        "accepted steps that the tape stores at a time; of more, all but the last are re-run",
        Range(1, MOST_STEPS),
    )
    max_steps: int = setting(
        256, "most steps, accepted and rejected, of one solve", Range(1, MOST_STEPS)
    )
    per_sample: bool = setting(
        False,
        "per-sample adaptive step sizes: every image has its own steps and error",
    )
    regularise: str | None = setting(
        None,
        "NAME=WEIGHT, of every ODE block in training, more than one joined by commas or in several"
        " flags: kinetic: the mean of |f|^2 along the solution; jacobian: that of |e df/dz|^2, e"
        " Gaussian (RNODE); steer: the end time is drawn from t1 - WEIGHT to t1 + WEIGHT;"
        " weight_decay: half the sum of squares of the field's weights; error: the sum of step size"
        " times error estimate over the accepted steps (ERNODE)",
        joined=True,
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if self.gradient is None:
            object.__setattr__(self, "gradient", default_gradient(self.solver_facts.taped))
        object.__setattr__(self, "regularise", self.regularisers.text)
        solver, mode = self.solver_facts, self.gradient_facts
        plain = self.stepping == "torchdiffeq"
        if not solver.taped and mode.needs_explicit:
            others = any_of(modes_where(needs_explicit=False))
            kind = "an explicit solver" if solver.implicit else "another solver"
            raise ConfigError(
                f"gradient {mode.name} needs {kind}, got {solver.name}, which has {others}"
            )
        if solver.torchdiffeq_only and not plain:
            raise ConfigError(f"solver {solver.name} needs stepping torchdiffeq")
        if plain and not mode.torchdiffeq:
            raise ConfigError(
                f"stepping torchdiffeq needs gradient {any_of(modes_where(torchdiffeq=True))}, got"
                f" {mode.name}"
            )
        if self.step_size is not None:
            enough = self.step_size * self.max_steps >= 1 - 1e-9
            require(
                enough,
                "step_size",
                self.step_size,
                f"at least 1/max_steps = {1 / self.max_steps:g}",
            )
        elif not solver.adaptive and not (plain and solver.torchdiffeq_fixed):
            raise ConfigError(
                f"solver {solver.name} has no error estimate: give step_size, for example 0.1"
            )
        if plain:
            fixed = not self.adaptive
            has = solver.torchdiffeq_fixed if fixed else solver.torchdiffeq_adaptive
            both = names_where(**{"torchdiffeq_fixed" if fixed else "torchdiffeq_adaptive": True})
            kind = "with fixed steps" if fixed else "with adaptive steps"
            allowed = f"one of {', '.join(both)} {kind} under stepping torchdiffeq"
            require(has, "solver", solver.name, allowed)
        if not mode.backward_solve and self.backward_norm != "full":
            raise ConfigError(f"backward_norm needs gradient backsolve, got {mode.name}")
        if not mode.backward_solve and (
            self.backward_rtol is not None or self.backward_atol is not None
        ):
            raise ConfigError(
                f"backward_rtol and backward_atol need gradient backsolve, got {mode.name}"
            )
        if self.regularisers.error:
            self.check_step_errors("regularise error")
        if self.per_sample and self.regularisers.jacobian and not mode.needs_explicit:
            others = any_of(modes_where(needs_explicit=True))
            raise ConfigError(
                f"regularise jacobian with per_sample needs gradient {others}, got {mode.name}"
            )

    def check_step_errors(self, name: str) -> None:
        """Refuse settings under which the sum of the steps' error estimates has no derivative.

        Args:
          name: what asks for it, for the message.

        Raises:
          ConfigError: fixed steps, an implicit solver, or a gradient mode that does not see steps.
        """
        solver, mode = self.solver_facts, self.gradient_facts
        if not self.adaptive:
            raise ConfigError(f"{name} needs adaptive steps: fixed ones have no error estimate")
        if solver.implicit:
            raise ConfigError(f"{name} needs an explicit solver, got {solver.name}")
        if not mode.step_errors:
            allowed = any_of(modes_where(step_errors=True))
            why = ", whose backward solve does not see the steps" if mode.backward_solve else ""
            raise ConfigError(f"{name} needs gradient {allowed}, got {mode.name}{why}")

    @property
    def regularisers(self) -> Regularisers:
        """What is added to the loss in training. Raises ConfigError."""
        return Regularisers.read(self.regularise)

    @property
    def adaptive(self) -> bool:
        """Whether step sizes adapt to the error."""
        facts = self.solver_facts
        fixed_there = self.stepping == "torchdiffeq" and not facts.torchdiffeq_adaptive
        return self.step_size is None and not (fixed_there and facts.torchdiffeq_fixed)

    @property
    def solver_facts(self) -> SolverFacts:
        """The solver's properties."""
        return solver_facts(self.solver)

    @property
    def gradient_facts(self) -> GradientFacts:
        """The gradient mode's properties."""
        return gradient_facts(self.gradient)
