"""The latent ODE: a series as what a decoder reads from an ODE's state at each of its times."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxode.checks import require_count
from jaxode.config import SolveConfig
from jaxode.models.encoders import Posterior
from jaxode.nn.ode_block import ODEBlock
from jaxode.nn.series import Series, total_stats
from jaxode.ode import Stats
from jaxode.types import Training

Draws = Float[Array, "S B L"]
"""Standard normal numbers, for S samples of z."""


class LatentOutputs(NamedTuple):
    """What a latent ODE says of a batch.

    Args:
      predicted: of the series at the times asked for, from each sample of z, [B, S, T, D].
      posterior: of z at each series' first time.
      outcome: log-odds of a binary outcome from each sample of z, [B, S]; None without a
        classifier.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.models import LatentOutputs, Posterior
      >>> posterior = Posterior(jnp.zeros((2, 4)), jnp.ones((2, 4)))
      >>> LatentOutputs(jnp.zeros((2, 1, 5, 3)), posterior, None).predicted.shape
      (2, 1, 5, 3)
    """

    predicted: Float[Array, "B S T D"]
    posterior: Posterior
    outcome: Float[Array, "B S"] | None


class LatentODE(nnx.Module):
    """An encoder's distribution of z at a series' first time, an ODE from there, and a decoder.

    Source: Chen et al. 2018, "Neural Ordinary Differential Equations", section 5 and figure 6;
    Rubanova, Chen and Duvenaud 2019, "Latent ODEs for Irregularly-Sampled Time Series", with the
    classifier of z.

    Args:
      encoder: series → `Posterior`; `RNNEncoder` or `ODERNNEncoder`, or your own.
      field: f(t, z) of z [B, L].
      decoder: z [..., L] → values [..., D].
      solve: how z goes through the times. By default each sample has its own times and steps; with
        `per_sample=False` all series must have the same times, and share their steps.
      samples: S, of z in training; in evaluation z is the posterior's mean.
      classifier: z [B, L] → log-odds [B, 1] of a binary outcome, if there is one.

    Raises:
      ConfigError: fewer than one sample.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.models import LatentODE, RNNEncoder
      >>> from jaxode.nn import Dense, DenseField, Series
      >>> r = nnx.Rngs(0)
      >>> encoder, field = RNNEncoder(1, 3, rngs=r), DenseField(3, 8, rngs=r)
      >>> model = LatentODE(encoder, field, Dense((3, 1), rngs=r))
      >>> ones = jnp.ones((2, 4, 1))
      >>> series = Series(jnp.arange(8.0).reshape(2, 4), ones, ones, jnp.array([4, 4]))
      >>> outputs, stats = model((series, series.times))
      >>> outputs.predicted.shape, stats.nfe.shape
      ((2, 1, 4, 1), (1, 2))
    """

    def __init__(
        self,
        encoder: nnx.Module,
        field: nnx.Module,
        decoder: nnx.Module,
        solve: SolveConfig | None = None,
        *,
        samples: int = 1,
        classifier: nnx.Module | None = None,
    ) -> None:
        require_count("samples", samples)
        self.encoder, self.decoder, self.classifier = encoder, decoder, classifier
        solve = SolveConfig(rtol=1e-3, atol=1e-4, per_sample=True) if solve is None else solve
        self.block = ODEBlock(field, solve)
        self.samples = samples

    def __call__(
        self,
        inputs: tuple[Series, Float[Array, "B T"]],
        training: Training | None = None,
    ) -> tuple[LatentOutputs, Stats]:
        """Predictions of series at some times.

        Args:
          inputs: the series, and times [B, T], rising and not before each series' first.
          training: random keys of the series, for samples of z; None in evaluation.

        Returns:
          The outputs, and the statistics of the solve with an axis of one.
        """
        series, times = inputs
        posterior, noise = self.encoder(series), None  # type: ignore[operator]
        if training is not None:
            noise = self._draw(training, posterior)
        return self._outputs(posterior, series.times[:, 0], times, noise)

    def predict(
        self, series: Series, times: Float[Array, "B T"], noise: Draws | None = None
    ) -> tuple[LatentOutputs, Stats]:
        """Predictions of series at some times, for given noise.

        Args:
          series: what is encoded.
          times: rising and not before each series' first time, [B, T].
          noise: standard normal, [S, B, L]; None for the posterior's mean.
        """
        posterior = self.encoder(series)  # type: ignore[operator]
        return self._outputs(posterior, series.times[:, 0], times, noise)

    def decode(
        self, z0: Float[Array, "N L"], start: Float[Array, " N"], times: Float[Array, "N T"]
    ) -> tuple[Float[Array, "N T D"], Stats]:
        """Values at some times of states at `start`.

        Args:
          z0: states, [N, L].
          start: their times, [N].
          times: rising and not before `start`, [N, T]; if the solve is not per sample, all rows
            must be equal and begin at `start`.

        Returns:
          [N, T, D], and the statistics of the solve.
        """
        if self.block.solve.per_sample:
            z, stats = self.block(z0, ts=jnp.concatenate([start[:, None], times], 1))
            z = z[1:]
        else:
            z, stats = self.block(z0, ts=times[0])
        return self.decoder(jnp.swapaxes(z, 0, 1)), stats  # type: ignore[operator]

    def _draw(self, training: Training, posterior: Posterior) -> Draws:
        shape, dtype = (self.samples, posterior.mean.shape[1]), posterior.mean.dtype
        drawn = jax.vmap(lambda key: jax.random.normal(key, shape, dtype))(training.keys)
        return jnp.swapaxes(drawn, 0, 1)

    def _outputs(
        self,
        posterior: Posterior,
        start: Float[Array, " B"],
        times: Float[Array, "B T"],
        noise: Draws | None,
    ) -> tuple[LatentOutputs, Stats]:
        mean, std = posterior
        z0 = mean[None] if noise is None else mean + std * noise
        samples, batch, latent = z0.shape
        flat = z0.reshape(-1, latent)
        predicted, stats = self.decode(
            flat, jnp.tile(start, samples), jnp.tile(times, (samples, 1))
        )
        outcome = None
        if self.classifier is not None:
            outcome = self.classifier(flat).reshape(samples, batch).T  # type: ignore[operator]
        predicted = predicted.reshape(samples, batch, *predicted.shape[1:])
        if self.block.solve.per_sample and samples > 1:
            stats = total_stats(jax.tree.map(lambda count: count.reshape(samples, batch), stats))
        outputs = LatentOutputs(jnp.swapaxes(predicted, 0, 1), posterior, outcome)
        return outputs, Stats.chain([stats])
