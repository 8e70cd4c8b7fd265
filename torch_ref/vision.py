"""torchvision beside a PyTorch that its compiled operators do not fit; nothing else names it.

torchvision's wheels hold operators that are linked against CUDA. Beside a PyTorch for CPUs they do
not load, and a plain `import torchvision` fails for want of `torchvision::nms`. Its models need two
of them: non-maximum suppression, which is given here, and RoIAlign, which torchvision also has in
differentiable PyTorch. Everything else is torchvision's own code.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor

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
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    found = []
    while len(order):
        first, order = order[0], order[1:]
        found.append(first)
        low = torch.maximum(boxes[first, :2], boxes[order, :2])
        high = torch.minimum(boxes[first, 2:], boxes[order, 2:])
        common = (high - low).clamp(min=0).prod(1)
        order = order[common / (areas[first] + areas[order] - common) <= threshold]
    return torch.stack(found) if found else order


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
