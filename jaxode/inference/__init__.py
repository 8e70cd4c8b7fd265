"""Using a trained model: load it, predict with it, evaluate it with other solve settings."""

from jaxode.inference.base import Trained as Trained
from jaxode.inference.depth_maps import DepthMap as DepthMap
from jaxode.inference.depth_maps import DepthMaps as DepthMaps
from jaxode.inference.detections import Detected as Detected
from jaxode.inference.detections import Detections as Detections
from jaxode.inference.evaluation import Evaluation as Evaluation
from jaxode.inference.evaluation import evaluate as evaluate
from jaxode.inference.input_facts import InputFacts as InputFacts
from jaxode.inference.inputs import read_pictures as read_pictures
from jaxode.inference.loading import load as load
from jaxode.inference.loading import load_classifier as load_classifier
from jaxode.inference.log_densities import LogDensities as LogDensities
from jaxode.inference.own_model import TrainedModule as TrainedModule
from jaxode.inference.predictions import PicturePredictions as PicturePredictions
from jaxode.inference.recorded_models import register_recorded_model as register_recorded_model
from jaxode.inference.series_answers import SeriesPredictions as SeriesPredictions
from jaxode.inference.trained import TrainedModel as TrainedModel
from jaxode.inference.trained_density import TrainedDensity as TrainedDensity
from jaxode.inference.trained_depth import TrainedDepth as TrainedDepth
from jaxode.inference.trained_detector import TrainedDetector as TrainedDetector
from jaxode.inference.trained_flow import TrainedFlow as TrainedFlow
from jaxode.inference.trained_image_flow import TrainedImageFlow as TrainedImageFlow
from jaxode.inference.trained_series import TrainedSeries as TrainedSeries
