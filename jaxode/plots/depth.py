"""Pictures with their depth: the truth, what a model finds, and its error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from jaxode.plots.style import new_panels, to_png

DEPTH_COLOURS, ERROR_COLOURS = "viridis_r", "magma"

LARGEST_ERROR = 0.5
"""Relative error that has the last colour."""


class DepthPicture(NamedTuple):
    """A row of panels.

    Args:
      title: above the picture.
      image: red, green and blue of 0 to 255.
      predicted: depth in metres.
      truth: depth in metres, 0 where it is unknown; None if there is none.
    """

    title: str
    image: UInt8[np.ndarray, "H W 3"]
    predicted: Float[np.ndarray, "H W"]
    truth: Float[np.ndarray, "H W"] | None = None


def draw_depth(pictures: Sequence[DepthPicture], title: str) -> bytes:
    """A PNG with a row for each picture: picture, truth, prediction, relative error.

    Truth and prediction have one range of colours; where depth is unknown there is none.

    Args:
      pictures: all with a truth, or all without; then picture and prediction are drawn.
      title: above the figure.
    """
    compared = pictures[0].truth is not None
    figure, panels = new_panels(
        len(pictures), 4 if compared else 2, 9.6 if compared else 5.6, 1.9 * len(pictures) + 0.5
    )
    for line, picture in zip(panels, pictures, strict=True):
        line[0].imshow(picture.image)
        line[0].set_ylabel(picture.title, fontsize=8)
        known = picture.predicted
        if picture.truth is not None:
            seen = np.ma.masked_equal(picture.truth, 0)
            known = np.concatenate([known.ravel(), seen.compressed()])
            errors = np.ma.abs(picture.predicted - seen) / seen
        colours = {"cmap": DEPTH_COLOURS, "vmin": known.min(), "vmax": known.max()}
        if picture.truth is not None:
            line[1].imshow(seen, **colours)
            error = line[3].imshow(errors, cmap=ERROR_COLOURS, vmin=0, vmax=LARGEST_ERROR)
            figure.colorbar(error, ax=line[3], shrink=0.85)
        predicted = line[2 if compared else 1].imshow(picture.predicted, **colours)
        figure.colorbar(predicted, ax=line[2 if compared else 1], shrink=0.85)
        for axes in line:
            axes.set(xticks=[], yticks=[])
    names = ("picture", "depth (m)", "predicted (m)", "relative error")
    for axes, name in zip(panels[0], names if compared else (names[0], names[2]), strict=True):
        axes.set_title(name, fontsize=9)
    figure.suptitle(title, fontsize=11)
    return to_png(figure)
