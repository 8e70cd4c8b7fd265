"""Names that a setting can have, and groups of them."""

from __future__ import annotations

from typing import Literal

StemName = Literal["quarter", "eighth", "sixteenth"]
DownsamplingName = Literal["conv", "res"]
SteppingName = Literal["diffrax", "torchdiffeq"]
NormName = Literal["full", "seminorm"]
OptimizerName = Literal["sgd", "adam", "adamw"]
ScheduleName = Literal["step", "milestones", "constant", "cosine"]
DataChoice = Literal["auto", "full", "sample"]
FeedName = Literal["resident", "streamed", "auto"]
CropName = Literal["resize", "pad", "none"]
PixelsName = Literal["normalised", "unit"]
AugmentationName = Literal[
    "random_resized_crop", "transpose", "horizontal_flip", "vertical_flip", "shift_scale_rotate",
    "hue_saturation_value", "brightness_contrast", "coarse_dropout", "cutout",
]  # fmt: skip
Precision = Literal["float64", "float32", "tf32", "bfloat16", "float16"]
KernelsName = Literal["auto", "native", "matmul", "plain"]
ParallelName = Literal["jit", "pmap"]
TrainEvaluation = Literal["every", "last"]

REFLECTIONS = ("transpose", "horizontal_flip", "vertical_flip")
"""Augmentations that mirror a hand sign or turn it over, which changes its meaning."""

CONVOLUTIONS_ONLY = ("tf32", "bfloat16", "float16")
"""Precisions of the convolutions alone; parameters, state, error estimate, norms, head and updates
are float32."""

DEFAULT_LR = {"sgd": 0.1, "adam": 1e-3, "adamw": 1e-3}

MEANT = {
    "rk45": "dopri5",
    "dopri": "dopri5",
    "dormand-prince": "dopri5",
    "rk23": "bosh3",
    "rk": "rk4",
    "dop853": "dopri8",
    "forward-euler": "euler",
    "rk2": "midpoint",
    "heun2": "heun",
    "implicit": "kvaerno3",
    "stiff": "kvaerno3",
    "adjoint": "backsolve",
    "autodiff": "tape",
    "backprop": "tape",
    "checkpoint": "checkpointed",
    "node": "odenet",
    "neural-ode": "odenet",
    "residual": "resnet",
    "double": "float64",
    "fp64": "float64",
    "single": "float32",
    "fp32": "float32",
    "half": "float16",
    "fp16": "float16",
    "bf16": "bfloat16",
    "none": "constant",
    "multistep": "milestones",
    "steps": "milestones",
    "normalized": "normalised",
    "raw": "unit",
    "totensor": "unit",
    "residual-blocks": "res",
}
"""Names used elsewhere for the choices, from which an error message suggests one."""
