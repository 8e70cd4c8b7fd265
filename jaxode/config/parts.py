"""The parts of a run's settings.

Every field is one command-line flag, and its help text stands beside its default.
"""

# ruff: noqa: RUF009 - `setting` is dataclasses.field under a shorter name

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from jaxode.checks import COUNTS, SEEDS, ConfigError, Range, any_of, require
from jaxode.config.choices import (
    REFLECTIONS,
    AugmentationName,
    CropName,
    DataChoice,
    FeedName,
    NormName,
    OptimizerName,
    ParallelName,
    ScheduleName,
    StemName,
    SteppingName,
)
from jaxode.config.fields import check_fields, setting
from jaxode.config.gradients import (
    GRADIENT_FACTS,
    GradientChoice,
    GradientFacts,
    default_gradient,
    gradient_facts,
    modes_where,
)
from jaxode.config.models import MODEL_FACTS, ModelChoice, ModelFacts, facts_of, model_name
from jaxode.config.solvers import (
    SOLVER_FACTS,
    SolverChoice,
    SolverFacts,
    names_where,
    solver_facts,
)

MOST_ODE_BLOCKS = 32
"""Every ODE block is a solve that is traced and compiled: 0.3 s each for --describe."""

TOLERANCES = Range(1e-16, 1e3)
"""Squares of errors that are measured in tolerances stay finite in float32."""

MOST_STEPS = 100_000
"""Of one solve.

The exact gradient modes plan memory for a state of each (or for each of as many as a tape holds).
"""

MOST_DEVICES = 256
"""Of one process.

So many virtual devices of a CPU start in about 10 s; no host has more accelerators.
"""

BATCHES = Range(1, 2**20)
WIDTHS = Range(1, 2048)

RATES = Range(1e-37, 1e38)
"""What float32 holds."""


@dataclass(frozen=True)
class ModelConfig:
    """Which model: a registered one by its name, or a class or function of your own.

    Raises ConfigError on values outside the stated ranges.

    Example:
      >>> ModelConfig("resnet").blocks
      6
    """

    model: ModelChoice = setting(
        "odenet",
        "classifier: odenet: ODE blocks; resnet: residual blocks; mlp: one hidden layer of 300; of"
        " radar images: dense: four hidden layers of 128; cnn: a residual convolutional net;"
        " odecnn: that with an ODE for its two blocks",
        choices=MODEL_FACTS,
    )
    blocks: int | None = setting(
        None,
        f"ODE blocks (default 1, at most {MOST_ODE_BLOCKS}) or residual blocks (default 6) in the"
        " chain; 0: none",
        Range(0, 128),
    )
    width: int = setting(64, "channels of the feature maps; a multiple of 32 if above 32", WIDTHS)
    augment_dims: int = setting(
        0, "channels that the state of the ODE blocks has more, zero at t = 0", Range(0, 1024)
    )
    stem: StemName = setting(
        "quarter",
        "side of the downsampled map, of the image's: quarter: by three convolutions; eighth,"
        " sixteenth: by one or two of stride 2 more, for larger images",
    )

    def __post_init__(self) -> None:
        check_fields(self)
        name, own = self.facts.name, self.facts.default_blocks
        if self.blocks is None:
            object.__setattr__(self, "blocks", own)
        if "blocks" not in self.facts.uses:
            require(
                self.blocks == own,
                "blocks",
                self.blocks,
                f"left out for the {name}, which has {own or 'none'}",
            )
        solvable = self.ode_blocks <= MOST_ODE_BLOCKS
        require(solvable, "blocks", self.blocks, f"at most {MOST_ODE_BLOCKS} for the {name}")
        require(
            self.width % min(32, self.width) == 0,
            "width",
            self.width,
            "at most 32 or a multiple of 32",
        )
        augmentable = "augment_dims" in self.facts.uses and self.ode_blocks > 0
        useful = self.augment_dims == 0 or augmentable
        require(useful, "augment_dims", self.augment_dims, "0 for a model without ODE blocks")
        require(
            self.stem == "quarter" or "stem" in self.facts.uses,
            "stem",
            self.stem,
            f"left out for the {name}",
        )

    @property
    def name(self) -> str:
        """The registered name; of a class or function, its module and name."""
        return model_name(self.model)

    @property
    def facts(self) -> ModelFacts:
        """What is true of the model: its title and the settings that it uses."""
        return facts_of(self.model)

    @property
    def ode_blocks(self) -> int:
        """How many ODE blocks the model solves; 0 for one without blocks."""
        return (self.blocks or 0) if self.facts.solves else 0

    @property
    def stem_convolutions(self) -> int:
        """Convolutions of the stem: the first of stride 1, the others of stride 2."""
        return 3 + get_args(StemName).index(self.stem)


