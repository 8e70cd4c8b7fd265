"""Depth maps from bytes: grey pictures of 8 or 16 bits, or arrays, in metres."""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image

from jaxode.checks import ConfigError
from jaxode.data.npy import array_of
from jaxode.data.pictures import MOST_PIXELS, PictureError

FORMATS = ("PNG", "PPM")
"""Of pictures of depth: those that lose nothing and that Pillow itself decodes."""

MODES = ("L", "I;16", "I;16B", "I")
"""Pillow's names of one channel of 8 or 16 bits."""

FARTHEST = 1e4
"""Metres; more is no depth."""


@dataclass(frozen=True)
class DepthUnit:
    """What a stored value v means: (v + offset) / per_metre metres; 0 is unknown.

    Args:
      per_metre: above 0; 1000 for millimetres.
      offset: 0, or 1/2 where values were rounded down.

    Raises:
      ConfigError: a number that is not allowed.

    Example:
      >>> import numpy as np
      >>> from jaxode.data.depth import DepthUnit
      >>> DepthUnit(1000).metres(np.array([[0, 1500]])).tolist()
      [[0.0, 1.5]]
    """

    per_metre: float
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.per_metre) and self.per_metre > 0):
            raise ConfigError(f"per_metre must be above 0, got {self.per_metre!r}")
        if not 0 <= self.offset <= 1:
            raise ConfigError(f"offset must be from 0 to 1, got {self.offset!r}")

    def metres(self, values: np.ndarray) -> Float[np.ndarray, "H W"]:
        """Depth in float32; 0 where it is unknown."""
        known = values > 0
        return np.where(known, (values + self.offset) / self.per_metre, 0).astype(np.float32)


NYU_QUARTER = DepthUnit(25.5, 0.5)
"""Of NYU Depth v2 as pictures of 8 bits, 255 being 10 metres."""


def depth_map(contents: bytes, name: str, unit: DepthUnit) -> Float[np.ndarray, "H W"]:
    """A depth map in metres, 0 where it is unknown.

    Args:
      contents: of a grey PNG or PGM of 8 or 16 bits, or of a .npy file: whole numbers in the unit,
        floating-point numbers in metres, NaN where depth is unknown.
      name: of the file, whose ending says which.
      unit: of whole numbers.

    Raises:
      PictureError: the bytes are no depth map, with what is wrong.
    """
    if name.lower().endswith(".npy"):
        try:
            values = array_of(contents, "uif")
        except Exception as error:  # whatever NumPy meets in damaged bytes
            raise PictureError(f"it is no array: {' '.join(str(error).split())[:200]}") from error
    else:
        values = _grey(contents)
    if values.ndim != 2 or values.size == 0 or values.size > MOST_PIXELS:
        raise PictureError(f"it must be a map [H, W], found shape {list(values.shape)}")
    metres = np.nan_to_num(values, nan=0.0, posinf=np.inf, neginf=-np.inf)
    metres = metres.astype(np.float32) if values.dtype.kind == "f" else unit.metres(values)
    if values.dtype.kind == "i" and values.min() < 0:
        raise PictureError(f"its values must be at least 0, found {values.min()}")
    if not (metres.min() >= 0 and metres.max() <= FARTHEST):
        found = f"{metres.min():g} to {metres.max():g}"
        raise PictureError(f"its depth must be 0 to {FARTHEST:g} metres, found {found}")
    if not metres.any():
        raise PictureError("its depth is unknown in every pixel")
    return metres


def _grey(contents: bytes) -> np.ndarray:
    """The values of a grey picture as they are stored."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(contents), formats=FORMATS) as picture:
                width, height = picture.size
                if width * height > MOST_PIXELS:
                    found = f"{width} x {height} pixels, more than {MOST_PIXELS}"
                    raise PictureError(f"it has {found}")
                if picture.mode not in MODES:
                    raise PictureError(
                        f"it must be grey of 8 or 16 bits, found Pillow's mode {picture.mode}"
                    )
                return np.asarray(picture)
    except PictureError:
        raise
    except Image.UnidentifiedImageError:
        raise PictureError(f"it is none of {', '.join(FORMATS)} and no .npy") from None
    except Image.DecompressionBombError:
        raise PictureError(f"it has more than {MOST_PIXELS} pixels") from None
    except Exception as error:  # whatever the decoder meets in damaged bytes
        raise PictureError(" ".join(str(error).split())[:200] or type(error).__name__) from error
