"""The rows of detection and of depth from one picture."""

from __future__ import annotations

from typing import Any

from scripts.systems.row import Figure, SystemRow, SystemTable

BCCD = {"batch_size": 2, "lr": 5e-4, "weight_decay": 0.01, "epochs": 20}

BACKBONES: dict[str, tuple[str, dict[str, Any]]] = {
    "odenet": ("one ODE block of 64 channels", {}),
    "resnet": ("six residual blocks of 64 channels, its twin", {}),
    "resnet101": ("ResNet-101 to conv3, a quarter of its width", {"width": 16}),
    "vgg16": ("VGG-16 to conv4_3, a quarter of its width", {"width": 16}),
}
"""By name: what it is, and its settings besides those that all share."""


def _backbone(name: str) -> SystemRow:
    about, own = BACKBONES[name]
    return SystemRow(
        f"BCCD, {name}: {about}",
        {"data": "bccd", "backbone": name},
        {**BCCD, **own},
        {**BCCD, **own, "epochs": 100},
        folder="bccd",
    )


DETECTION = SystemTable(
    "detection", "Detection on blood cells", tuple(_backbone(name) for name in BACKBONES)
)

NYU = {"epochs": 30}
FIXED = {"solver": "rk4", "step_size": 0.5}

ENCODERS: dict[str, tuple[str, dict[str, Any], tuple[Figure, ...]]] = {
    "odenet": ("four ODE blocks of 48 channels", FIXED, ()),
    "resnet": ("four residual blocks of 48 channels, its twin", {}, ()),
    "vgg16": (
        "VGG-16, a quarter of its width",
        {},
        (
            Figure("0.158", "Eigen and Fergus 2015, pretrained, 120,000 frames", recalled=False),
            Figure("0.194", "Laina et al. 2016, pretrained"),
        ),
    ),
}
"""By name: what it is, its settings besides those that all share, published relative errors."""


def _encoder(name: str) -> SystemRow:
    about, own, published = ENCODERS[name]
    return SystemRow(
        f"NYU Depth v2, {name}: {about}",
        {"data": "nyuv2", "encoder": name},
        {**NYU, **own},
        {**NYU, **own, "epochs": 100},
        {"rel": published},
        folder="nyuv2_quarter",
    )


DEPTH = SystemTable("depth", "Depth from one picture", tuple(map(_encoder, ENCODERS)))
