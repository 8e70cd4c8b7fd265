"""Neural ODEs in JAX: Flax models, Diffrax solves, every number checked against PyTorch."""

from jaxode.checks import ConfigError as ConfigError
from jaxode.config import DataConfig as DataConfig
from jaxode.config import ModelConfig as ModelConfig
from jaxode.config import OptimConfig as OptimConfig
from jaxode.config import RunConfig as RunConfig
from jaxode.config import SolveConfig as SolveConfig

__version__ = "0.1.0"
