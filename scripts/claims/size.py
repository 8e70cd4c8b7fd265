"""Size of the model files of an ODENet and a ResNet, and memory of their training.

Training is with and without the adjoint.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jaxode.config import GRADIENT_FACTS, ModelConfig, SolveConfig
from jaxode.interop import to_torch, write_weights
from jaxode.models import parameter_count
from jaxode.plots.style import BLUE, GREEN, GREY, ORANGE, label_axes, to_png
from scripts.claims import resident
from scripts.claims.drawing import row_of_panels
from scripts.claims.steps import MB, model_of, planned
from scripts.claims.subject import Request

TITLE = "Size and memory"
CLAIM = (
    "Model file: 864 kB (ODENet) against 2.9 MB (ResNet 8). Training memory: 5.8 GB with the"
    " adjoint, 7.4 GB without."
)
NEEDS_RUN = False

MODELS = {"ODENet": ModelConfig("odenet", 1), "ResNet 8": ModelConfig("resnet", 8)}
PUBLISHED_FILES = {"ODENet": 864e3, "ResNet 8": 2.9e6}
PUBLISHED_MEMORY = {"backsolve": 5.8e9, "tape": 7.4e9}
"""Of a whole process with PyTorch 1.3 on a 4-core CPU."""

ENDINGS = (".pt", ".safetensors")
MODES = ("backsolve", "replay", "tape", "checkpointed", "direct")
WITH_AND_WITHOUT = ("backsolve", "tape")
SIDES = ("jaxode", "torch")
BATCH, WIDTH, STEPS = 128, 64, 3


def file_bytes(model: ModelConfig, endings: Sequence[str] = ENDINGS) -> dict[str, int]:
    """Bytes of the model's file by its ending, and its number of parameters.

    The file is as `jaxode convert` writes it.
    """
    built = model_of(model, SolveConfig())
    weights = to_torch(built)
    sizes = {"parameters": parameter_count(built)}
    with tempfile.TemporaryDirectory() as folder:
        for ending in endings:
            path = Path(folder) / f"weights{ending}"
            write_weights(path, weights)
            sizes[ending] = path.stat().st_size
    return sizes


def measure(
    request: Request,
    *,
    models: dict[str, ModelConfig] = MODELS,
    batch: int = BATCH,
    width: int = WIDTH,
    steps: int = STEPS,
    process: Callable[..., dict[str, Any]] = resident.measured,
) -> dict[str, Any]:
    """Bytes of files, of XLA's plans and of processes."""
    del request
    plans = {
        mode: planned(ModelConfig(width=width), SolveConfig(gradient=mode), batch) for mode in MODES
    }
    return {
        "files": {name: file_bytes(model) for name, model in models.items()},
        "published_files": PUBLISHED_FILES,
        "batch": batch,
        "solve": {
            "solver": SolveConfig().solver,
            "tolerance": SolveConfig().rtol,
            "max_steps": SolveConfig().max_steps,
        },
        "plans": {mode: plan._asdict() for mode, plan in plans.items()},
        "processes": [
            process(side=side, gradient=mode, batch=batch, width=width, steps=steps)
            for side in SIDES
            for mode in WITH_AND_WITHOUT
        ],
        "published_memory": PUBLISHED_MEMORY,
    }


