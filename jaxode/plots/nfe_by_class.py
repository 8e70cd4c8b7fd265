"""NFE of each image by class, and the images with the most and the fewest evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from jaxode.plots.style import BLUE, GREY, ORANGE, new_figure, to_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

MOST_CLASSES = 20
"""Most classes that are shown; of more, those with the highest and the lowest means, half each."""

ACROSS = 5
"""Images in a row."""

MOST_BINS = 60
"""Most bins of a histogram."""

Numbers = Int[np.ndarray, " N"]
Image = Shaped[np.ndarray, "H W C"]


def chosen_classes(nfe: Numbers, labels: Numbers, count: int) -> list[int]:
    """Labels of the classes to show.

    Args:
      nfe: function evaluations of each image.
      labels: of each image.
      count: number of classes.

    Returns:
      Classes that have images, in the order of their labels; of more than MOST_CLASSES those of the
      highest and the lowest mean NFE, in descending order.
    """
    present = [k for k in range(count) if np.any(labels == k)]
    if len(present) <= MOST_CLASSES:
        return present
    ordered = sorted(present, key=lambda k: -nfe[labels == k].mean())
    return ordered[: MOST_CLASSES // 2] + ordered[-MOST_CLASSES // 2 :]


def bin_edges(nfe: Numbers) -> Float[np.ndarray, " bins+1"]:
    """Edges of bins of equal width.

    Possible values of NFE are equidistant. Each has a bin of its own, or every k of them share one
    if there were more than MOST_BINS.

    Args:
      nfe: function evaluations of each image.
    """
    values = np.unique(nfe)
    stride = int(np.gcd.reduce(np.diff(values))) if len(values) > 1 else 1
    low, counts = values[0] - stride / 2, (values[-1] - values[0]) // stride + 1
    together = -(-counts // MOST_BINS)
    return low + stride * together * np.arange(-(-counts // together) + 1)


def shown(pixels: Image) -> UInt8[np.ndarray, "H W *colours"]:
    """An image as Matplotlib draws it.

    Args:
      pixels: [H, W, C], a picture of uint8 or measurements of another type.

    Returns:
      [H, W] for grey or [H, W, 3]; of measurements the first band, from its minimum (black) to its
      maximum (white).
    """
    if pixels.dtype == np.uint8:
        return pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    band = pixels[..., 0].astype(np.float64)
    band -= band.min()
    return np.round(255 * band / (band.max() or 1)).astype(np.uint8)


def draw(
    nfe: Numbers,
    labels: Numbers,
    names: Sequence[str],
    images: Mapping[str, Sequence[tuple[Image, str]]],
    title: str,
) -> bytes:
    """PNG of a histogram of NFE for each class, with its mean, and of groups of images.

    Args:
      nfe: function evaluations of each image.
      labels: of each image.
      names: of the classes.
      images: groups by title; an image is (pixels, caption).
      title: above the figure.

    Returns:
      The bytes of a PNG file.
    """
    classes = chosen_classes(nfe, labels, len(names))
    figure = new_figure(12.6, max(5.6, 0.52 * len(classes) + 1.4))
    halves: Any = figure.subfigures(1, 2, width_ratios=(1.0, 0.95))
    left, right = halves
    panels = left.subplots(len(classes), 1, sharex=True, squeeze=False)[:, 0]
    edges = bin_edges(nfe)
    for panel, k in zip(panels, classes, strict=True):
        _histogram(panel, nfe[labels == k], edges, names[k])
    panels[-1].set_xlabel("function evaluations an image")
    left.suptitle("test images by class; the line is the mean", fontsize=11)
    groups = [(text, some) for text, some in images.items() if some]
    parts = right.subfigures(len(groups), 1, squeeze=False)[:, 0] if groups else ()
    for part, (text, some) in zip(parts, groups, strict=True):
        part.suptitle(text, fontsize=11)
        _gallery(part, some)
    figure.suptitle(title, fontsize=12)
    return to_png(figure)


def _histogram(
    panel: Axes, counts: Numbers, edges: Float[np.ndarray, " bins+1"], name: str
) -> None:
    panel.hist(counts, list(edges), color=BLUE, alpha=0.75, rwidth=0.86)
    panel.axvline(counts.mean(), color=ORANGE, linewidth=2)
    panel.set_ylabel(name.replace("_", " "), rotation=0, ha="right", va="center", fontsize=9)
    panel.text(
        1.01,
        0.5,
        f"{counts.mean():.1f}",
        transform=panel.transAxes,
        color=ORANGE,
        fontsize=9,
        va="center",
    )
    panel.set_yticks([])
    panel.tick_params(labelsize=9, color=GREY)
    panel.spines[["top", "right", "left"]].set_visible(False)


def _gallery(figure: SubFigure, images: Sequence[tuple[Image, str]]) -> None:
    rows = -(-len(images) // ACROSS)
    places = figure.subplots(rows, ACROSS, squeeze=False).ravel()
    for place in places:
        place.axis("off")
    for place, (pixels, caption) in zip(places, images, strict=False):
        place.imshow(shown(pixels), cmap="gray", vmin=0, vmax=255)  # of grey alone
        place.set_title(caption, fontsize=8)
