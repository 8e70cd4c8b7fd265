"""Callbacks: your own code, and loggers, called while a model trains."""

from jaxode.callbacks.base import Callback as Callback
from jaxode.callbacks.base import RunInfo as RunInfo
from jaxode.callbacks.base import TrainingStep as TrainingStep
from jaxode.callbacks.early_stopping import EarlyStopping as EarlyStopping
from jaxode.callbacks.tensorboard import TensorBoard as TensorBoard
from jaxode.callbacks.wandb import WandB as WandB
