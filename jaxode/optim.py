"""Optimisers with PyTorch's meaning of every number, and learning-rate schedules."""

from __future__ import annotations

import optax

from jaxode.config import OptimConfig
from jaxode.types import Params

Transform = optax.GradientTransformation

DECAY_SHARE = 0.3
"""The step schedule divides the rate by ten after each such share of the steps, three times."""


def learning_rate(config: OptimConfig, total_steps: int) -> optax.Schedule:
    """Learning rate of step 0, 1, ..., total_steps - 1.

    step: lr / 10^k from step round(0.3 k total_steps) on, for k = 1, 2, 3. cosine: from lr to 0
    over total_steps. constant: lr throughout, whatever total_steps is.

    Source: Gładzik 2019, "divided by 10 after every 0.3 x max_epochs".

    Args:
        config: rate at the start and schedule.
        total_steps: steps of the whole training.

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
        case "cosine":
            return optax.cosine_decay_schedule(config.lr, total_steps)
        case "constant":
            return optax.constant_schedule(config.lr)


def optimizer(config: OptimConfig, total_steps: int) -> Transform:
    """The update rule as an optax transformation.

    sgd: g <- g + weight_decay p; b <- momentum b + g; p <- p - lr b. adam: the same L2 term, then
    Adam with beta = (0.9, 0.999), eps = 1e-8. adamw: Adam, and p <- p - lr weight_decay p beside
    it.

    Source: torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW.

    Args:
        config: rule, rate, schedule, momentum and weight decay.
        total_steps: steps of the whole training, over which the schedule runs.
    """
    decay = [optax.add_decayed_weights(config.weight_decay)] if config.weight_decay else []
    rate = optax.scale_by_learning_rate(learning_rate(config, total_steps))
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
    """Parameters and optimiser state after one update."""
    changes, state = transform.update(gradient, state, params)
    return optax.apply_updates(params, changes), state
