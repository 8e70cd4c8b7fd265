"""The inputs of a training: a model with given weights, and batches that fit it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from torch_ref.files import FileError, arrays
from torch_ref.model import build
from torch_ref.solve import Settings
from torch_ref.weights import WeightsError, layout, read

Batch = tuple[Tensor, Tensor]
"""Images [B, C, H, W] and labels [B]."""


def read_batches(path: Path, dtype: torch.dtype) -> list[Batch]:
    """The batches in a .npz file.

    Raises ValueError if it is none, or its arrays are not what they should be.
    """
    try:
        stored = arrays(path)
        images, labels = stored["images"], stored["labels"]
    except (KeyError, FileError) as error:
        why = f": {error}" if isinstance(error, FileError) else ""
        raise ValueError(
            f"{path} must be a .npz file of the arrays images and labels{why}"
        ) from error
    if (
        images.ndim != 5
        or labels.shape != images.shape[:2]
        or 0 in images.shape
        or images.shape[2] != images.shape[3]
    ):
        wanted = "[N, B, H, H, C] and [N, B]"
        raise ValueError(
            f"{path} must hold images and labels {wanted}, got {images.shape} and {labels.shape}"
        )
    if images.dtype.kind != "f" or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise ValueError(
            f"{path} must hold floating-point images and labels from 0, got {images.dtype},"
            f" {labels.dtype}"
        )
    planes = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 1, 4, 2, 3))).to(dtype)
    return list(zip(planes, torch.from_numpy(labels.astype(np.int64)), strict=True))


def load(
    weights: Path, batches: Path, settings: Settings, dtype: torch.dtype
) -> tuple[nn.Sequential, list[Batch]]:
    """Model and batches, each fitting the other. Raises ValueError, OSError."""
    state, pairs = read(weights), read_batches(batches, dtype)
    channels, side = pairs[0][0].shape[1:3]
    found = layout(state, side)
    if found.channels != channels:
        raise ValueError(
            f"the model takes images of {found.channels} channels, those in {batches} have"
            f" {channels}"
        )
    most = max(int(labels.max()) for _, labels in pairs)
    if most >= found.classes:
        raise ValueError(f"the model has {found.classes} classes, {batches} has a label {most}")
    model = build(
        found.kind,
        found.blocks,
        channels=channels,
        classes=found.classes,
        width=found.width,
        augment=found.augment,
        convolutions=found.convolutions,
        downsampling=found.downsampling,
        side=side,
        settings=settings,
    ).to(dtype)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:  # several lines, which name every key that does not fit
        raise WeightsError(f"{weights} does not fit: {error}") from error
    return model, pairs
