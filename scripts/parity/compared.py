"""The parts and models that the parity map compares."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from scripts.parity.subjects import SIDE, WIDTH, Subject

MAP = (6, 6, WIDTH)


def _inside(
    name: str,
    model: Any,
    path: tuple[Any, ...],
    layers: slice,
    inside: str,
    shape: Any,
    **more: Any,
) -> Subject:
    return Subject(name, model, 1, path, layers, inside, shape, **more)


LAYERS = [
    _inside("convolution 3x3", "odenet", ("downsample", "conv1"), slice(0, 1), "", (SIDE, SIDE, 1)),
    _inside("group norm", "odenet", ("downsample", "norm1"), slice(1, 2), "", (26, 26, WIDTH)),
    _inside(
        "convolution 4x4, stride 2",
        "odenet",
        ("downsample", "conv2"),
        slice(3, 4),
        "",
        (26, 26, WIDTH),
    ),
    _inside(
        "convolution 4x4, stride 2, odd",
        "odenet",
        ("downsample", "conv3"),
        slice(6, 7),
        "",
        (13, 13, WIDTH),
    ),
    _inside("downsampling", "odenet", ("downsample",), slice(0, 7), "", (SIDE, SIDE, 1)),
    _inside(
        "time convolution",
        "odenet",
        ("blocks", 0, "field", "conv1"),
        slice(7, 8),
        "odefunc.conv1",
        MAP,
        time=0.3,
    ),
    _inside("residual block", "resnet", ("blocks", 0), slice(7, 8), "", MAP),
    _inside("linear", "odenet", ("head", "linear"), slice(12, 13), "", (WIDTH,)),
    _inside("head", "odenet", ("head",), slice(8, 13), "", MAP),
]


RESIDUAL = [
    _inside(
        "residual block of stride 2",
        "odenet",
        ("downsample", "blocks", 0),
        slice(1, 2),
        "",
        (26, 26, WIDTH),
        downsampling="res",
    ),
    _inside(
        "residual block of stride 2, odd",
        "odenet",
        ("downsample", "blocks", 1),
        slice(2, 3),
        "",
        (13, 13, WIDTH),
        downsampling="res",
    ),
    _inside(
        "residual downsampling",
        "odenet",
        ("downsample",),
        slice(0, 3),
        "",
        (SIDE, SIDE, 1),
        downsampling="res",
    ),
]
"""The downsampling of odenet_mnist.py with --downsampling-method res."""


FIELDS = [
    _inside(
        f"field, t = {time:g}",
        "odenet",
        ("blocks", 0, "field"),
        slice(7, 8),
        "odefunc",
        MAP,
        time=time,
    )
    for time in (0.0, 0.3, 1.0)
]


BLOCK = _inside("ODE block", "odenet", ("blocks", 0), slice(7, 8), "", MAP)


SMOOTH = replace(BLOCK, name="ODE block, smooth", smooth=True)


ARCHITECTURES = [
    ("odenet", 1),
    ("odenet", 2),
    ("resnet", 2),
    ("resnet", 4),
    ("resnet", 6),
    ("resnet", 8),
    ("mlp", 0),
]


PICTURES = [(1, 10, "grey"), (3, 10, "RGB"), (3, 100, "RGB, 100 classes")]


def model_of(kind: Any, blocks: int, channels: int, classes: int, kind_of_picture: str) -> Subject:
    """A whole model, by its name and number of blocks."""
    title = {"odenet": f"ODENet {blocks}", "resnet": f"ResNet {blocks}", "mlp": "MLP"}[kind]
    shape = (SIDE, SIDE, channels)
    return Subject(
        f"{title}, {kind_of_picture}", kind, blocks, (), slice(None), "", shape, channels, classes
    )


MODELS = [
    model_of(*architecture, *picture) for architecture in ARCHITECTURES for picture in PICTURES
]


AUGMENTED = replace(
    model_of("odenet", 1, *PICTURES[0]), name="ODENet 1, 5 augmented, grey", augment=5
)


RESIDUAL_MODELS = [
    replace(model, name=f"{model.name.split(',')[0]}, residual downsampling", downsampling="res")
    for model in (model_of("odenet", 1, *PICTURES[0]), model_of("resnet", 6, *PICTURES[0]))
]


DEEPER = replace(
    model_of("resnet", 2, *PICTURES[1]), name="ResNet 2, stem of an eighth, RGB", stem="eighth"
)