def picture(found: dict[str, Any]) -> bytes:
    """Files, planned memory, processes; black lines are the published figures."""
    figure, (files, plans, processes) = row_of_panels(3, height=4.2)
    names = list(found["files"])
    for offset, (ending, colour) in zip(
        (-0.2, 0.2), zip(ENDINGS, (BLUE, GREEN), strict=True), strict=True
    ):
        places = [place + offset for place in range(len(names))]
        bars = files.bar(
            places,
            [found["files"][name][ending] / MB for name in names],
            0.38,
            color=colour,
            label=ending,
        )
        files.bar_label(bars, fmt="%.3f", fontsize=8, label_type="center", color="white")
    for place, name in enumerate(names):
        published(files, place, 0.42, found["published_files"][name] / MB, label=place == 0)
    files.set_xticks(range(len(names)), names)
    files.set_ylim(0, 1.3 * max(found["published_files"].values()) / MB)
    label_axes(files, "Model file", "", "MB")
    modes = list(found["plans"])
    bars = plans.bar(modes, [found["plans"][mode]["temporary"] / MB for mode in modes],
                     color=[_colour(mode) for mode in modes])  # fmt: skip
    plans.bar_label(bars, fmt="%.0f", fontsize=8, padding=2)
    plans.tick_params(axis="x", labelsize=8)
    plans.set_yscale("log")
    plans.margins(y=0.12)
    label_axes(
        plans,
        f"Working memory of a step of {found['batch']} images,\nas XLA plans it",
        "",
        "MB",
        legend=False,
    )
    rows = found["processes"]
    labels = [
        f"{row['side']}\n{'adjoint' if _backward(row['gradient']) else 'without'}" for row in rows
    ]
    done = [row["done"] / 1e9 for row in rows]
    bars = processes.bar(labels, done, color=[_colour(row["gradient"]) for row in rows])
    processes.bar(
        labels,
        [row["imported"] / 1e9 for row in rows],
        color=GREY,
        label="of it before the first step",
    )
    processes.bar_label(bars, fmt="%.2f", fontsize=8, padding=2)
    for place, row in enumerate(rows):
        if row["side"] == "torch":
            published(
                processes,
                place,
                0.4,
                found["published_memory"][row["gradient"]] / 1e9,
                label=place == len(rows) - 1,
            )
    processes.set_ylim(0, 1.25 * max(found["published_memory"].values()) / 1e9)
    label_axes(processes, "Peak memory of a whole process,\na few steps", "", "GB")
    for axes in (files, processes):
        axes.legend(frameon=False, fontsize=8, loc="upper left")
    return to_png(figure, dpi=100)


def _backward(mode: str) -> bool:
    return GRADIENT_FACTS[mode].backward_solve


def _colour(mode: str) -> str:
    return ORANGE if _backward(mode) else BLUE


def published(axes: Any, place: float, reach: float, value: float, *, label: bool) -> None:
    """A black line across a bar's place, with its figure."""
    axes.plot([place - reach, place + reach], [value, value], color="black", linewidth=1.6,
              label="published" if label else None)  # fmt: skip
    axes.annotate(
        f"{value:g}",
        (place + reach, value),
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=8,
        ha="right",
    )


def paragraph(found: dict[str, Any]) -> str:
    """The numbers in words."""
    sentences = []
    for name, sizes in found["files"].items():
        sentences.append(
            f"{name}: {sizes['parameters']:,} parameters in {sizes['.pt']:,} bytes (.pt) or"
            f" {sizes['.safetensors']:,} (.safetensors), published"
            f" {found['published_files'][name] / 1e3:,.0f} kB."
        )
    plans = {mode: plan["temporary"] / MB for mode, plan in found["plans"].items()}
    solve = found["solve"]
    texts = ", ".join(f"{mode} {mb:.0f}" for mode, mb in plans.items())
    sentences.append(
        f"XLA's plan is what one step (loss and gradient of {found['batch']} images,"
        f" {solve['solver']} at {solve['tolerance']:g}, max_steps {solve['max_steps']}) needs"
        f" beside parameters and images, in MB: {texts}."
    )
    rows = {(row["side"], row["gradient"]): row for row in found["processes"]}
    for side, library in (("jaxode", "jaxode"), ("torch", "PyTorch and torchdiffeq (`torch_ref`)")):
        adjoint, without = (rows[side, mode] for mode in WITH_AND_WITHOUT)
        compiling = ""
        if "compiled" in adjoint:
            both = " and ".join(f"{row['compiled'] / 1e9:.2f}" for row in (adjoint, without))
            compiling = f"; {both} GB were reached while compiling"
        sentences.append(
            f"A whole process of {library} used at most {adjoint['done'] / 1e9:.2f} GB with the"
            f" adjoint and {without['done'] / 1e9:.2f} GB without ({adjoint['imported'] / 1e9:.2f}"
            f" GB before the first step{compiling}), in {adjoint['steps']} steps."
        )
    adjoint, without = (found["published_memory"][mode] / 1e9 for mode in WITH_AND_WITHOUT)
    sentences.append(
        f"Published: {adjoint:g} GB with and {without:g} GB without, of a whole process of PyTorch"
        " 1.3, whose images and allocator are part of it; ours are of random images, and their"
        " order is what can be compared."
    )
    return " ".join(sentences)
