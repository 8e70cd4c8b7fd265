"""How parameters are updated.

Every field is one command-line flag, with its help text next to its default.
"""

# ruff: noqa: RUF009 - `setting` is dataclasses.field under a shorter name

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from jaxode.checks import Range, require
from jaxode.config.choices import OptimizerName, ScheduleName
from jaxode.config.fields import check_fields, setting
from jaxode.config.parallel import BATCHES, EPOCHS

RATES = Range(1e-37, 1e38)
"""What float32 can represent."""

MILESTONES = f"rising whole numbers of epochs from 1 to {EPOCHS.at_most}, joined by commas"


@dataclass(frozen=True)
class OptimConfig:
    """How parameters are updated.

    Args:
      optimizer: update rule, with the meaning that PyTorch gives every number.
      lr: initial learning rate, 1e-37 to 1e38.
      momentum: of sgd, 0 to 0.999999.
      weight_decay: L2 penalty of sgd and adam, decoupled decay of adamw; 0 to 1e38.
      schedule: of the learning rate (`jaxode.optim.learning_rate`).
      milestones: of schedule milestones, which needs them: the epochs after which the rate is
        divided by ten, 1 to 10⁶, rising, joined by commas.
      lr_batch: batch size that `lr` is meant for: the rate of a run is lr · batch_size / lr_batch.
        None: the rate is `lr`, whatever the batch size.

    Raises:
      ConfigError: a value outside its range, or milestones that are missing.

    Example:
      >>> from jaxode import OptimConfig
      >>> OptimConfig(optimizer="adamw", lr=1e-3, schedule="cosine").momentum
      0.9
      >>> OptimConfig(schedule="milestones", milestones="60,100,140").milestone_epochs
      (60, 100, 140)
    """

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
        "step",
        "step: a tenth after every 0.3 of the epochs; milestones: a tenth after each of"
        " --milestones; constant; cosine: to zero",
    )
    milestones: str | None = setting(
        None, "epochs after which schedule milestones divides the rate by ten, as in 60,100,140"
    )
    lr_batch: int | None = setting(
        None,
        "batch size that --lr is meant for: the rate is lr x batch-size / N (default: lr as it is)",
        BATCHES,
    )

    def __post_init__(self) -> None:
        check_fields(self)
        needed = self.schedule != "milestones" or self.milestones is not None
        require(needed, "milestones", None, f"given for schedule milestones: {MILESTONES}")
        self.milestone_epochs  # noqa: B018 - raises ConfigError

    @property
    def milestone_epochs(self) -> tuple[int, ...]:
        """Epochs after which the rate is divided by ten; empty without. Raises ConfigError."""
        if self.milestones is None:
            return ()
        words = [word.strip() for word in self.milestones.split(",")]
        # isdecimal alone takes digits of all scripts.
        whole = all(word.isascii() and word.isdecimal() and len(word) < 8 for word in words)
        epochs = tuple(map(int, words)) if whole else ()
        rising = all(before < after for before, after in pairwise((0, *epochs)))
        ordered = bool(epochs) and rising and epochs[-1] <= EPOCHS.at_most
        require(ordered, "milestones", self.milestones, MILESTONES)
        return epochs
