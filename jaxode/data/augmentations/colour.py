"""What colour a pixel has: hue, saturation and value; brightness and contrast.

A part that draws, and one that does.

The plan asks Albumentations for hue_shift_limit, sat_shift_limit and val_shift_limit of 0.2. The
library shifts 8-bit pictures, in which hue has 180 values, saturation and value 256: a shift of 0.2
is less than one of them, and changes next to nothing. Nobody asks for that, so ±0.2 is read as a
share of each range, as ±0.1 of brightness is in the plan's next line: a fifth of saturation, of
value, and of the circle of hues (72°). That is much for the colour of a hand, but SimCLR's (Chen,
Kornblith, Norouzi and Hinton 2020, appendix A) is 0.2 of the circle too, and no colour tells a
letter.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxode.data.augmentations.draws import between, numbers
from jaxode.data.augmentations.sampling import turns

HUE, SATURATION, VALUE = 0.2, 0.2, 0.2
"""Largest shifts: of the circle of hues, of the range of saturation, of that of value."""

BRIGHTNESS, CONTRAST = 0.1, 0.1
"""Largest shift of all values, of their range; largest change of what they are multiplied by."""

EPSILON = 2.0**-23
"""What cv2 adds to a divisor that may be zero."""

RGB = Float[Array, "... 3"]
HSV = Float[Array, "... 3"]
"""Hue in turns, zero for greys; saturation and value in [0, 1]."""


def rgb_to_hsv(image: RGB) -> HSV:
    """Hue in degrees, saturation and value by cv2's COLOR_RGB2HSV of float32."""
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    value = jnp.max(image, -1)
    spread = value - jnp.min(image, -1)
    share = 1 / (6 * (spread + EPSILON))
    after_red, after_green, after_blue = (
        (green - blue) * share,
        (blue - red) * share,
        (red - green) * share,
    )
    hue = jnp.where(
        value == red, after_red, jnp.where(value == green, after_green + 1 / 3, after_blue + 2 / 3)
    )
    hue = jnp.where(hue < 0, hue + 1, hue)
    return jnp.stack([hue, spread / (value + EPSILON), value], -1)


def hsv_to_rgb(image: HSV) -> RGB:
    """The inverse of that conversion.

    A channel is the value less a wave of the hue, a third of a turn from the next channel's.
    """
    hue, saturation, value = image[..., 0], image[..., 1], image[..., 2]

    def channel(offset: int) -> Array:
        place = 6 * turns(hue + offset / 6)
        return value - value * saturation * jnp.clip(jnp.minimum(place, 4 - place), 0, 1)

    return jnp.stack([channel(5), channel(3), channel(1)], -1)


def draw_shift(key: PRNGKeyArray) -> Float[Array, " 3"]:
    """Shifts of hue, saturation and value."""
    most = jnp.array([HUE, SATURATION, VALUE], jnp.float32)
    return between(numbers(key, 3), -1, 1) * most


def shifted(image: Float[Array, "H W 3"], shift: Float[Array, " 3"]) -> Float[Array, "H W 3"]:
    """Hue goes round; saturation and value end at 0 and 1; grey stays grey, as in the library."""
    hsv, (hue, saturation, value) = rgb_to_hsv(image), shift.astype(image.dtype)
    grey = hsv[..., 1] == 0
    moved = [
        turns(hsv[..., 0] + hue),
        jnp.where(grey, 0, jnp.clip(hsv[..., 1] + saturation, 0, 1)),
        jnp.clip(hsv[..., 2] + value, 0, 1),
    ]
    return hsv_to_rgb(jnp.stack(moved, -1))


def draw_light(key: PRNGKeyArray) -> Float[Array, " 2"]:
    """Brightness and contrast: what is added to a value, after it is multiplied by 1 + contrast."""
    return between(numbers(key, 2), -1, 1) * jnp.array([BRIGHTNESS, CONTRAST], jnp.float32)


def lit(image: Float[Array, "H W C"], light: Float[Array, " 2"]) -> Float[Array, "H W C"]:
    """(1 + contrast) value + brightness, cut to [0, 1].

    Black is the value that contrast leaves, as in the library.
    """
    brightness, contrast = light.astype(image.dtype)
    return jnp.clip(image * (1 + contrast) + brightness, 0, 1)
