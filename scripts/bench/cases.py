"""The cases of the benchmark: every comparison and every sweep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from jaxode.config import GRADIENT_FACTS, GradientChoice, ModelConfig, Precision, SolveConfig

Work = Literal["training", "inference", "solve"]
"""Loss and gradient of a batch; its logits; or the forward solve of one ODE block alone."""

JAXODE, SAME, COMPILED, CHANNELS_LAST = "jaxode", "same steps", "torch.compile", "channels last"
TORCHODE, STOCK, JOINT, PRODUCTS = "torchode", "stock", "joint solve", "matrix products"

FRAMEWORKS = {
    JAXODE: "jaxode",
    JOINT: "jaxode, joint solve",
    PRODUCTS: "jaxode, matrix products",
    TORCHODE: "torchode",
    STOCK: "flax and diffrax",
}
"""By side; all others are PyTorch's."""

NOTES = {
    SAME: "torchdiffeq as a user calls it",
    COMPILED: (
        "same steps; field, downsampling and head (or the whole ResNet) each compiled by"
        " torch.compile"
    ),
    CHANNELS_LAST: "same steps; images and weights in torch.channels_last",
    TORCHODE: "an error and a step size for every image: not the same steps",
    PRODUCTS: "jaxode without its native kernels: the same steps",
    JOINT: "jaxode with one step size for the batch: not the same steps",
    STOCK: "nnx.Conv, nnx.GroupNorm, Diffrax's default adjoint and steps: not the same steps",
}
"""A remark on each rival, printed with its figures."""

OWN_STEPS = (TORCHODE, STOCK, JOINT)
"""Sides that choose steps by other rules, so that steps and outputs differ from jaxode's."""

BATCHES = (1, 8, 32, 64, 128, 256, 512, 1024)
WIDE = (32, 64, 128)
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
PRECISIONS: tuple[Precision, ...] = ("float32", "tf32", "bfloat16")
DEFAULT_MODE = SolveConfig().gradient


@dataclass(frozen=True)
class Case:
    """One comparison: jaxode, and beside it the rivals, on the same work."""

    group: str
    work: Work = "training"
    model: str = "odenet"
    blocks: int = 1
    gradient: GradientChoice = DEFAULT_MODE
    batch: int = 128
    tolerance: float = 1e-3
    width: int = 64
    channels: int = 1
    """1: grey images of 28 x 28, MNIST's; 3: of 32 x 32, CIFAR's."""
    per_sample: bool = False
    rivals: tuple[str, ...] = (SAME,)
    precision: Precision = "float32"
    """Of the convolutions; torch's autocast also takes the head's product and the residual sums in
    bfloat16.
    """
    runs: int | None = None
    """Instead of the requested number, where a run is very slow."""

    @property
    def title(self) -> str:
        """The model, as a reader knows it."""
        return f"{self.model_config.facts.title} {self.blocks}"

    @property
    def mode(self) -> str:
        """The gradient mode; empty where no solve is differentiated."""
        solved = self.work == "training" and self.solves
        return self.solve.gradient_facts.name if solved else ""

    @property
    def solves(self) -> bool:
        """Whether the model's blocks are ODEs."""
        return self.model_config.facts.solves

    @property
    def backward_solve(self) -> bool:
        """Whether the gradient is that of an adjoint ODE, solved backward."""
        return self.solve.gradient_facts.backward_solve

    @property
    def name(self) -> str:
        """Unique among the cases."""
        words = [f"{self.group}: {self.title}", self.mode or self.work, f"batch {self.batch}"]
        words += [f"tolerance {self.tolerance:g}"] * self.solves
        words += [f"width {self.width}"] * (self.group == "width")
        words += [self.precision] * (self.group == "arithmetic")
        return ", ".join(words)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        side = 28 if self.channels == 1 else 32
        return side, side, self.channels

    @property
    def model_config(self) -> ModelConfig:
        """The model in jaxode's settings."""
        return ModelConfig(self.model, self.blocks, self.width)

    @property
    def solve(self) -> SolveConfig:
        """The solve in jaxode's settings: dopri5 with torchdiffeq's steps and default `max_steps`.

        Where every image is solved by itself, the steps are jaxode's own, as by default.
        """
        stepping = "diffrax" if self.per_sample else "torchdiffeq"
        return SolveConfig(
            rtol=self.tolerance, atol=self.tolerance, gradient=self.gradient, stepping=stepping,
            per_sample=self.per_sample,
        )  # fmt: skip


