"""All settings of a run together, to and from JSON."""

# ruff: noqa: RUF009 - `setting` is dataclasses.field under a shorter name

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from jaxode.checks import SEEDS, ConfigError, Range, any_of, require
from jaxode.config.choices import DEFAULT_LR, KernelsName, Precision, TrainEvaluation
from jaxode.config.data import DataConfig
from jaxode.config.fields import check_fields, setting
from jaxode.config.gradients import default_gradient, gradient_name, modes_where
from jaxode.config.keys import require_keys, require_object
from jaxode.config.model import ModelConfig
from jaxode.config.models import MODEL_FACTS, ModelChoice, facts_of, model_name
from jaxode.config.optim import OptimConfig
from jaxode.config.parallel import BATCHES, ParallelConfig
from jaxode.config.solve import SolveConfig
from jaxode.config.solvers import solver_name

PARTS = {
    "model": ModelConfig,
    "solve": SolveConfig,
    "data": DataConfig,
    "optim": OptimConfig,
    "parallel": ParallelConfig,
}
"""The parts of a RunConfig that are classes of their own."""


@dataclass(frozen=True)
class RunConfig:
    """A whole training run. Raises ConfigError on values outside the stated ranges."""

    model: ModelConfig = field(default_factory=ModelConfig)
    solve: SolveConfig = field(default_factory=SolveConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    epochs: int = setting(
        30,
        "passes over the training images (5 on the bundled sample unless given)",
        Range(1, 10**6),
    )
    batch_size: int = setting(128, "images in a step", BATCHES)
    seed: int = setting(
        0, "seed of the initial parameters, the order of the images and the crops", SEEDS
    )
    precision: Precision = setting(
        "float32",
        "float64 or float32: of everything; tf32, bfloat16 or float16: of the convolutions, all"
        " else in float32; float16 scales the loss",
    )
    kernels: KernelsName = setting(
        "auto",
        "convolutions and norms: native (C++ for a CPU), matmul (matrix products), plain (XLA's);"
        " auto is the quickest",
    )
    train_evaluation: TrainEvaluation = setting(
        "every",
        "epochs after which the training images are evaluated too: every, or the last alone, for"
        " less time",
    )

    def __post_init__(self) -> None:
        check_fields(self)
        parts = self.parallel.accumulate
        require(
            parts <= self.batch_size,
            "accumulate",
            parts,
            f"at most the batch_size, {self.batch_size}",
        )
        if self.precision == "float16" and self.model.ode_blocks:
            mode, solver = self.solve.gradient_facts, self.solve.solver_facts
            tolerant = f"gradient {mode.name}" if mode.backward_solve else f"solver {solver.name}"
            if mode.backward_solve or solver.implicit:
                raise ConfigError(
                    f"precision float16 scales the gradient, which {tolerant} computes to a"
                    " tolerance: use precision bfloat16, or an explicit solver with gradient tape"
                )
        if (
            self.parallel.parallel == "pmap"
            and self.model.ode_blocks
            and not self.solve.gradient_facts.in_shards
        ):
            name, implicit = self.solve.gradient_facts.name, self.solve.solver_facts.implicit
            only = {"needs_explicit": False} if implicit else {}
            others = any_of(modes_where(in_shards=True, **only))
            reason = f"Diffrax cannot run its {name} loop on one device's part of a batch"
            raise ConfigError(
                f"gradient {name} needs parallel jit: {reason}; parallel pmap has {others}"
            )

    @property
    def dtype(self) -> Literal["float32", "float64"]:
        """Type of parameters, images, states and sums."""
        return "float64" if self.precision == "float64" else "float32"

    def flat(self) -> dict[str, Any]:
        """All settings by their own names, in the order of the classes.

        Names are unique across the parts.
        """
        settings: dict[str, Any] = {}
        for name, value in dataclasses.asdict(self).items():
            settings.update(value if isinstance(value, dict) else {name: value})
        settings["model"] = self.model.model  # itself, where asdict would copy it
        return settings

    def replaced(self, **changes: Any) -> RunConfig:
        """A copy with some settings, named as in `flat`, changed; all are validated together.

        Another model without `blocks` gets its default blocks, and the first stem where it has no
        other; another optimizer without `lr` gets its usual rate, and another solver without
        `gradient` its default mode if that is what the present one has. Raises ConfigError on
        unknown or invalid settings.
        """
        settings = self.flat()
        if changes.get("model", self.model.model) != self.model.model:
            settings["blocks"] = None
            # A name that is not registered is refused below.
            if changes["model"] in MODEL_FACTS and "stem" not in facts_of(changes["model"]).uses:
                settings["stem"] = "quarter"
        if changes.get("optimizer", self.optim.optimizer) != self.optim.optimizer:
            settings["lr"] = DEFAULT_LR.get(str(changes["optimizer"]))
        if self.solve.gradient == default_gradient(self.solve.solver_facts.implicit):
            settings["gradient"] = None
        for name, value in changes.items():
            require(name in settings, "a setting", name, "one of " + ", ".join(settings))
            settings[name] = value
        built = {
            part: kind(**{f.name: settings.pop(f.name) for f in dataclasses.fields(kind)})
            for part, kind in PARTS.items()
        }
        return RunConfig(**built, **settings)

    def to_json(self) -> dict[str, Any]:
        """Nested dictionary of plain JSON values.

        A model of a user's own is named by its module and name; `from_json` needs it to be given.
        """
        values = dataclasses.asdict(self)
        values["model"]["model"] = self.model.name
        values["solve"]["solver"] = solver_name(self.solve.solver)
        values["solve"]["gradient"] = gradient_name(self.solve.gradient)
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any], own: ModelChoice | None = None) -> RunConfig:
        """The inverse of to_json.

        Args:
          values: nested dictionary of JSON values.
          own: a model of a user's own, which takes the place of its name.

        Raises:
          ConfigError: naming the key that is missing, unknown or invalid.
        """
        values = require_object("the settings of a run", values)
        part = values.get("model")
        if own is not None and isinstance(part, dict) and part.get("model") == model_name(own):
            values["model"] = {**part, "model": own}
        rest = {name: value for name, value in values.items() if name not in PARTS}
        require_keys("", rest, [name for name in _names(cls) if name not in PARTS])
        return cls(**{name: part_from_json(name, values) for name in PARTS}, **rest)


def part_from_json(part: str, values: dict[str, Any]) -> Any:
    """One part of a run's settings, given all of them.

    Raises ConfigError naming the key as "part.key".
    """
    if part not in values:
        raise ConfigError(f"{part} is missing")
    own = require_object(part, values[part])
    require_keys(f"{part}.", own, _names(PARTS[part]))
    try:
        return PARTS[part](**own)
    except ConfigError as error:
        raise ConfigError(f"{part}.{error}") from None


def _names(kind: type) -> list[str]:
    return [spec.name for spec in dataclasses.fields(kind)]
