"""A flow from its settings, which a run of density estimation records beside its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx

from jaxode.checks import require, require_choice
from jaxode.config import SolveConfig
from jaxode.models.flow import ContinuousFlow
from jaxode.models.recorded_settings import settings_of
from jaxode.nn import ConcatSquashField, HyperField
from jaxode.nn.divergence import NOISES
from jaxode.nn.flow_fields import SMOOTH

FILE = "flow.json"
"""Where a run has them."""

FIELDS = ("hypernetwork", "concatsquash")
EXACT = "exact"


@dataclass(frozen=True)
class FlowConfig:
    """Which flow: field, sizes, time and divergence.

    Args:
      dimensions: D, numbers of a point.
      field: hypernetwork (torchdiffeq's cnf.py) or concatsquash (FFJORD).
      hidden: sizes of the hidden layers joined by commas; the hypernetwork's first is used, 32 in
        cnf.py.
      width: units of the hypernetwork's field.
      activation: of the concatsquash field.
      divergence: exact, or the noise of Hutchinson's estimator in training.

    Raises:
      ConfigError: a value that is not allowed.

    Example:
      >>> from jaxode.models.flow_config import FlowConfig
      >>> FlowConfig(2, hidden="16,16").layers
      (16, 16)
    """

    dimensions: int
    field: str = "hypernetwork"
    hidden: str = "32"
    width: int = 64
    activation: str = "tanh"
    divergence: str = EXACT

    def __post_init__(self) -> None:
        require_choice("field", self.field, FIELDS)
        require_choice("activation", self.activation, tuple(SMOOTH))
        require_choice("divergence", self.divergence, (EXACT, *NOISES))
        self.layers  # noqa: B018 - raises ConfigError

    @property
    def layers(self) -> tuple[int, ...]:
        """Sizes of the hidden layers. Raises ConfigError."""
        words = self.hidden.split(",")
        whole = all(word.isascii() and word.isdecimal() and len(word) < 6 for word in words)
        sizes = tuple(map(int, words)) if whole else ()
        allowed = "sizes of layers of at least 1, joined by commas, as in 64,64,64"
        require(bool(sizes) and min(sizes) > 0, "hidden", self.hidden, allowed)
        return sizes

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> FlowConfig:
        """The settings that `dataclasses.asdict` gave. Raises ConfigError."""
        return settings_of(cls, values, FILE)


def create_flow(config: FlowConfig, solve: SolveConfig, rngs: nnx.Rngs) -> ContinuousFlow:
    """A flow with initial parameters, in float32.

    The hypernetwork's runs from time 10 (the data) to 0 and N(0, 0.1), as in cnf.py; the
    concatsquash field's from 0 to a trained time, 0.5 at first, and N(0, 1), as in FFJORD.

    Args:
      config: which flow.
      solve: how its ODE is solved.
      rngs: stream `params` of keys.

    Example:
      >>> from flax import nnx
      >>> from jaxode import SolveConfig
      >>> from jaxode.models.flow_config import FlowConfig, create_flow
      >>> create_flow(FlowConfig(2), SolveConfig(), nnx.Rngs(0)).data_time
      10.0
    """
    noise = None if config.divergence == EXACT else config.divergence
    size = config.dimensions
    if config.field == "hypernetwork":
        hidden = config.layers[0]
        field = HyperField(size, hidden, config.width, rngs=rngs, dtype=jnp.float32)
        return ContinuousFlow(
            field, size, solve, data_time=10.0, base_time=0.0, variance=0.1, noise=noise
        )
    field = ConcatSquashField(size, config.layers, config.activation, rngs=rngs, dtype=jnp.float32)
    return ContinuousFlow(field, size, solve, base_time=0.5, trained_time=True, noise=noise)
