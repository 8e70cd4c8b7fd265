"""All settings of a run together, to and from JSON."""

# ruff: noqa: RUF009 - `setting` is dataclasses.field under a shorter name

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from jaxode.checks import SEEDS, ConfigError, any_of, require
from jaxode.config.choices import DEFAULT_LR, KernelsName, Precision, TrainEvaluation
from jaxode.config.data import DataConfig
from jaxode.config.extension import Extension, checked_extensions
from jaxode.config.fields import check_fields, setting
from jaxode.config.gradients import default_gradient, gradient_name, modes_where
from jaxode.config.keys import require_keys, require_object
from jaxode.config.model import STEM_DEFAULTS, ModelConfig
from jaxode.config.models import MODEL_FACTS, ModelChoice, model_name
from jaxode.config.optim import OptimConfig
from jaxode.config.parallel import BATCHES, EPOCHS, ParallelConfig
from jaxode.config.solve import SolveConfig
from jaxode.config.solvers import solver_name

Part = ModelConfig | SolveConfig | DataConfig | OptimConfig | ParallelConfig

PARTS: dict[str, type[Part]] = {
    "model": ModelConfig,
    "solve": SolveConfig,
    "data": DataConfig,
    "optim": OptimConfig,
    "parallel": ParallelConfig,
}
"""The groups of settings of a RunConfig, by field."""


@dataclass(frozen=True)
class RunConfig:
    """All settings of a training run.

    Args:
      model: which model.
      solve: how its ODEs are solved.
      data: which images.
      optim: how parameters are updated.
      parallel: how a step is spread over devices and micro-batches.
      epochs: passes over the training split, 1 to 10⁶.
      batch_size: examples of a step, 1 to 2²⁰.
      eval_batch_size: examples of a batch of evaluation, 1 to 2²⁰; None for `batch_size`.
      seed: of initial parameters, order of the examples and augmentation.
      precision: of everything (float64, float32) or of the convolutions alone.
      kernels: implementation of convolutions and norms (`jaxode.nn.kernels`).
      train_evaluation: after which epochs the training split is evaluated too.
      extended_from: how often more epochs were given to a run whose learning rates depend on their
        number; a resume records it.

    Raises:
      ConfigError: a value outside its range, or settings that contradict each other.

    Example:
      >>> from jaxode import ModelConfig, RunConfig
      >>> config = RunConfig(model=ModelConfig("resnet"), epochs=3)
      >>> RunConfig.from_json(config.to_json()) == config
      True
      >>> config.replaced(model="odenet", rtol=1e-5).solve.rtol
      1e-05
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    solve: SolveConfig = field(default_factory=SolveConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    epochs: int = setting(
        30,
        "passes over the training images (5 on the bundled sample unless given)",
        EPOCHS,
    )
    batch_size: int = setting(128, "images in a step", BATCHES)
    eval_batch_size: int | None = setting(
        None, "images in a batch of evaluation (default: those of a step)", BATCHES
    )
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

    extended_from: tuple[Extension, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        extensions = checked_extensions(self.extended_from, self.epochs)
        object.__setattr__(self, "extended_from", extensions)
        parts = self.parallel.accumulate
        require(
            parts <= self.batch_size,
            "accumulate",
            parts,
            f"at most the batch_size, {self.batch_size}",
        )
        require(
            parts <= self.evaluation_batch,
            "accumulate",
            parts,
            f"at most the eval_batch_size, {self.eval_batch_size}",
        )
        self.scaled_optim  # noqa: B018 - raises ConfigError
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
            name, taped = self.solve.gradient_facts.name, self.solve.solver_facts.taped
            only = {} if taped else {"needs_explicit": False}
            others = any_of(modes_where(in_shards=True, **only))
            reason = f"Diffrax cannot run its {name} loop on one device's part of a batch"
            raise ConfigError(
                f"gradient {name} needs parallel jit: {reason}; parallel pmap has {others}"
            )

    @property
    def evaluation_batch(self) -> int:
        """Examples of a batch of evaluation."""
        return self.batch_size if self.eval_batch_size is None else self.eval_batch_size

    @property
    def scaled_optim(self) -> OptimConfig:
        """The update rule with the learning rate of this batch size, which `lr_batch` scales."""
        optim = self.optim
        if optim.lr_batch is None:
            return optim
        return dataclasses.replace(optim, lr=optim.lr * self.batch_size / optim.lr_batch)

    @property
    def dtype(self) -> Literal["float32", "float64"]:
        """Floating-point type of parameters, images, states and sums."""
        return "float64" if self.precision == "float64" else "float32"

    def flat(self) -> dict[str, Any]:
        """All settings by name, in the order of the classes; names are unique across the groups."""
        settings: dict[str, Any] = {}
        for name, value in dataclasses.asdict(self).items():
            settings.update(value if isinstance(value, dict) else {name: value})
        settings["model"] = self.model.model  # itself, where asdict would copy it
        return settings

    def replaced(self, **changes: object) -> RunConfig:
        """A copy with some settings changed; all are validated together.

        A changed model without `blocks` gets its default number, and the default stem where it uses
        none; a changed optimizer without `lr` gets its default rate; a changed solver without
        `gradient` gets its default mode if the present solver has its own default.

        Args:
          **changes: values by the names of `flat`.

        Raises:
          ConfigError: an unknown or invalid setting.
        """
        settings = self.flat()
        model = changes.get("model", self.model.model)
        if model != self.model.model:
            settings["blocks"] = None
            # A name that is not registered is refused below.
            facts = MODEL_FACTS.get(model) if isinstance(model, str) else None
            idle = () if facts is None else STEM_DEFAULTS.keys() - facts.uses
            settings.update({name: STEM_DEFAULTS[name] for name in idle})
        if changes.get("optimizer", self.optim.optimizer) != self.optim.optimizer:
            settings["lr"] = DEFAULT_LR.get(str(changes["optimizer"]))
        if self.solve.gradient == default_gradient(self.solve.solver_facts.taped):
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
        """A nested dictionary of JSON values.

        A class or function is represented by its module and name; `from_json` needs the object too.
        """
        values = dataclasses.asdict(self)
        values["model"]["model"] = self.model.name
        values["solve"]["solver"] = solver_name(self.solve.solver)
        values["solve"]["gradient"] = gradient_name(self.solve.gradient)
        extensions = values.pop("extended_from")
        return {**values, "extended_from": list(extensions)} if extensions else values

    @classmethod
    def from_json(cls, values: Mapping[str, object], own: ModelChoice | None = None) -> RunConfig:
        """The inverse of `to_json`.

        Args:
          values: nested dictionary of JSON values.
          own: the class or function of the model, which replaces its name.

        Raises:
          ConfigError: naming the key that is missing, unknown or invalid.
        """
        settings = require_object("the settings of a run", values)
        part = settings.get("model")
        if own is not None and isinstance(part, dict) and part.get("model") == model_name(own):
            settings["model"] = {**part, "model": own}
        rest = {name: value for name, value in settings.items() if name not in PARTS}
        require_keys("", rest, [name for name in _names(cls) if name not in PARTS])
        parts: dict[str, Any] = {name: part_from_json(name, settings) for name in PARTS}
        return cls(**parts, **rest)


def part_from_json(part: str, values: Mapping[str, object]) -> Part:
    """One group of a run's settings.

    Args:
      part: a key of PARTS.
      values: JSON values of all groups.

    Raises:
      ConfigError: names the missing, unknown or invalid key as "part.key".
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
