"""What a run is: frozen, validated settings, to and from JSON. Standard library only."""

from jaxode.config.choices import ADAPTIVE_IN_BOTH as ADAPTIVE_IN_BOTH
from jaxode.config.choices import CHAINS as CHAINS
from jaxode.config.choices import CONVOLUTIONS_ONLY as CONVOLUTIONS_ONLY
from jaxode.config.choices import EXPLICIT_ONLY as EXPLICIT_ONLY
from jaxode.config.choices import FIXED_IN_BOTH as FIXED_IN_BOTH
from jaxode.config.choices import FIXED_STEP_ONLY as FIXED_STEP_ONLY
from jaxode.config.choices import AugmentationName as AugmentationName
from jaxode.config.choices import BandModelName as BandModelName
from jaxode.config.choices import CropName as CropName
from jaxode.config.choices import DatasetName as DatasetName
from jaxode.config.choices import GradientName as GradientName
from jaxode.config.choices import ModelName as ModelName
from jaxode.config.choices import OptimizerName as OptimizerName
from jaxode.config.choices import ParallelName as ParallelName
from jaxode.config.choices import Precision as Precision
from jaxode.config.choices import SolverName as SolverName
from jaxode.config.choices import StemName as StemName
from jaxode.config.parts import DataConfig as DataConfig
from jaxode.config.parts import ModelConfig as ModelConfig
from jaxode.config.parts import OptimConfig as OptimConfig
from jaxode.config.parts import ParallelConfig as ParallelConfig
from jaxode.config.parts import SolveConfig as SolveConfig
from jaxode.config.parts import setting as setting
from jaxode.config.run import PARTS as PARTS
from jaxode.config.run import RunConfig as RunConfig
