"""The cells of the parity map: every combination that is compared.

Subject, solver, gradient mode, stepping, type and tolerance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from jaxode.config import GRADIENT_FACTS, MODEL_FACTS, SOLVER_FACTS, SolveConfig, names_where
from scripts.parity.subjects import SIDE, WIDTH, Subject

MAP = (6, 6, WIDTH)
EXACT_MODES = ("tape", "replay", "direct", "checkpointed")
SLOW_MODES = ("replay", "direct", "checkpointed")
"""Left out of the test suite in most places: `tests/ode` compares the exact modes.
"""
MODES = (
    *((mode, "full") for mode in EXACT_MODES),
    ("backsolve", "full"),
    ("backsolve", "seminorm"),
)
UNEVEN, EVEN = 0.3, 0.25
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)


@dataclass(frozen=True)
class Cell:
    """One comparison.

    `solve` is None for a part without a solve. `why` is printed as the reason of the cell.
    """

    subject: Subject
    solve: SolveConfig | None = None
    dtype: str = "float64"
    quick: bool = True
    why: str = ""

    @property
    def name(self) -> str:
        """Short and unique, for test ids."""
        solve = self.solve
        parts = [self.subject.name.replace(" ", "-")]
        if solve is not None:
            parts += [solve.solver, self.gradient, solve.stepping, f"{self.tolerance:g}"]
        return "-".join([*parts, self.dtype])

    @property
    def gradient(self) -> str:
        """Gradient mode, with the backward solve's norm if it is not the full one.

        Empty without a solve.
        """
        if self.solve is None:
            return ""
        return self.solve.gradient_facts.name + (
            " seminorm" if self.solve.backward_norm == "seminorm" else ""
        )

    @property
    def tolerance(self) -> float | None:
        """Both tolerances, or the step size of a fixed grid."""
        if self.solve is None:
            return None
        return self.solve.rtol if self.solve.step_size is None else self.solve.step_size


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


def _model(kind: Any, blocks: int, channels: int, classes: int, kind_of_picture: str) -> Subject:
    title = {"odenet": f"ODENet {blocks}", "resnet": f"ResNet {blocks}", "mlp": "MLP"}[kind]
    shape = (SIDE, SIDE, channels)
    return Subject(
        f"{title}, {kind_of_picture}", kind, blocks, (), slice(None), "", shape, channels, classes
    )


MODELS = [_model(*architecture, *picture) for architecture in ARCHITECTURES for picture in PICTURES]
AUGMENTED = replace(
    _model("odenet", 1, *PICTURES[0]), name="ODENet 1, 5 augmented, grey", augment=5
)
RESIDUAL_MODELS = [
    replace(model, name=f"{model.name.split(',')[0]}, residual downsampling", downsampling="res")
    for model in (_model("odenet", 1, *PICTURES[0]), _model("resnet", 6, *PICTURES[0]))
]
DEEPER = replace(
    _model("resnet", 2, *PICTURES[1]), name="ResNet 2, stem of an eighth, RGB", stem="eighth"
)


def adaptive(
    solver: Any, tolerance: float, gradient: Any, norm: Any, stepping: Any, steps: int = 4096
) -> SolveConfig:
    """An adaptive solve with one tolerance for both sides and both directions."""
    return SolveConfig(
        solver=solver,
        rtol=tolerance,
        atol=tolerance,
        gradient=gradient,
        backward_norm=norm,
        stepping=stepping,
        max_steps=steps,
    )


def cells() -> Iterator[Cell]:
    """All of them; those marked `quick` make up the test suite."""
    for dtype in ("float64", "float32"):
        yield from (Cell(subject, dtype=dtype) for subject in [*LAYERS, *RESIDUAL, *FIELDS])
    for subject in MODELS:
        solve = (
            SolveConfig(solver="rk4", step_size=EVEN, gradient="tape")
            if MODEL_FACTS[subject.model].solves
            else None
        )
        yield Cell(subject, solve, quick=(subject.channels == 1) == (subject.blocks in (1, 4, 8)))
    yield Cell(DEEPER)
    for subject in RESIDUAL_MODELS:
        solves = MODEL_FACTS[subject.model].solves
        solve = adaptive("dopri5", 1e-3, "tape", "full", "torchdiffeq") if solves else None
        yield Cell(subject, solve)
    yield Cell(AUGMENTED, adaptive("dopri5", 1e-3, "tape", "full", "torchdiffeq"))
    for solver in names_where(torchdiffeq_fixed=True):
        for size in (EVEN, UNEVEN):
            for mode in (*EXACT_MODES, "backsolve"):
                if GRADIENT_FACTS[mode].needs_explicit and not SOLVER_FACTS[solver].taped:
                    continue
                solve = SolveConfig(
                    solver=solver, step_size=size, gradient=mode, stepping="torchdiffeq"
                )
                quick = mode not in SLOW_MODES and (
                    GRADIENT_FACTS[mode].exact or solver in ("midpoint", "rk4")
                )
                yield Cell(BLOCK, solve, quick=size == UNEVEN and quick)
    for solver in names_where(torchdiffeq_adaptive=True):
        for mode in MODES:
            if GRADIENT_FACTS[mode[0]].needs_explicit and not SOLVER_FACTS[solver].taped:
                continue
            backward = GRADIENT_FACTS[mode[0]].backward_solve
            for tolerance in (1e-2, 1e-3):
                plain = mode[0] not in SLOW_MODES or (solver, mode[0]) == ("dopri5", "direct")
                quick = tolerance == 1e-3 and plain and (not backward or solver == "dopri5")
                yield Cell(BLOCK, adaptive(solver, tolerance, *mode, "torchdiffeq"), quick=quick)
                if not SOLVER_FACTS[solver].torchdiffeq_only:
                    yield Cell(BLOCK, adaptive(solver, tolerance, *mode, "diffrax"), quick=False)
            for tolerance in TOLERANCES:
                tight = solver == "dopri5" and mode[0] not in SLOW_MODES
                # dopri8's backward solve at 1e-3 is off by 1.8e-9 (2026-11-27): its error estimate
                # is rounding, and with it where the last step ends, in which a quartic is read.
                quick = tolerance == 1e-6 and tight and mode[1] == "full"
                yield Cell(SMOOTH, adaptive(solver, tolerance, *mode, "torchdiffeq"), quick=quick)
    for blocks in (1, 2):
        for mode in MODES:
            solve = adaptive("dopri5", 1e-3, *mode, "torchdiffeq")
            quick = blocks == 1 and mode[0] not in SLOW_MODES and mode[1] == "full"
            yield Cell(_model("odenet", blocks, 1, 10, "grey"), solve, quick=quick)
    for mode in MODES:
        for subject in (BLOCK, SMOOTH):
            quick = subject is BLOCK and mode[1] == "full" and mode[0] not in SLOW_MODES
            yield Cell(subject, adaptive("dopri5", 1e-3, *mode, "torchdiffeq"), "float32", quick)
