"""Training: state, compiled steps, predictions, and `run` and `fit`, which put them together."""

from jaxode.train.fit import Fitted as Fitted
from jaxode.train.fit import fit as fit
from jaxode.train.run import run as run
