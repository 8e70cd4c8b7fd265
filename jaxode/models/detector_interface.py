"""What a detector takes and gives, and the settings of how it chooses boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Array, Float, Int

from jaxode.detection.boxes import Weights
from jaxode.types import Images

LOSSES = ("objectness", "region_box", "class", "box")
"""The four losses, in order: of the anchors, then of the proposals."""


@dataclass(frozen=True)
class DetectorSettings:
    """How boxes are proposed, sampled and chosen; the defaults are torchvision's.

    Args:
      sizes: of anchors, square roots of areas in pixels.
      ratios: of anchors' height to width.
      before: proposals before suppression.
      after: proposals after it.
      region_overlap: above which a proposal suppresses another.
      anchor_sample: anchors of an image that the losses are means over.
      anchor_share: of them, at most such a part finds objects.
      anchor_high: overlap from which an anchor is an object's.
      anchor_low: overlap below which it is background.
      box_sample: proposals of an image that the losses are means over.
      box_share: of them, at most such a part finds objects.
      box_overlap: from which a proposal is an object's.
      weights: of box codes of the second stage.
      score: that a detection exceeds.
      overlap: above which a detection suppresses another of its class.
      candidates: boxes before that suppression.
      detections: of an image, at most.
      bins: of RoIAlign, a side.
      samples: of each bin, a side.

    Example:
      >>> from jaxode.models import DetectorSettings
      >>> DetectorSettings(sizes=(16.0, 32.0)).anchors
      6
    """

    sizes: tuple[float, ...] = (32, 64, 128, 256, 512)
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    before: int = 2000
    after: int = 1000
    region_overlap: float = 0.7
    anchor_sample: int = 256
    anchor_share: float = 0.5
    anchor_high: float = 0.7
    anchor_low: float = 0.3
    box_sample: int = 512
    box_share: float = 0.25
    box_overlap: float = 0.5
    weights: Weights = (10.0, 10.0, 5.0, 5.0)
    score: float = 0.05
    overlap: float = 0.5
    candidates: int = 1000
    detections: int = 100
    bins: int = 7
    samples: int = 2

    @property
    def anchors(self) -> int:
        """Boxes around each place of the map."""
        return len(self.sizes) * len(self.ratios)


class DetectorInputs(NamedTuple):
    """Images and, in training, what is in them.

    Args:
      images: canvases of one size, normalised.
      extents: height and width of what each canvas shows, in pixels; the rest is padding.
      boxes: of the objects, in pixels of the canvas.
      classes: of the objects, from 0; -1 is padding.

    Example:
      >>> import numpy as np
      >>> from jaxode.models import DetectorInputs
      >>> inputs = DetectorInputs(np.zeros((1, 64, 64, 3)), np.full((1, 2), 64.0))
      >>> inputs.boxes is None
      True
    """

    images: Images
    extents: Float[Array, "B 2"]
    boxes: Float[Array, "B M 4"] | None = None
    classes: Int[Array, "B M"] | None = None


class DetectorOutputs(NamedTuple):
    """What a detector says of images; what was not asked for is None.

    Args:
      losses: of each image: of its anchors' log-odds and boxes, of its proposals' classes and
        boxes.
      detections: by falling score: box, score, class; rows of class -1 are padding.

    Example:
      >>> from jaxode.models import DetectorOutputs
      >>> DetectorOutputs._fields
      ('losses', 'detections')
    """

    losses: Float[Array, "B 4"] | None
    detections: Float[Array, "B D 6"] | None
