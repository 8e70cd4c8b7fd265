"""Whole models, a family a file, and their registry."""

from jaxode.models.base import MODELS as MODELS
from jaxode.models.base import Model as Model
from jaxode.models.base import Request as Request
from jaxode.models.base import register_model as register_model
from jaxode.models.base import unregister_model as unregister_model
from jaxode.models.create import create_model as create_model
from jaxode.models.dense_classifier import DenseClassifier as DenseClassifier
from jaxode.models.describe import describe as describe
from jaxode.models.describe import parameter_count as parameter_count
from jaxode.models.encoders import ODERNNEncoder as ODERNNEncoder
from jaxode.models.encoders import Posterior as Posterior
from jaxode.models.encoders import RNNEncoder as RNNEncoder
from jaxode.models.flow import ContinuousFlow as ContinuousFlow
from jaxode.models.forecaster import Forecast as Forecast
from jaxode.models.forecaster import RNNForecaster as RNNForecaster
from jaxode.models.iceberg import IcebergNet as IcebergNet
from jaxode.models.image_flow import ImageFlow as ImageFlow
from jaxode.models.latent_ode import LatentODE as LatentODE
from jaxode.models.latent_ode import LatentOutputs as LatentOutputs
from jaxode.models.mlp import MLP as MLP
from jaxode.models.neural_cde import NeuralCDE as NeuralCDE
from jaxode.models.odenet import ODENet as ODENet
from jaxode.models.recurrent import GRUD as GRUD
from jaxode.models.recurrent import ODERNN as ODERNN
from jaxode.models.recurrent import RNNDelta as RNNDelta
from jaxode.models.resnet import ResNet as ResNet
