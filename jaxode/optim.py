"""PyTorch's optimisers as optax transformations, and learning-rate schedules."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxode.config import OptimConfig
from jaxode.types import Params

Transform = optax.GradientTransformation

DECAY_SHARE = 0.3
"""The step schedule divides the rate by ten after 0.3, 0.6 and 0.9 of the steps."""


def learning_rate(
    config: OptimConfig, total_steps: int, steps_per_epoch: int = 1
) -> optax.Schedule:
    """Learning rate of step 0, 1, …, total_steps - 1.

    step: lr / 10ᵏ from step round(0.3 k total_steps) on, for k = 1, 2, 3. milestones: lr 10⁻ᵏ from
    the first step after the k-th epoch of `config.milestones` on. cosine: from lr to 0 over
    total_steps. constant: lr.

    Source: Gładzik 2019 ("divided by 10 after every 0.3 × max_epochs"); torchdiffeq's
    odenet_mnist.py for milestones; Loshchilov and Hutter 2017, "SGDR", equation 5, without
    restarts, for cosine.

    Args:
      config: initial rate and schedule.
      total_steps: steps of the whole training, at least 1.
      steps_per_epoch: by which milestones are counted.

    Returns:
      A function of the step.

    Example:
      >>> rate = learning_rate(OptimConfig(lr=0.1), total_steps=100)
      >>> [f"{rate(step):g}" for step in (0, 29, 30, 60, 90)]
      ['0.1', '0.1', '0.01', '0.001', '0.0001']
    """
    match config.schedule:
        case "step":
            # At least 1, so that even a run of one step begins at lr.
            boundaries = [max(1, round(DECAY_SHARE * k * total_steps)) for k in (1, 2, 3)]
            # Very short runs round several boundaries to one step, where all their factors apply.
            factors: dict[int, float] = {}
            for boundary in boundaries:
                factors[boundary] = factors.get(boundary, 1.0) / 10
            return optax.piecewise_constant_schedule(config.lr, factors)
        case "milestones":
            return _milestones(config.lr, config.milestone_epochs, steps_per_epoch)
        case "cosine":
            return optax.cosine_decay_schedule(config.lr, total_steps)
        case "constant":
            return optax.constant_schedule(config.lr)


def _milestones(lr: float, epochs: Sequence[int], steps_per_epoch: int) -> optax.Schedule:
    """The rate by a table: each a product of its own, as odenet_mnist.py computes it."""
    boundaries = np.minimum(np.asarray(epochs, np.int64) * steps_per_epoch, 2**31 - 1)
    rates = [lr * float(f"1e-{k}") for k in range(len(epochs) + 1)]

    def rate(step: jax.typing.ArrayLike) -> jax.Array:
        passed = jnp.sum(jnp.asarray(step) >= boundaries.astype(np.int32))
        return jnp.asarray(rates)[passed]

    return rate


def optimizer(config: OptimConfig, total_steps: int, steps_per_epoch: int = 1) -> Transform:
    """The update rule as an optax transformation.

    sgd: g ← g + weight_decay p; b ← momentum b + g; p ← p - lr b. adam: the same L2 term, then Adam
    with β = (0.9, 0.999) and ε = 1e-8. adamw: Adam and, in addition, p ← p - lr weight_decay p.

    Source: torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW; Kingma and Ba 2015, "Adam",
    algorithm 1; Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2.

    Args:
      config: rule, rate, schedule, momentum and weight decay.
      total_steps: steps of the whole training, the length of the schedule.
      steps_per_epoch: by which milestones are counted.

    Example:
      >>> import jax.numpy as jnp
      >>> rule = optimizer(OptimConfig(lr=0.5, momentum=0.0, schedule="constant"), total_steps=10)
      >>> params = jnp.array([1.0])
      >>> float(update(rule, jnp.array([1.0]), rule.init(params), params)[0][0])
      0.5
    """
    decay = [optax.add_decayed_weights(config.weight_decay)] if config.weight_decay else []
    rate = optax.scale_by_learning_rate(learning_rate(config, total_steps, steps_per_epoch))
    match config.optimizer:
        case "sgd":
            momentum = [optax.trace(config.momentum)] if config.momentum else []
            return optax.chain(*decay, *momentum, rate)
        case "adam":
            return optax.chain(*decay, optax.scale_by_adam(), rate)
        case "adamw":
            return optax.chain(optax.scale_by_adam(), *decay, rate)


def update(
    transform: Transform, gradient: Params, state: optax.OptState, params: Params
) -> tuple[Params, optax.OptState]:
    """One step of an optimiser.

    Args:
      transform: the update rule.
      gradient: of the loss, shaped as `params`.
      state: of the optimiser, initially `transform.init(params)`.
      params: pytree of floating-point arrays.

    Returns:
      The new parameters and the new optimiser state.
    """
    changes, state = transform.update(gradient, state, params)
    return optax.apply_updates(params, changes), state
