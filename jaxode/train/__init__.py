"""Training: state, compiled steps, predictions, and `run` and `fit`, which put them together."""

from jaxode.train.loop import Fitted as Fitted
from jaxode.train.loop import fit as fit
from jaxode.train.loop import run as run
