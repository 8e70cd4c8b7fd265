"""Pictures from bytes: a few formats, of bounded size, upright, in 8-bit RGB."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from jaxode.data.folders import MOST_BYTES

# Without a handler, what Pillow logs of a broken header would go to stderr beside the error.
logging.getLogger("PIL").addHandler(logging.NullHandler())

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
"""Pillow's names of the formats that are read, whatever a file's name ends in.

Others are left out, above all EPS, for which Pillow starts Ghostscript.
"""

MOST_PIXELS = 2**26
"""Less than what Pillow warns of (Image.MAX_IMAGE_PIXELS), more than a camera's 64 megapixels."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by its EXIF orientation."""

UPRIGHT = 1

ORIENTATION, BITS_PER_SAMPLE, PHOTOMETRIC = 274, 258, 262
"""Tags of EXIF and TIFF."""

WHITE_IS_ZERO = 0
"""Of PHOTOMETRIC."""

Prepare = Callable[[Image.Image], object]
"""Called with a picture before its pixels are decoded."""


class PictureError(ValueError):
    """Bytes that are no picture, or none that is read."""


def square(contents: bytes, side: int, channels: int = 3) -> np.ndarray:
    """A picture's middle square as uint8 [side, side, channels], resized with anti-aliasing.

    Args:
        contents: the bytes of the file.
        side: pixels.
        channels: 3, or 1 for grey.

    Raises:
        PictureError: see `opened`.
    """
    # A JPEG is decoded at a half or a quarter of its size, which is much quicker.
    whole = opened(contents, lambda picture: picture.draft("RGB", (2 * side, 2 * side)))
    whole = whole.convert("L") if channels == 1 else whole
    return np.asarray(middle_square(whole, side)).reshape(side, side, channels)


def middle_square(whole: Image.Image, side: int) -> Image.Image:
    """The middle of a picture as side x side pixels, resized with anti-aliasing."""
    width, height = whole.size
    edge = min(width, height)
    left, top = (width - edge) / 2, (height - edge) / 2
    box = (left, top, left + edge, top + edge)
    return whole.resize((side, side), Image.Resampling.BILINEAR, box=box)


def opened(contents: bytes, prepare: Prepare = lambda picture: None) -> Image.Image:
    """A picture as Pillow's "RGB", upright; of several in a file the first.

    Args:
        contents: the bytes of the file.
        prepare: called with the picture before its pixels are decoded.

    Raises:
        PictureError: the bytes are no whole picture of one of FORMATS, there are more than
            MOST_BYTES of them or more than MOST_PIXELS pixels, or values without a known range.
    """
    if len(contents) > MOST_BYTES:
        raise PictureError(f"it has {len(contents)} bytes, more than {MOST_BYTES}")
    try:
        # Warnings of odd metadata would fill stderr; of a size that Pillow warns of, ours is an
        # error.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _decoded(contents, prepare)
    except PictureError:
        raise
    except Image.UnidentifiedImageError:
        raise PictureError(f"it is none of {', '.join(FORMATS)}") from None
    except Image.DecompressionBombError:
        raise PictureError(f"it has more than {MOST_PIXELS} pixels") from None
    except Exception as error:  # whatever one of the decoders meets in damaged bytes
        raise PictureError(" ".join(str(error).split())[:200] or type(error).__name__) from error


def _decoded(contents: bytes, prepare: Prepare) -> Image.Image:
    with Image.open(io.BytesIO(contents), formats=FORMATS) as picture:
        width, height = picture.size
        if width * height > MOST_PIXELS:
            raise PictureError(f"it has {width} x {height} pixels, more than {MOST_PIXELS}")
        prepare(picture)
        with _silent_descriptor() if picture.format == "TIFF" else contextlib.nullcontext():
            picture.load()
        return to_rgb(picture)


def to_rgb(picture: Image.Image) -> Image.Image:
    """A decoded picture of any of Pillow's modes as "RGB", turned upright by its EXIF data.

    Raises PictureError if its values have no known range.
    """
    turn = TURNS.get(_orientation(picture))
    upright = _rgb(picture)
    return upright if turn is None else upright.transpose(turn)


@contextlib.contextmanager
def _silent_descriptor() -> Iterator[None]:
    """Silence libtiff, which writes about damaged bytes to the descriptor of stderr."""
    stderr = 2
    saved, nowhere = os.dup(stderr), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stderr)
        yield
    finally:
        os.dup2(saved, stderr)
        os.close(saved)
        os.close(nowhere)


def _orientation(picture: Image.Image) -> int:
    """The EXIF orientation after loading: a TIFF has none left, for Pillow has turned it."""
    try:
        found = picture.getexif().get(ORIENTATION)
    except Exception:  # metadata that cannot be parsed says nothing of the pixels
        return UPRIGHT
    return found if isinstance(found, int) else UPRIGHT


def _rgb(picture: Image.Image) -> Image.Image:
    """Pixels of any of Pillow's modes as "RGB".

    What is transparent is laid on black: Pillow's own `convert` would show the colours below it,
    which nobody can see in the picture. Of 16-bit colours, Pillow keeps the upper 8 bits; 16-bit
    grey is scaled by 257.
    """
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        return _of_integers(picture)
    if picture.mode == "F":
        return _of_floats(picture)
    if picture.has_transparency_data:
        premultiplied = {"La": "LA", "RGBa": "RGBA"}.get(picture.mode)
        colours = (picture.convert(premultiplied) if premultiplied else picture).convert("RGBA")
        black = Image.new("RGB", picture.size)
        black.paste(colours, mask=colours.getchannel("A"))
        return black
    return picture.convert("RGB")


def _of_integers(picture: Image.Image) -> Image.Image:
    """Grey of 16 bits, or of the 12 that TIFF has too."""
    values = np.asarray(picture)
    tags = getattr(picture, "tag_v2", {})
    largest = 4095 if tags.get(BITS_PER_SAMPLE) == (12,) else 65535
    if values.min() < 0 or values.max() > largest:
        found = f"{values.min()} to {values.max()}"
        raise PictureError(f"its values must be 0 to {largest}, found {found}")
    # Exact in float32: the products are below 2**24.
    grey = np.rint(values.astype(np.float32) * 255 / largest).astype(np.uint8)
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 0
    return Image.fromarray(_black_is_zero(picture, grey)).convert("RGB")


def _of_floats(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture)
    if not (values.min() >= 0 and values.max() <= 1):  # NaN compares false
        found = f"{values.min():g} to {values.max():g}"
        raise PictureError(f"its floating-point values must be 0 to 1, found {found}")
    grey = np.rint(255 * values).astype(np.uint8)
    return Image.fromarray(_black_is_zero(picture, grey)).convert("RGB")


def _black_is_zero(picture: Image.Image, grey: np.ndarray) -> np.ndarray:
    """Pillow heeds TIFF's "white is zero" for 8 bits and fewer, and for no more."""
    return 255 - grey if getattr(picture, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO else grey
