"""torchvision beside a PyTorch that its compiled operators do not fit; nothing else names it.

torchvision's wheels hold operators that are linked against CUDA. Beside a PyTorch for CPUs they do
not load, and a plain `import torchvision` fails for want of `torchvision::nms`. Its models need two
of them: non-maximum suppression, which is given here, and RoIAlign, which torchvision also has in
differentiable PyTorch. Everything else is torchvision's own code.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def kept(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Non-maximum suppression.

    Args:
      boxes: [N, 4], two opposite corners.
      scores: [N].
      threshold: a box goes if its IoU with a kept one of higher score is larger.

    Returns:
      Rows of the kept boxes, by falling score.
    """
    order = torch.argsort(scores, descending=True, stable=True)
    if not len(order):
        return order
    boxes = boxes[order]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    common = (high - low).clamp(min=0).prod(2)
    # Over rows of a matrix of bits, for a call of PyTorch takes longer than a row.
    suppressed = ~(common / (areas[:, None] + areas - common) <= threshold).numpy()
    found, gone = [], np.zeros(len(order), bool)
    for row, others in enumerate(suppressed):
        if not gone[row]:
            found.append(row)
            gone |= others
    return order[found]


_definitions: list[Any] = []
"""PyTorch forgets operators with the object that defined them."""


def load() -> Any:
    """The module `torchvision`, so that its models run; the second call only returns it.

    Raises ImportError where torchvision is not installed.
    """
    fits = torch.version.cuda is not None  # then the wheel defines them itself
    if not fits and not _definitions:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(name + SCHEMA)
        library.impl("nms", kept, "CPU")
        _definitions.append(library)
    module = importlib.import_module("torchvision")
    if not module.extension._has_ops():
        module.ops.boxes._assert_has_ops = lambda: None
        # By its name: torchvision.ops.roi_align is a function.
        align: Any = importlib.import_module("torchvision.ops.roi_align")
        # What it wraps calls torch.compile, which needs a compiler of C++.
        align._roi_align = getattr(align._roi_align, "__wrapped__", align._roi_align)
    return module


class GridRoIAlign(nn.Module):
    """RoIAlign of one map by PyTorch's `grid_sample`, in the place of `MultiScaleRoIAlign`.

    torchvision's own, where its compiled operator does not load, gathers pixels in Python; the
    result is the same.

    Args:
      bins: a side.
      samples: of each bin, a side.
    """

    def __init__(self, bins: int = 7, samples: int = 2) -> None:
        super().__init__()
        self.bins, self.samples = bins, samples
        self.output_size = (bins, bins)

    def forward(
        self, maps: dict[str, Tensor], boxes: list[Tensor], sizes: list[tuple[int, int]]
    ) -> Tensor:
        """Of every box [C, bins, bins].

        Args:
          maps: one of [B, C, h, w].
          boxes: of each image, [R, 4], in its pixels.
          sizes: height and width of the images.
        """
        (features,) = maps.values()
        height, width = features.shape[2:]
        found = []
        for map_, own, (rows, columns) in zip(features, boxes, sizes, strict=True):
            y = self._places(own[:, 1], own[:, 3], height / rows, height)
            x = self._places(own[:, 0], own[:, 2], width / columns, width)
            count, side = y.shape
            grid = torch.stack(
                [x[:, None, :].expand(-1, side, -1), y[:, :, None].expand(-1, -1, side)], 3
            ).reshape(1, count * side, side, 2)
            read = F.grid_sample(map_[None], grid, padding_mode="border", align_corners=True)
            read = read.reshape(-1, count, self.bins, self.samples, self.bins, self.samples)
            found.append(read.mean((3, 5)).transpose(0, 1))
        return torch.cat(found)

    def _places(self, low: Tensor, high: Tensor, scale: float, side: int) -> Tensor:
        """Where a box's samples are on an axis; -1 is the first pixel, 1 the last one."""
        start, length = low * scale, ((high - low) * scale).clamp(min=1)
        count = self.bins * self.samples
        steps = (torch.arange(count, dtype=low.dtype, device=low.device) + 0.5) / count
        return 2 * (start[:, None] + steps * length[:, None]) / max(side - 1, 1) - 1


def faster_rcnn(
    backbone: nn.Module,
    classes: int,
    *,
    sizes: Sequence[float],
    ratios: Sequence[float],
    hidden: int,
    before: int,
    after: int,
    anchor_sample: int,
    box_sample: int,
    score: float = 0.05,
    detections: int = 100,
    stride: int = 8,
    sampled_by_grid: bool = False,
) -> nn.Module:
    """The FasterRCNN of torchvision on one map, for images that have their size and are normalised.

    Args:
      backbone: images [B, 3, H, W] → a map of `backbone.out_channels` channels.
      classes: K, without background.
      sizes: of anchors in pixels.
      ratios: of anchors' height to width.
      hidden: units of each of the two layers of the box head.
      before: proposals before suppression, in training and in evaluation.
      after: proposals after it.
      anchor_sample: anchors that the losses are means over; more than there are leave no chance.
      box_sample: proposals that the losses are means over, likewise.
      score: that a detection exceeds.
      detections: of an image, at most.
      stride: which the sides of images are multiples of.
      sampled_by_grid: whether boxes are read by `GridRoIAlign`, not by torchvision's RoIAlign.
    """
    vision = load()
    detection = importlib.import_module("torchvision.models.detection.faster_rcnn")
    anchors = importlib.import_module("torchvision.models.detection.anchor_utils")
    channels: Any = backbone.out_channels
    pool = vision.ops.MultiScaleRoIAlign(["0"], output_size=7, sampling_ratio=2)
    model = detection.FasterRCNN(
        backbone,
        rpn_anchor_generator=anchors.AnchorGenerator((tuple(sizes),), (tuple(ratios),)),
        rpn_pre_nms_top_n_train=before,
        rpn_pre_nms_top_n_test=before,
        rpn_post_nms_top_n_train=after,
        rpn_post_nms_top_n_test=after,
        rpn_batch_size_per_image=anchor_sample,
        box_roi_pool=pool,
        box_head=detection.TwoMLPHead(channels * 49, hidden),
        box_predictor=detection.FastRCNNPredictor(hidden, classes + 1),
        box_batch_size_per_image=box_sample,
        box_score_thresh=score,
        box_detections_per_img=detections,
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
        size_divisible=stride,
    )
    if sampled_by_grid:
        model.roi_heads.box_roi_pool = GridRoIAlign()
    model.transform.resize = lambda image, target: (image, target)
    assign = model.rpn.assign_targets_to_anchors

    def assigned(boxes: list[Tensor], targets: list[dict[str, Tensor]]) -> Any:
        # Labels are float32 there, and with them the loss of a float64 model.
        labels, matched = assign(boxes, targets)
        return [each.to(boxes[0].dtype) for each in labels], matched

    model.rpn.assign_targets_to_anchors = assigned
    return model