@dataclass(frozen=True)
class SolveConfig:
    """How an ODE is solved and differentiated.

    A solver is a registered name, a Diffrax solver class, or a function (rtol, atol) → Diffrax
    solver. A gradient mode is a registered name, or a function (config, max_steps) → Diffrax
    adjoint, whose attribute `facts`, a `GradientFacts`, may say more of it.

    Raises ConfigError on values outside the stated ranges.

    Example:
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
        None, "fixed step size; without it the step size adapts", Range(1 / MOST_STEPS, 1)
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
        "what the backsolve's error is measured on: full, or seminorm, which leaves the"
        " parameters out",
    )
    stepping: SteppingName = setting(
        "diffrax",
        "whose steps to take: diffrax, or torchdiffeq, with its overshoot, norms and evaluation"
        " counts",
    )
    tape_steps: int = setting(
        8,
        "accepted steps that the tape holds at one time; of more, all but the last are re-run",
        Range(1, MOST_STEPS),
    )
    max_steps: int = setting(
        256, "most steps, accepted and rejected, of one solve", Range(1, MOST_STEPS)
    )
    per_sample: bool = setting(
        False, "solve every image by itself, with its own steps, error and evaluation count"
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if self.gradient is None:
            object.__setattr__(self, "gradient", default_gradient(self.solver_facts.implicit))
        solver, mode = self.solver_facts, self.gradient_facts
        if solver.implicit and mode.needs_explicit:
            others = any_of(modes_where(needs_explicit=False))
            raise ConfigError(
                f"gradient {mode.name} needs an explicit solver, got {solver.name}, which has"
                f" {others}"
            )
        if self.step_size is not None:
            enough = self.step_size * self.max_steps >= 1 - 1e-9
            require(
                enough,
                "step_size",
                self.step_size,
                f"at least 1/max_steps = {1 / self.max_steps:g}",
            )
        elif not solver.adaptive:
            raise ConfigError(
                f"solver {solver.name} has no error estimate: give step_size, for example 0.1"
            )
        if self.stepping == "torchdiffeq":
            fixed = self.step_size is not None
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

    @property
    def solver_facts(self) -> SolverFacts:
        """What is true of the solver."""
        return solver_facts(self.solver)

    @property
    def gradient_facts(self) -> GradientFacts:
        """What is true of the gradient mode."""
        return gradient_facts(self.gradient)


@dataclass(frozen=True)
class DataConfig:
    """Which images. Raises ConfigError on values outside the stated ranges."""

    dataset: str = setting("mnist", "data set: a registered name, or the name of your own")
    data: DataChoice = setting(
        "auto",
        "full: the published set; sample: 2,000 + 500 bundled images; auto: full if it can be had,"
        " else sample",
    )
    data_dir: str | None = setting(
        None, "folder with the original files, or where to store them", path=True
    )
    limit_train: int | None = setting(None, "use only the first N training images", COUNTS)
    limit_test: int | None = setting(None, "use only the first N test images", COUNTS)
    crop: CropName = setting(
        "resize",
        "28x28 windows that training draws: resize: of the image enlarged to 32x32; pad: of the"
        " image with 4 black pixels around, as Chen et al.; none: the whole image",
    )
    augment: str = setting(
        "none",
        "what is drawn of training images before they are cropped: none; all; upright: all but"
        " transpose and flips, which change the meaning of hand signs; or names joined by commas: "
        + ", ".join(get_args(AugmentationName)),
    )
    classes: int | None = setting(
        None, "use only the images of the first N classes", Range(2, 1000)
    )
    test_share: float | None = setting(
        None,
        "share of the images held out for testing, of a data set without a test split (default: its"
        " own)",
        Range(1e-4, 0.9999),
    )
    split_seed: int = setting(
        0, "seed of that split, which takes the same share of every class", SEEDS
    )
    angle: bool = setting(False, "iceberg: show the incidence angle as one more plane")
    feed: FeedName = setting(
        "resident",
        "resident: all images on the device; streamed: batches, two ahead of the step, with the"
        " same results; auto: streamed if the images take more than half of the device's memory",
    )

    def __post_init__(self) -> None:
        check_fields(self)
        self.augmentations  # noqa: B018 - says what is wrong

    @property
    def augmentations(self) -> tuple[AugmentationName, ...]:
        """Names of the augmentations, in the order they are applied. Raises ConfigError."""
        every = get_args(AugmentationName)
        named = {
            "none": (),
            "all": every,
            "upright": tuple(name for name in every if name not in REFLECTIONS),
        }
        if self.augment in named:
            return named[self.augment]
        asked = [name.strip() for name in self.augment.split(",")]
        for name in asked:
            require(
                name in every, "augment", name, f"none, all, upright, or some of {', '.join(every)}"
            )
        return tuple(name for name in every if name in asked)


@dataclass(frozen=True)
class OptimConfig:
    """How parameters are updated. Raises ConfigError on values outside the stated ranges."""

    optimizer: OptimizerName = setting("sgd", "update rule, with PyTorch's meaning of every number")
    lr: float = setting(
        0.1,
        "learning rate at the start (default 0.1; 0.001 for adam and adamw)",
        RATES,
    )
    momentum: float = setting(0.9, "momentum of sgd", Range(0, 0.999999))
    weight_decay: float = setting(
        0.0, "L2 penalty of sgd and adam; decoupled decay of adamw", RATES._replace(at_least=0)
    )
    schedule: ScheduleName = setting(
        "step", "step: a tenth after every 0.3 of the epochs; constant; cosine: to zero"
    )

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class ParallelConfig:
    """How a step is spread over devices and time.

    Raises ConfigError on values outside the stated ranges.
    """

    parallel: ParallelName = setting(
        "jit",
        "jit: one step size for the whole batch on all devices; pmap: every device solves its part"
        " by itself",
    )
    devices: int | None = setting(
        None,
        "devices that each process uses (default all; on a CPU, N virtual ones)",
        Range(1, MOST_DEVICES),
    )
    accumulate: int = setting(
        1, "parts that a batch is solved in one after the other, for less memory", BATCHES
    )

    def __post_init__(self) -> None:
        check_fields(self)
