"""Tasks: what a model learns, how a batch is judged, and which metric picks the best epoch."""

from jaxode.tasks.base import Batch as Batch
from jaxode.tasks.base import Metrics as Metrics
from jaxode.tasks.base import Predictions as Predictions
from jaxode.tasks.base import Task as Task
from jaxode.tasks.classification import Classification as Classification
from jaxode.tasks.defaults import default_task as default_task
from jaxode.tasks.density import Density as Density
from jaxode.tasks.depth import DepthEstimation as DepthEstimation
from jaxode.tasks.detection import Detection as Detection
from jaxode.tasks.latent_series import LatentSeries as LatentSeries
from jaxode.tasks.next_value import NextValue as NextValue
from jaxode.tasks.regression import Regression as Regression
from jaxode.tasks.series import SeriesClassification as SeriesClassification
from jaxode.tasks.series import examples_of as examples_of
from jaxode.tasks.series import series_of as series_of
