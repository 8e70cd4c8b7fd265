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
    from jaxode.models import create_model as create_model
    from jaxode.nn import ODEBlock as ODEBlock
    from jaxode.ode import Stats as Stats
    from jaxode.ode import odeint as odeint
    from jaxode.ode.trajectory import trajectory as trajectory
    from jaxode.train import fit as fit

__version__ = "0.1.0"

LATER = {
    "ArrayDataset": "jaxode.data",
    "ODEBlock": "jaxode.nn",
    "Stats": "jaxode.ode",
    "create_model": "jaxode.models",
    "fit": "jaxode.train",
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


def __getattr__(name: str) -> Any:
    if name not in LATER:
        raise AttributeError(f"module 'jaxode' has no attribute {name!r}")
    return getattr(importlib.import_module(LATER[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *LATER})
