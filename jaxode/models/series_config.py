"""A model of time series from its settings, which a run records beside its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxode.checks import require_choice, require_count
from jaxode.config import SolveConfig
from jaxode.models.encoders import ODERNNEncoder, RNNEncoder
from jaxode.models.forecaster import RNNForecaster
from jaxode.models.latent_ode import LatentODE
from jaxode.models.neural_cde import NeuralCDE
from jaxode.models.recorded_settings import settings_of
from jaxode.models.recurrent import GRUD, ODERNN, RNNDelta
from jaxode.nn.dense import Dense, DenseField

FILE = "series.json"
"""Where a run has them."""

MODELS = ("latent_ode", "rnn", "ode_rnn", "neural_cde", "gru_d", "rnn_delta")
SOLVING = ("latent_ode", "ode_rnn", "neural_cde")
"""Those that solve an ODE."""
ENCODERS = ("rnn", "masked_rnn", "ode_rnn")
CLASSIFIER = 300
"""Units of each of the two hidden layers of an outcome's classifier (Rubanova et al. 2019)."""


@dataclass(frozen=True)
class SeriesModelConfig:
    """Which model of series, and its sizes.

    Args:
      channels: D, values of a row.
      outputs: classes; of a latent ODE 1 with a binary outcome, else 0.
      model: latent_ode; rnn, which predicts next values; ode_rnn, neural_cde, gru_d or rnn_delta.
      encoder: of a latent ODE: rnn reads values alone, masked_rnn mask and gaps too, ode_rnn.
      hidden: numbers of the state; of a latent ODE, of its encoder's.
      latent: numbers of a latent ODE's z.
      units: of hidden layers.
      layers: hidden layers of the fields.
      activation: of a latent ODE's field.
      decoder: units of a latent ODE's decoder, 0 for a linear one.

    Raises:
      ConfigError: a value that is not allowed.

    Example:
      >>> from jaxode.models.series_config import SeriesModelConfig
      >>> SeriesModelConfig(3, 20, "neural_cde").solves
      True
    """

    channels: int
    outputs: int
    model: str = "latent_ode"
    encoder: str = "rnn"
    hidden: int = 25
    latent: int = 4
    units: int = 20
    layers: int = 2
    activation: str = "elu"
    decoder: int = 20

    def __post_init__(self) -> None:
        require_choice("model", self.model, MODELS)
        require_choice("encoder", self.encoder, ENCODERS)
        for name in ("channels", "hidden", "latent", "units", "layers"):
            require_count(name, getattr(self, name))
        least = 0 if self.model in ("latent_ode", "rnn") else 1
        require_count("outputs", self.outputs, least)
        require_count("decoder", self.decoder, 0)

    @property
    def solves(self) -> bool:
        """Whether the model solves an ODE."""
        return self.model in SOLVING

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> SeriesModelConfig:
        """The settings that `dataclasses.asdict` gave. Raises ConfigError."""
        return settings_of(cls, values, FILE)


def create_series_model(
    config: SeriesModelConfig,
    solve: SolveConfig,
    rngs: nnx.Rngs,
    means: Sequence[float] | np.ndarray | None = None,
) -> nnx.Module:
    """A model with initial parameters, in float32.

    Args:
      config: which model.
      solve: how its ODE is solved, if it has one.
      rngs: stream `params` of keys.
      means: of each channel over the training set's observations, for gru_d; zeros without.

    Example:
      >>> from flax import nnx
      >>> from jaxode import SolveConfig
      >>> from jaxode.models.series_config import SeriesModelConfig, create_series_model
      >>> config = SeriesModelConfig(3, 20, "rnn_delta")
      >>> type(create_series_model(config, SolveConfig(), nnx.Rngs(0))).__name__
      'RNNDelta'
    """
    both: dict[str, Any] = {"rngs": rngs, "dtype": jnp.float32}
    channels, hidden, outputs = config.channels, config.hidden, config.outputs
    if config.model == "latent_ode":
        return _latent_ode(config, solve, both)
    if config.model == "rnn":
        return RNNForecaster(channels, hidden, **both)
    if config.model == "rnn_delta":
        return RNNDelta(channels, hidden, outputs, **both)
    if config.model == "gru_d":
        found = np.zeros(channels) if means is None else np.asarray(means)
        return GRUD(jnp.asarray(found, jnp.float32), hidden, outputs, **both)
    family = ODERNN if config.model == "ode_rnn" else NeuralCDE
    sizes = {"units": config.units, "layers": config.layers}
    return family(channels, hidden, outputs, **sizes, solve=solve, **both)


def _latent_ode(config: SeriesModelConfig, solve: SolveConfig, both: dict[str, Any]) -> LatentODE:
    channels, latent, units = config.channels, config.latent, config.units
    if config.encoder == "ode_rnn":
        sizes = {"units": units, "layers": config.layers, "gate_units": units}
        encoder: nnx.Module = ODERNNEncoder(channels, latent, config.hidden, **sizes, **both)
    else:
        masked = config.encoder == "masked_rnn"
        encoder = RNNEncoder(channels, latent, config.hidden, masked=masked, **both)
    field = DenseField(latent, units, config.layers, config.activation, **both)
    between = [config.decoder] if config.decoder else []
    decoder = Dense([latent, *between, channels], "relu", **both)
    classifier = None
    if config.outputs:
        classifier = Dense([latent, CLASSIFIER, CLASSIFIER, config.outputs], "relu", **both)
    return LatentODE(encoder, field, decoder, solve, classifier=classifier)
