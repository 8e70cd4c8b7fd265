"""The same detectors in both frameworks: equal weights, images and objects."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from jaxode import SolveConfig
from jaxode.models import Detector, DetectorInputs, DetectorSettings, ODEBackbone, ResidualBackbone
from jaxode.nn import BoxHead, ConvField, GroupNorm, HalvingStem, ODEBlock, RegionHead
from jaxode.nn.blocks import ResidualBlock
from jaxode.nn.kernels import choose_kernels
from torch_ref import backbone as torch_backbone
from torch_ref import vision
from torch_ref.solve import Settings

WIDTH, HIDDEN, CLASSES, BINS = 8, 16, 3, 7
SIDES = (48, 64)
SIZES, RATIOS = (12.0, 24.0), (0.5, 1.0, 2.0)
ALL = 10_000
"""More than there are boxes, so that samples hold all of them."""


class Pair(NamedTuple):
    """A detector of ours, torchvision's, and pairs of parameters with the layout of ours."""

    ours: Detector
    theirs: torch.nn.Module
    parameters: list


def conv(ours, theirs):
    weights = [(ours.kernel, theirs.weight, lambda x: x.transpose(2, 3, 1, 0))]
    return weights + ([] if ours.bias is None else [(ours.bias, theirs.bias, lambda x: x)])


def norm(ours, theirs):
    return [(ours.scale, theirs.weight, lambda x: x), (ours.bias, theirs.bias, lambda x: x)]


def linear(ours, theirs, layout=lambda x: x.T):
    return [(ours.kernel, theirs.weight, layout), (ours.bias, theirs.bias, lambda x: x)]


def time_conv(ours, theirs):
    return conv(ours, theirs._layer)


def pooled(x):
    """Weights of what RoIAlign gives: channels come first there and last here."""
    return x.reshape(len(x), WIDTH, BINS, BINS).transpose(2, 3, 1, 0).reshape(-1, len(x))


def backbone_parameters(ours, theirs):
    layers = list(theirs.layers)
    found = conv(ours.stem.convs[0], layers[0])
    for i, (normed, convolved) in enumerate(
        zip(ours.stem.norms, list(ours.stem.convs)[1:], strict=True)
    ):
        found += norm(normed, layers[1 + 3 * i]) + conv(convolved, layers[3 + 3 * i])
    start = 1 + 3 * len(ours.stem.norms)
    for block, other in zip(ours.blocks, layers[start:-2], strict=True):
        if isinstance(block, ODEBlock):
            field, wanted = block.field, other.odefunc
            for name in ("norm1", "norm2", "norm3"):
                found += norm(getattr(field, name), getattr(wanted, name))
            for name in ("conv1", "conv2"):
                found += time_conv(getattr(field, name), getattr(wanted, name))
        else:
            for kind, names in ((norm, ("norm1", "norm2")), (conv, ("conv1", "conv2"))):
                for name in names:
                    found += kind(getattr(block, name), getattr(other, name))
    return found + norm(ours.norm, layers[-2])


def pair(kind="resnet", tolerance=1e-6, dtype=torch.float64, width=WIDTH, **settings):
    """A detector in both; the settings are those of `DetectorSettings`."""
    torch.manual_seed(0)
    given = {"before": 60, "after": 40, "anchor_sample": ALL, "box_sample": ALL, **settings}
    settings = DetectorSettings(sizes=SIZES, ratios=RATIOS, candidates=ALL, **given)
    solved = Settings(rtol=tolerance, atol=tolerance)
    theirs = vision.faster_rcnn(
        torch_backbone.backbone(kind, width, settings=solved),
        CLASSES,
        sizes=SIZES,
        ratios=RATIOS,
        hidden=HIDDEN,
        **given,
    ).to(dtype)
    generic(theirs)
    ours = nnx.eval_shape(lambda: detector(kind, tolerance, dtype, width, settings))
    body, region, head = ours.backbone, ours.region, ours.head
    parameters = backbone_parameters(body, theirs.backbone)
    parameters += conv(region.conv, theirs.rpn.head.conv[0][0])
    parameters += conv(region.objectness, theirs.rpn.head.cls_logits)
    parameters += conv(region.codes, theirs.rpn.head.bbox_pred)
    parameters += linear(head.linear1, theirs.roi_heads.box_head.fc6, pooled)
    parameters += linear(head.linear2, theirs.roi_heads.box_head.fc7)
    parameters += linear(head.classes, theirs.roi_heads.box_predictor.cls_score)
    parameters += linear(head.codes, theirs.roi_heads.box_predictor.bbox_pred)
    for mine, other, layout in parameters:
        mine.set_value(jnp.asarray(layout(other.detach().numpy())))
    return Pair(ours, theirs, parameters)


def detector(kind, tolerance, dtype, width, settings):
    """Ours; its initial parameters are drawn for nothing, so only their shapes are asked for."""
    both = {"rngs": nnx.Rngs(0), "dtype": jnp.float64 if dtype == torch.float64 else jnp.float32}
    kernels = choose_kernels()
    stem = HalvingStem(3, width, 3, **both)
    last = GroupNorm(width, dtype=both["dtype"])
    if kind == "odenet":
        # Theirs is shown an image at a time, whose steps are its own.
        tolerances = {"rtol": tolerance, "atol": tolerance}
        solve = SolveConfig(**tolerances, stepping="torchdiffeq", per_sample=True)
        body = ODEBackbone(stem, [ODEBlock(ConvField(width, **both), solve)], last)
    else:
        body = ResidualBackbone(stem, [ResidualBlock(width, kernels=kernels, **both)], last)
    region = RegionHead(width, settings.anchors, **both)
    head = BoxHead(BINS**2 * width, HIDDEN, CLASSES, **both)
    return Detector(body, region, head, settings)


def generic(theirs):
    """Larger weights of the region head, or all boxes would have nearly the same score."""
    with torch.no_grad():
        for module in theirs.rpn.head.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.mul_(30)
                module.bias.uniform_(-0.1, 0.1)


def objects(count=2, most=5, seed=0):
    """Images, and objects with padding, in float64."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(count, *SIDES, 3))
    low = rng.uniform(0, 30, (count, most, 2))
    boxes = np.concatenate([low, low + rng.uniform(6, 17, (count, most, 2))], -1)
    classes = rng.integers(0, CLASSES, (count, most))
    classes[:, -1] = -1
    return images, boxes, classes


def as_inputs(images, boxes=None, classes=None, dtype=jnp.float64):
    """What our detector takes."""
    extents = np.tile(np.array(SIDES, np.float64), (len(images), 1))
    return DetectorInputs(
        jnp.asarray(images, dtype),
        jnp.asarray(extents, dtype),
        None if boxes is None else jnp.asarray(boxes, dtype),
        None if classes is None else jnp.asarray(classes, jnp.int32),
    )


def as_targets(images, boxes, classes, dtype=torch.float64):
    """What torchvision's takes: a list of images, and one of objects."""
    pictures = [torch.tensor(image.transpose(2, 0, 1), dtype=dtype) for image in images]
    targets = [
        {
            "boxes": torch.tensor(box[kind >= 0], dtype=dtype),
            "labels": torch.tensor(kind[kind >= 0] + 1),
        }
        for box, kind in zip(boxes, classes, strict=True)
    ]
    return pictures, targets
