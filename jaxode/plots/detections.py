"""Precision over recall, and boxes drawn on pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from jaxode.detection.average_precision import curve
from jaxode.detection.matches import Truth, ranked
from jaxode.plots.style import COLOURS, GREY, label_axes, new_figure, new_panels, to_png

OVERLAP = 0.5


class ClassCurve(NamedTuple):
    """Precision over recall of a class."""

    name: str
    precision: Float[np.ndarray, " D"]
    recall: Float[np.ndarray, " D"]


class BoxedPicture(NamedTuple):
    """A picture with boxes.

    Args:
      title: above it.
      pixels: 8-bit RGB.
      detections: box, score, class; class -1 is padding.
      boxes: of the objects, where they are known.
      classes: of the objects; -1 is padding.
    """

    title: str
    pixels: UInt8[np.ndarray, "H W 3"]
    detections: Float[np.ndarray, "D 6"]
    boxes: Float[np.ndarray, "M 4"] | None = None
    classes: Int[np.ndarray, " M"] | None = None


def class_curves(
    detections: Float[np.ndarray, "N D 6"], truth: Truth, names: Sequence[str]
) -> list[ClassCurve]:
    """The curves of all classes that have objects, at an overlap of 0.5.

    Args:
      detections: of each image.
      truth: its objects.
      names: of the classes.
    """
    found = []
    for kind, name in enumerate(names):
        ranking = ranked(detections, truth, kind, np.array([OVERLAP]))
        if ranking.objects:
            hits = ranking.hits[0][ranking.counts[0]]
            found.append(ClassCurve(name, *curve(hits, ranking.objects)))
    return found


def draw_curves(curves: Sequence[ClassCurve], title: str) -> bytes:
    """A PNG of precision over recall.

    Args:
      curves: of the classes.
      title: above the figure.
    """
    figure = new_figure(4.6, 4.0)
    axes = figure.subplots()
    for i, each in enumerate(curves):
        axes.plot(each.recall, each.precision, color=COLOURS[i % len(COLOURS)], label=each.name)
    limits: dict[str, Any] = {"xlim": (0, 1.02), "ylim": (0, 1.02)}
    label_axes(axes, title, "recall", "precision", legend=bool(curves), **limits)
    return to_png(figure)


def draw_boxes(
    pictures: Sequence[BoxedPicture], names: Sequence[str], title: str, columns: int = 3
) -> bytes:
    """A PNG of pictures, their detections in colours of the classes, their objects dashed in grey.

    Args:
      pictures: at least one.
      names: of the classes.
      title: above the figure.
      columns: of pictures.
    """
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    height, width = pictures[0].pixels.shape[:2]
    figure, panels = new_panels(rows, columns, 4.2 * columns, 4.2 * height / width * rows + 0.7)
    for axes in panels.ravel():
        axes.axis("off")
    for axes, picture in zip(panels.ravel(), pictures, strict=False):
        axes.imshow(picture.pixels)
        axes.set_title(picture.title, fontsize=9, loc="left")
        if picture.boxes is not None and picture.classes is not None:
            for box in picture.boxes[picture.classes >= 0]:
                _rectangle(axes, box, GREY, linestyle="--", linewidth=1.0)
        for *box, score, kind in picture.detections[picture.detections[:, 5] >= 0]:
            colour = COLOURS[int(kind) % len(COLOURS)]
            _rectangle(axes, np.array(box), colour, linewidth=1.3)
            text = f"{names[int(kind)]} {score:.2f}"
            axes.text(box[0], box[1] - 1, text, fontsize=6, color=colour, va="bottom")
    figure.suptitle(title, fontsize=11)
    return to_png(figure)


def _rectangle(axes: Any, box: np.ndarray, colour: str, **style: Any) -> None:
    from matplotlib.patches import Rectangle

    x0, y0, x1, y1 = (float(value) for value in box)
    axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, **style))
