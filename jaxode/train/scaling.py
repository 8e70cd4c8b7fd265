"""Dynamic loss scaling for float16, whose smallest normal number, 6e-5, is large for a gradient.

The loss is multiplied by a factor before it is differentiated and the gradient divided by it after.
A gradient that is not finite is left out and halves the factor; 2,000 good ones in a row double it.
Powers of two change no digit.

Source: torch.amp.GradScaler, with its defaults; Micikevicius et al. 2018, "Mixed precision
training", section 3.2. Flax's DynamicScale has the same rule around its own value_and_grad, which
knows no parts of a batch.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxode.config import Precision
from jaxode.types import Params

START, GROWTH, BACKOFF, INTERVAL = 2.0**16, 2.0, 0.5, 2000

SMALLEST = 1.0
"""A gradient that is not finite even below this factor is not one that was scaled too much."""


class Scale(NamedTuple):
    """The factor, good gradients since it last changed, and updates skipped since the start."""

    factor: Float[Array, ""]
    good: Int[Array, ""]
    skipped: Int[Array, ""]


def initial_scale(precision: Precision) -> Scale | None:
    """The scale at the start of a run; None if nothing is scaled.

    Args:
        precision: of the run.
    """
    if precision != "float16":
        return None
    return Scale(
        jnp.asarray(START, jnp.float32), jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
    )


def scaled(loss: Float[Array, ""], scale: Scale | None) -> Float[Array, ""]:
    """The loss as it is differentiated.

    Args:
        loss: of the batch.
        scale: None if nothing is scaled.
    """
    return loss if scale is None else loss * scale.factor


def unscaled(gradient: Params, scale: Scale | None) -> Params:
    """The gradient of the loss itself.

    Args:
        gradient: of the scaled loss.
        scale: None if nothing is scaled.
    """
    return gradient if scale is None else jax.tree.map(lambda leaf: leaf / scale.factor, gradient)


def after(scale: Scale, good: Bool[Array, ""]) -> Scale:
    """The scale of the next step.

    Args:
        scale: of this step.
        good: whether its gradient was finite.
    """
    count = jnp.where(good, scale.good + 1, 0)
    grown = count == INTERVAL
    change = jnp.where(good, jnp.where(grown, GROWTH, 1.0), BACKOFF)
    return Scale(
        scale.factor * change, jnp.where(grown, 0, count), scale.skipped + jnp.where(good, 0, 1)
    )


def chosen(good: Bool[Array, ""], new: PyTree, old: PyTree) -> PyTree:
    """The pytree after an update, or before it if the gradient was not finite.

    Args:
        good: whether the gradient was finite.
        new: a pytree after the update.
        old: the pytree before it.
    """
    return jax.tree.map(lambda a, b: jnp.where(good, a, b), new, old)
