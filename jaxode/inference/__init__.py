"""Using a trained model: load it, predict pictures, evaluate it with other solve settings."""

from jaxode.inference.depth_maps import DepthMap as DepthMap
from jaxode.inference.depth_maps import TrainedDepth as TrainedDepth
from jaxode.inference.depth_maps import is_depth_model as is_depth_model
from jaxode.inference.depth_maps import load_depth_model as load_depth_model
from jaxode.inference.detecting import Detected as Detected
from jaxode.inference.detecting import TrainedDetector as TrainedDetector
from jaxode.inference.detecting import is_detector as is_detector
from jaxode.inference.detecting import load_detector as load_detector
from jaxode.inference.evaluation import Evaluation as Evaluation
from jaxode.inference.evaluation import evaluate as evaluate
from jaxode.inference.inputs import read_pictures as read_pictures
from jaxode.inference.loading import load as load
from jaxode.inference.own_model import TrainedModule as TrainedModule
from jaxode.inference.predictions import PicturePredictions as PicturePredictions
from jaxode.inference.trained import TrainedModel as TrainedModel
