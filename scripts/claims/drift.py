"""Drift of the trajectory of a backward solve, and its effect on the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from jaxode.plots.style import BLUE, COLOURS, GREY, ORANGE, label_axes, to_png
from scripts.claims.backward import FIELDS, reconstruction
from scripts.claims.drawing import power, row_of_panels, tolerance_axis
from scripts.claims.gradients import EXACT, gradient, gradients
from scripts.claims.subject import DType, Request

TITLE = "The backward trajectory"
CLAIM = "Reconstructing the trajectory backward adds error, which checkpointing removes."
NEEDS_RUN = True

TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
TIMES = (0.0, 0.2, 0.4, 0.6, 0.8)
TYPES: tuple[DType, ...] = ("float64", "float32")
CHECKED = 1e-3
"""Tolerance at which all exact modes are compared."""

FINEST = 1e-8
"""Tolerance of the float64 gradient that all others are also compared with."""


def measure(
    request: Request,
    *,
    tolerances: Sequence[float] = TOLERANCES,
    times: Sequence[float] = TIMES,
    types: Sequence[DType] = TYPES,
    checked: float = CHECKED,
) -> dict[str, Any]:
    """Drift by field, tolerance and type, and the error of the trained field's gradient.

    Raises RuntimeError if the finest gradient cannot be had.
    """
    subject = request.first()
    finest = gradient(subject, FINEST, "tape", "float64")
    if finest.failure:
        raise RuntimeError(
            f"the float64 gradient of {subject.name} at {power(FINEST)} failed: {finest.failure}"
        )
    rows, errors = [], []
    for dtype in types:
        for tolerance in tolerances:
            rows += reconstruction(subject, tolerance, dtype, times)
            exact = EXACT if tolerance == checked else ()
            errors.append(gradients(subject, tolerance, dtype, finest, exact))
            jax.clear_caches()
    return {**subject.facts(), "finest": FINEST, "drift": rows, "gradient": errors}


STYLES: dict[str, Any] = {
    "float64": {"linestyle": "-", "marker": "o"},
    "float32": {"linestyle": "--", "marker": "s", "markerfacecolor": "white"},
}


def picture(found: dict[str, Any]) -> bytes:
    """Drift by tolerance and along the trajectory, and errors of gradients."""
    figure, (ends, along, slopes) = row_of_panels(3, width=4.9, height=4.3)
    tolerances = list(dict.fromkeys(row["tolerance"] for row in found["drift"]))
    good = [row for row in found["drift"] if row["failure"] is None]
    for name, colour in (("trained", BLUE), ("initial", GREY)):
        for dtype, style in STYLES.items():
            rows = [row for row in good if (row["field"], row["dtype"]) == (name, dtype)]
            x = [row["tolerance"] for row in rows]
            ends.plot(
                x,
                [row["median"][0] for row in rows],
                color=colour,
                markersize=4,
                label=f"{name}, {dtype}",
                **style,
            )
            if dtype == "float64":
                low, high = ([row[part][0] for row in rows] for part in ("median", "worst"))
                ends.fill_between(x, low, high, color=colour, alpha=0.13, linewidth=0)
    ends.plot(tolerances, tolerances, ":", color="0.6", label="the tolerance")
    label_axes(ends, "z(0) solved backward from z(1)\n(shaded: up to the worst image)", "tolerance",
          "drift ‖ẑ(0) − z(0)‖ / ‖z(0)‖, median", yscale="log")  # fmt: skip
    for tolerance, colour in zip(tolerances, COLOURS * len(tolerances), strict=False):
        for dtype, style in STYLES.items():
            for row in good:
                if (row["field"], row["dtype"], row["tolerance"]) == ("trained", dtype, tolerance):
                    label = power(tolerance) if dtype == "float64" else None
                    along.plot(
                        row["times"],
                        row["median"],
                        color=colour,
                        markersize=4,
                        label=label,
                        **style,
                    )
    label_axes(along, "Along the trajectory, trained field\n(solid: float64, dashed: float32)", "t",
          "drift, median", yscale="log")  # fmt: skip
    along.set_xlim(1.0, -0.03)
    for mode, colour in (("backsolve", ORANGE), ("replay", BLUE), ("checkpointed", COLOURS[3])):
        for dtype, style in STYLES.items():
            rows = [
                row
                for row in found["gradient"]
                if row["dtype"] == dtype and row["against_tape"].get(mode)
            ]
            pairs = [
                [row["tolerance"] for row in rows],
                [row["against_tape"][mode] for row in rows],
            ]
            slopes.plot(*pairs, color=colour, markersize=4, label=f"{mode}, {dtype}", **style)
    label_axes(
        slopes,
        "Gradient of all parameters, trained network:\ndifference from tape's",
        "tolerance",
        "relative difference",
        yscale="log",
    )
    for axes in (ends, slopes):
        tolerance_axis(axes, tolerances)
    return to_png(figure, dpi=100)


def paragraph(found: dict[str, Any]) -> str:
    """What the rows say."""
    sentences = [
        f"The field of `{found['run']}` ({found['checkpoint']}, trained at"
        f" {power(found['trained_at'])}), on {found['batch']} test images. Drift is ‖ẑ − z‖ / ‖z‖"
        " of each image between the state of the backward solve from z(1) and that of the forward"
        " solve, both at the tolerance."
    ]
    for name in FIELDS:
        rows = [row for row in found["drift"] if row["field"] == name and row["failure"] is None]
        for dtype in dict.fromkeys(row["dtype"] for row in rows):
            own = [row for row in rows if row["dtype"] == dtype]
            texts = [
                f"{row['median'][0]:.1e} (worst {row['worst'][0]:.1e}) at {power(row['tolerance'])}"
                for row in (own[0], own[-1])
            ]
            sentences.append(
                f"At t = 0, the {name} field in {dtype} has drifted by a median of"
                f" {', and '.join(texts)}."
            )
    for row in found["drift"]:
        if row["failure"] is not None:
            sentences.append(
                f"{row['field']}, {row['dtype']}, {power(row['tolerance'])}: {row['failure']}."
            )
    for dtype in dict.fromkeys(row["dtype"] for row in found["gradient"]):
        own = [row for row in found["gradient"] if row["dtype"] == dtype]
        differences = [
            f"{mode}'s by {_at_ends(mode, known)}"
            for mode in dict.fromkeys(mode for row in own for mode in row["against_tape"])
            if (known := [row for row in own if row["against_tape"].get(mode) is not None])
        ]
        sentences += (
            [f"In {dtype}, these gradients differ from tape's: {'; '.join(differences)}."]
            if differences
            else []
        )
        for row in own:
            for mode, reason in row["failures"].items():
                sentences.append(
                    f"In {dtype} at {power(row['tolerance'])}, there is no gradient of {mode}:"
                    f" {reason}."
                )
    first = found["gradient"][0]
    known = {mode: value for mode, value in first["against_finest"].items() if value is not None}
    away = " and ".join(f"{mode}'s is {value:.1e}" for mode, value in known.items())
    if away:
        sentences.append(
            f"From the gradient at {power(found['finest'])}, {away} away at"
            f" {power(first['tolerance'])} in {first['dtype']}: a loose forward solve has an error"
            " of its own."
        )
    sentences.append(
        "`tape`, `replay` and `checkpointed` go back over the forward solve's own steps and rebuild"
        " no state, so all that is between them is rounding; in float32 it switches ReLUs of values"
        " near zero."
    )
    return " ".join(sentences)


def _at_ends(mode: str, rows: Sequence[dict[str, Any]]) -> str:
    """Differences from tape at the first and the last tolerance."""
    ends = [rows[0], *rows[1:][-1:]]
    return " and ".join(
        f"{row['against_tape'][mode]:.1e} at {power(row['tolerance'])}" for row in ends
    )
