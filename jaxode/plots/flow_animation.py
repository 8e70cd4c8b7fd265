"""Points on their way, as an animated GIF."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxode.plots.style import new_figure

FRAMES_A_SECOND = 8

BINS = 64
"""Along each side of the square."""


def animate(
    points: Float[np.ndarray, "T N 2"], titles: Sequence[str], extent: float, *, hold: int = 8
) -> bytes:
    """A GIF whose frames show the density of points in the square from -extent to extent.

    Args:
      points: of each frame.
      titles: of each frame.
      extent: half the square's side.
      hold: how often the last frame is repeated, before the animation begins anew.

    Example:
      >>> import numpy as np
      >>> from jaxode.plots.flow_animation import animate
      >>> animate(np.zeros((2, 5, 2)), ["start", "end"], 1.0, hold=1)[:6]
      b'GIF89a'
    """
    from matplotlib.animation import FuncAnimation, PillowWriter

    figure = new_figure(2.6, 2.9)
    axes = figure.subplots()
    edges = np.linspace(-extent, extent, BINS + 1)
    counts = [np.histogram2d(*frame.T[::-1], bins=(edges, edges))[0] for frame in points]
    square = (-extent, extent, -extent, extent)
    image = axes.imshow(counts[0], origin="lower", extent=square, cmap="Blues")
    axes.set(xticks=[], yticks=[])

    def show(index: int) -> list:
        image.set_data(counts[index])
        # A frame's own range of colours: the base is much broader than the data.
        image.set_clim(0, max(1.0, float(np.quantile(counts[index], 0.999))))
        axes.set_title(titles[index], fontsize=9, loc="left")
        return [image]

    order = [*range(len(points)), *[len(points) - 1] * hold]
    animation = FuncAnimation(figure, show, frames=order, blit=False)
    with tempfile.TemporaryDirectory() as folder:  # the writer knows files alone
        path = Path(folder) / "flow.gif"
        animation.save(path, writer=PillowWriter(fps=FRAMES_A_SECOND), dpi=90)
        return path.read_bytes()
