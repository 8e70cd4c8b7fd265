"""How parameters are updated.

Every field is one command-line flag, with its help text next to its default.
"""

# ruff: noqa: RUF009 - `setting` is dataclasses.field under a shorter name

from __future__ import annotations

from dataclasses import dataclass

from jaxode.checks import Range
from jaxode.config.choices import OptimizerName, ScheduleName
from jaxode.config.fields import check_fields, setting

RATES = Range(1e-37, 1e38)
"""What float32 can represent."""


@dataclass(frozen=True)
class OptimConfig:
    """How parameters are updated.

    Args:
      optimizer: update rule, with the meaning that PyTorch gives every number.
      lr: initial learning rate, 1e-37 to 1e38.
      momentum: of sgd, 0 to 0.999999.
      weight_decay: L2 penalty of sgd and adam, decoupled decay of adamw; 0 to 1e38.
      schedule: of the learning rate (`jaxode.optim.learning_rate`).

    Raises:
      ConfigError: a value outside its range.

    Example:
      >>> from jaxode import OptimConfig
      >>> OptimConfig(optimizer="adamw", lr=1e-3, schedule="cosine").momentum
      0.9
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
        "step", "step: a tenth after every 0.3 of the epochs; constant; cosine: to zero"
    )

    def __post_init__(self) -> None:
        check_fields(self)
