"""The losses of an image: means over its sampled boxes.

Source: Ren et al. 2015, "Faster R-CNN", equation 1; Girshick 2015, "Fast R-CNN", equation 1.
torchvision's losses are those over all boxes of a batch, which are the same where all images have
equally many. A mean by image makes the loss of a batch the mean of its images' losses, however the
batch is divided.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

BETA = 1 / 9
"""Where the smooth absolute value turns from a square to a line."""


def smooth_absolute(errors: Float[Array, "*S"], beta: float = BETA) -> Float[Array, "*S"]:
    """|e| - β/2, or e²/2β where |e| is below β.

    Args:
      errors: of any shape.
      beta: above 0.
    """
    size = jnp.abs(errors)
    return jnp.where(size < beta, 0.5 * errors * errors / beta, size - 0.5 * beta)


def mean_of(values: Float[Array, " N"], taken: Bool[Array, " N"]) -> Float[Array, ""]:
    """The mean of those that are taken; 0 of none.

    Args:
      values: one a box.
      taken: which boxes count.
    """
    return jnp.where(taken, values, 0).sum() / jnp.maximum(taken.sum(), 1)


def objectness_loss(
    logits: Float[Array, " N"], labels: Int[Array, " N"], taken: Bool[Array, " N"]
) -> Float[Array, ""]:
    """Mean binary cross-entropy in nats.

    Args:
      logits: log-odds that there is an object.
      labels: 1 of an object, 0 of background.
      taken: which boxes count.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.detection import objectness_loss
      >>> both = jnp.array([True, True])
      >>> round(float(objectness_loss(jnp.zeros(2), jnp.array([0, 1]), both)), 4)
      0.6931
    """
    return mean_of(jax.nn.softplus(logits) - (labels > 0) * logits, taken)


def class_loss(
    logits: Float[Array, "N K"], labels: Int[Array, " N"], taken: Bool[Array, " N"]
) -> Float[Array, ""]:
    """Mean cross-entropy in nats.

    Args:
      logits: of background and of each class.
      labels: 0 of background, k + 1 of class k; any number of boxes that do not count.
      taken: which boxes count.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.detection import class_loss
      >>> loss = class_loss(jnp.zeros((1, 4)), jnp.array([2]), jnp.array([True]))
      >>> round(float(loss), 4)
      1.3863
    """
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), jnp.maximum(labels, 0)[:, None], 1)
    return mean_of(-chosen[:, 0], taken)


def box_loss(
    codes: Float[Array, "N 4"],
    targets: Float[Array, "N 4"],
    labels: Int[Array, " N"],
    taken: Bool[Array, " N"],
) -> Float[Array, ""]:
    """Smooth absolute errors of the positives' codes, divided by the number of all that count.

    Args:
      codes: predicted.
      targets: of positives.
      labels: above 0 of a positive.
      taken: which boxes count.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.detection import box_loss
      >>> labels, both = jnp.array([1, 0]), jnp.array([True, True])
      >>> round(float(box_loss(jnp.ones((2, 4)), jnp.zeros((2, 4)), labels, both)), 4)
      1.8889
    """
    positive = (labels > 0)[:, None]  # targets of the others may not be finite
    errors = smooth_absolute(jnp.where(positive, codes - targets, 0)).sum(1)
    return mean_of(errors, taken)
