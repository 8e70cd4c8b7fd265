"""Pictures of depth: a row for each, also where depth is unknown."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from jaxode.plots.depth import DepthPicture, draw_depth


def test_rows_with_and_without_a_truth_are_drawn():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (12, 16, 3)).astype(np.uint8)
    predicted, truth = rng.uniform(1, 9, (2, 12, 16))
    truth[:, :4] = 0
    sizes = []
    for rows in (
        [DepthPicture("a", image, predicted, truth)] * 2,
        [DepthPicture("a", image, truth)],
    ):
        with Image.open(io.BytesIO(draw_depth(rows, "title"))) as drawn:
            sizes.append(drawn.size)
    (wide, high), (narrow, low) = sizes
    assert wide > narrow
    assert high > low
