"""Memory of a training step by the number of solver steps, for every gradient mode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from jaxode.config import ModelConfig, SolveConfig
from jaxode.plots.style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, label_axes, to_png
from scripts.claims.drawing import row_of_panels
from scripts.claims.steps import MB, planned
from scripts.claims.subject import Request

TITLE = "Memory and depth"
CLAIM = (
    "With the adjoint, memory is constant in the depth: O(1) against O(L) of a ResNet and O(L̃) of"
    " RK-Net."
)
NEEDS_RUN = False

BATCH, WIDTH = 128, 64
STEPS = (2, 4, 8, 16, 32, 64)
DEEPEST = 32
"""Residual blocks; XLA takes minutes to compile more."""

SOLVER, EVALUATIONS = "dopri5", 6
"""Evaluations of the field in a step whose size is fixed."""

EVERY_STEP, RESNET = "tape of every step", "ResNet"

CURVES = {
    "backsolve": ("backsolve (adjoint)", BLUE, "o-"),
    "replay": ("replay", GREEN, "s-"),
    "tape": ("tape (default, 8 steps stored)", ORANGE, "D-"),
    "checkpointed": ("checkpointed (Diffrax)", PURPLE, "v-"),
    EVERY_STEP: ("tape, every step stored (RK-Net)", ORANGE, "D--"),
    "direct": ("direct (Diffrax)", RED, "^-"),
    RESNET: ("ResNet of as many blocks", GREY, "x:"),
}
"""Each curve's name in the picture, colour and style."""


def solve(kind: str, steps: int) -> SolveConfig:
    """A solve of exactly that many steps."""
    stored: dict[str, Any] = {"tape_steps": steps} if kind == EVERY_STEP else {}
    mode: Any = "tape" if kind == EVERY_STEP else kind
    return SolveConfig(SOLVER, step_size=1 / steps, max_steps=steps, gradient=mode, **stored)


def measure(
    request: Request,
    *,
    batch: int = BATCH,
    width: int = WIDTH,
    steps: Sequence[int] = STEPS,
    kinds: Sequence[str] = tuple(CURVES),
) -> dict[str, Any]:
    """Megabytes of every curve at every number of steps, and those of one more step.

    None where it was not compiled.
    """
    del request
    curves = {}
    for kind in kinds:
        rows: list[float | None] = []
        for count in steps:
            if kind == RESNET and count > DEEPEST:
                rows.append(None)
                continue
            model = ModelConfig(
                "resnet" if kind == RESNET else "odenet", count if kind == RESNET else 1, width
            )
            rows.append(
                planned(
                    model, SolveConfig() if kind == RESNET else solve(kind, count), batch
                ).temporary
                / MB
            )
            jax.clear_caches()
        curves[kind] = {"mb": rows, "mb_a_step": slope(steps, rows)}
    return {
        "batch": batch,
        "width": width,
        "solver": SOLVER,
        "steps": list(steps),
        "curves": curves,
    }


def slope(steps: Sequence[int], rows: Sequence[float | None]) -> float:
    """Megabytes that one step more adds, between the two largest numbers of steps."""
    known = [(count, mb) for count, mb in zip(steps, rows, strict=True) if mb is not None]
    (low, first), (high, last) = known[-2:]
    return (last - first) / (high - low)


def picture(found: dict[str, Any]) -> bytes:
    """Memory by steps."""
    figure, (axes,) = row_of_panels(1, width=7.4, height=4.4)
    steps = found["steps"]
    for kind, curve in found["curves"].items():
        label, colour, style = CURVES[kind]
        pairs = [
            (count, mb) for count, mb in zip(steps, curve["mb"], strict=True) if mb is not None
        ]
        axes.plot(
            *zip(*pairs, strict=True),
            style,
            color=colour,
            label=label,
            markersize=4.5,
            linewidth=1.6,
        )
    title = f"Loss and gradient of {found['batch']} images: working memory of the compiled program"
    x = f"steps of {found['solver']} ({EVALUATIONS} evaluations each), or residual blocks"
    label_axes(axes, title, x, "MB", legend=False, xscale="log", yscale="log")
    axes.set_xticks(steps, [str(count) for count in steps])
    axes.minorticks_off()
    figure.legend(loc="outside right center", frameon=False, fontsize=8.5)
    return to_png(figure, dpi=100)


def paragraph(found: dict[str, Any]) -> str:
    """The curves in words."""
    steps, curves = found["steps"], found["curves"]
    few, many = steps[0], steps[-1]

    def ends(kind: str) -> str:
        known = [mb for mb in curves[kind]["mb"] if mb is not None]
        return f"from {known[0]:.0f} to {known[-1]:.0f} MB"

    blocks = max(
        (n for n, mb in zip(steps, curves.get(RESNET, {}).get("mb", ()), strict=False) if mb),
        default=0,
    )
    state = 4 * found["batch"] * found["width"] * 36 / MB
    sentences = [
        f"Working memory of one loss and gradient of {found['batch']} images, from XLA's plan of"
        " the program."
    ]
    if "backsolve" in curves:
        most, least = max(curves["backsolve"]["mb"]), min(curves["backsolve"]["mb"])
        kind = "is the same" if most == least else f"varies by {100 * (most / least - 1):.1f} %"
        sentences.append(
            f"`backsolve` needs {curves['backsolve']['mb'][-1]:.0f} MB, which {kind} from {few} to"
            f" {many} steps of {found['solver']}."
        )
    others = []
    for kind, text in (
        ("replay", f"`replay` adds {{more}} a step ({{ends}}), where one state has {state:.2f} MB"),
        (
            "tape",
            ("`tape`, which stores the evaluations of 8 steps, adds {more} beyond those ({ends})"),
        ),
        (EVERY_STEP, "with every step stored it adds {more} ({ends})"),
        ("checkpointed", "`checkpointed` adds {more} ({ends})"),
        ("direct", "`direct` goes {ends}"),
        (RESNET, "a ResNet adds {more} a block ({ends} at " + f"{blocks} blocks)"),
    ):
        if kind in curves:
            others.append(text.format(more=f"{curves[kind]['mb_a_step']:.2f} MB", ends=ends(kind)))
    if others:
        sentences.append("; ".join(others) + ".")
    sentences.append("Slopes are those between the two largest numbers of steps or blocks.")
    return " ".join(sentences)
