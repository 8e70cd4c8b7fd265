"""Neural ODEs in JAX: Flax models, Diffrax solves, every number checked against PyTorch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from jaxode.checks import ConfigError as ConfigError
from jaxode.config import DataConfig as DataConfig
from jaxode.config import ModelConfig as ModelConfig
from jaxode.config import OptimConfig as OptimConfig
from jaxode.config import RunConfig as RunConfig
from jaxode.config import SolveConfig as SolveConfig

if TYPE_CHECKING:
    from jaxode.data import ArrayDataset as ArrayDataset
    from jaxode.data import load_dataset as load_dataset
    from jaxode.inference import TrainedModel as TrainedModel
    from jaxode.inference import evaluate as evaluate
    from jaxode.inference import load as load
    from jaxode.models import create_model as create_model
    from jaxode.nn import ODEBlock as ODEBlock
    from jaxode.ode import Stats as Stats
    from jaxode.ode import odeint as odeint
    from jaxode.ode.trajectory import trajectory as trajectory
    from jaxode.runs.comparison import compare_runs as compare_runs
    from jaxode.train import fit as fit

__version__ = "0.1.0"

LATER = {
    "ArrayDataset": "jaxode.data",
    "ODEBlock": "jaxode.nn",
    "Stats": "jaxode.ode",
    "TrainedModel": "jaxode.inference",
    "compare_runs": "jaxode.runs.comparison",
    "create_model": "jaxode.models",
    "evaluate": "jaxode.inference",
    "fit": "jaxode.train",
    "load": "jaxode.inference",
    "load_dataset": "jaxode.data",
    "odeint": "jaxode.ode",
    "trajectory": "jaxode.ode.trajectory",
}
"""Names that are imported when they are first asked for, since JAX and Flax take seconds."""

__all__ = [
    "ConfigError",
    "DataConfig",
    "ModelConfig",
    "OptimConfig",
    "RunConfig",
    "SolveConfig",
    *LATER,
]


MODULES = (
    "callbacks",
    "config",
    "data",
    "export",
    "models",
    "nn",
    "ode",
    "parity",
    "tasks",
    "train",
)
"""Rooms that are imported when they are first used."""


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return importlib.import_module(f"jaxode.{name}")
    if name not in LATER:
        raise AttributeError(f"module 'jaxode' has no attribute {name!r}")
    return getattr(importlib.import_module(LATER[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *LATER, *MODULES})
