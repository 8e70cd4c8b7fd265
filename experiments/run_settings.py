"""From the flags of an experiment to the settings of its run."""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxode.config import OptimConfig, RunConfig, SolveConfig

SHARED = (
    *(field.name for field in dataclasses.fields(SolveConfig)),
    *(field.name for field in dataclasses.fields(OptimConfig)),
    "epochs",
    "batch_size",
    "seed",
)
"""Settings of a run that a flag of the same name gives."""


def run_settings(flags: Any, **changes: object) -> RunConfig:
    """The settings of a run: those of the flags, and the defaults of what no flag says.

    Training is by Adam unless a flag says otherwise, and the training examples are evaluated once,
    at the end.

    Args:
      flags: a dataclass of an experiment's settings; None is the default.
      **changes: settings that are others than the flag of that name.

    Raises:
      ConfigError: settings that do not go together.
    """
    given = {name: getattr(flags, name, None) for name in SHARED} | changes
    usual = RunConfig(optim=OptimConfig("adam"), train_evaluation="last")
    return usual.replaced(**{name: value for name, value in given.items() if value is not None})