def cases(batch: int = 128, width: int = 64, *, gpu: bool = False) -> Iterator[Case]:
    """Everything; `batch` is that of all cases but the sweep over batches.

    Only a GPU gains from lower precision.
    """
    base = Case("", batch=batch, width=width)
    swept = tuple(dict.fromkeys((DEFAULT_MODE, "backsolve")))
    kinds = (SAME,) if gpu else (SAME, PRODUCTS)
    for mode in tuple(GRADIENT_FACTS):
        yield replace(base, group="gradient", gradient=mode, rivals=kinds)
    yield replace(base, group="inference", work="inference", rivals=kinds)
    resnet = replace(base, model="resnet", blocks=6)
    yield replace(resnet, group="resnet", rivals=kinds)
    yield replace(resnet, group="resnet", work="inference", rivals=kinds)
    yield replace(base, group="stock", rivals=(STOCK,), runs=3)
    for tolerance in TOLERANCES:
        yield replace(base, group="precision", work="solve", tolerance=tolerance)
    yield replace(base, group="torchode", rivals=(TORCHODE,))
    yield replace(base, group="torchode", gradient="backsolve", rivals=(TORCHODE,))
    each = replace(base, group="per sample", per_sample=True)
    yield replace(each, rivals=(JOINT, TORCHODE))
    yield replace(each, gradient="backsolve", rivals=(JOINT,), runs=3)
    yield replace(each, work="inference", rivals=(JOINT,))
    yield replace(each, tolerance=1e-5, rivals=(JOINT, TORCHODE))
    for mode in swept:
        yield replace(base, group="channels last", gradient=mode, rivals=(CHANNELS_LAST,))
    for mode in swept:
        yield replace(base, group="compiled", gradient=mode, rivals=(COMPILED,))
    yield replace(base, group="compiled", work="inference", rivals=(COMPILED,))
    yield replace(resnet, group="compiled", rivals=(COMPILED,))
    for blocks in (2, 4):
        yield from (replace(base, group="blocks", gradient=mode, blocks=blocks) for mode in swept)
    for tolerance in TOLERANCES:
        if tolerance != base.tolerance:
            yield from (
                replace(base, group="tolerance", gradient=mode, tolerance=tolerance)
                for mode in swept
            )
    for size in BATCHES:
        if size != batch:
            yield from (replace(base, group="batch", gradient=mode, batch=size) for mode in swept)
            yield replace(base, group="batch", work="inference", batch=size)
    for channels in WIDE:
        if channels != width:
            yield from (
                replace(base, group="width", gradient=mode, width=channels) for mode in swept
            )
    yield from (replace(base, group="colour", gradient=mode, channels=3) for mode in swept)
    if gpu:
        yield from precision_cases(base)


def precision_cases(base: Case) -> Iterator[Case]:
    """TF32 and bfloat16 beside float32.

    The adjoint is left out: torch's autocast does not reach torchdiffeq's.
    """
    for precision in PRECISIONS:
        case = replace(base, group="arithmetic", precision=precision)
        yield case
        yield replace(case, work="inference")
        yield replace(case, model="resnet", blocks=6)


def quick_cases(batch: int = 32, width: int = 64) -> Iterator[Case]:
    """A few of each kind, for a first look."""
    base = Case("", batch=batch, width=width)
    for mode in dict.fromkeys((DEFAULT_MODE, "backsolve")):
        yield replace(base, group="gradient", gradient=mode)
    yield replace(base, group="inference", work="inference")
    yield replace(base, group="resnet", model="resnet", blocks=6)
    for tolerance in (1e-2, 1e-4):
        yield replace(
            base, group="precision", work="solve", batch=min(batch, 4), tolerance=tolerance
        )
    yield replace(base, group="stock", rivals=(STOCK,), runs=1)
