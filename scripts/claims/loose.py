"""Train at one tolerance, evaluate at others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from jaxode.plots.style import COLOURS, label_axes, to_png
from scripts.claims.drawing import power, row_of_panels, tolerance_axis
from scripts.claims.forward import TOLERANCES, Forward, judged, successful
from scripts.claims.subject import Request

TITLE = "Train tight, evaluate loose"
CLAIM = "A network trained at a tight tolerance can be evaluated at a loose one, which costs less."
NEEDS_RUN = True

SAME = 0.005
"""What two accuracies may differ by and still be called the same, as a share: 5 of 1,000 images."""

ROUNDING = 1e-9
"""Of a difference of shares: 0.991 - 0.986 is more than 0.005."""


def measure(request: Request, *, tolerances: Sequence[float] = TOLERANCES) -> dict[str, Any]:
    """Rows by run and tolerance, each run in its own precision.

    Raises RuntimeError if all solves of a run fail.
    """
    runs = []
    for subject in request.subjects():
        forward = Forward(subject, subject.config.dtype)
        rows = [
            judged(forward.solve(subject.at(value)), subject.data.test_labels, value)
            for value in tolerances
        ]
        runs.append({**subject.facts(), "rows": successful(rows, subject)})
    return {"runs": runs}


def picture(found: dict[str, Any]) -> bytes:
    """Accuracy, loss and NFE by evaluation tolerance; a ring marks that of training."""
    figure, panels = row_of_panels(3)
    tolerances = sorted(
        {row["tolerance"] for run in found["runs"] for row in run["rows"]}, reverse=True
    )
    for run, colour in zip(found["runs"], COLOURS * len(found["runs"]), strict=False):
        good = [row for row in run["rows"] if row["failure"] is None]
        label = f"{run['dataset']}, trained at {power(run['trained_at'])}"
        for axes, (name, scale) in zip(
            panels, (("accuracy", 100), ("loss", 1), ("nfe", 1)), strict=True
        ):
            pairs = [(row["tolerance"], scale * row[name]) for row in good]
            axes.plot(*zip(*pairs, strict=True), "o-", color=colour, markersize=4, label=label)
            own = [pair for pair in pairs if pair[0] == run["trained_at"]]
            axes.plot(
                *(zip(*own, strict=True) if own else ([], [])),
                "o",
                markersize=10,
                markerfacecolor="none",
                color=colour,
            )
    images = found["runs"][0]["images"]
    titles = (
        (f"Accuracy on {images} test images", "%"),
        ("Mean cross-entropy", "nats"),
        ("A forward solve", "evaluations"),
    )
    for axes, (title, unit) in zip(panels, titles, strict=True):
        label_axes(
            axes,
            title,
            "tolerance of evaluation (ring: of training)",
            unit,
            legend=axes is panels[2],
        )
        tolerance_axis(axes, tolerances)
    panels[2].set_ylim(bottom=0)
    return to_png(figure, dpi=100)


def paragraph(found: dict[str, Any]) -> str:
    """What the rows say, run by run."""
    return " ".join(_of_run(run) for run in found["runs"])


def _of_run(run: dict[str, Any]) -> str:
    good = [row for row in run["rows"] if row["failure"] is None]
    # The nearest one evaluated, for a run may have been trained at a tolerance between them.
    own = min(good, key=lambda row: abs(math.log(row["tolerance"] / run["trained_at"])))
    known = [row for row in good if own["accuracy"] - row["accuracy"] <= SAME + ROUNDING]
    loosest = max(known, key=lambda row: row["tolerance"])
    text = (
        f"`{run['run']}` ({run['checkpoint']}, trained at {power(run['trained_at'])}) gets"
        f" {_figures(own)} at {power(own['tolerance'])}, on {run['images']} test images"
    )
    extremes = [row for row in (good[0], good[-1]) if row is not own]
    text += "".join(f"; {_figures(row)} at {power(row['tolerance'])}" for row in extremes) + ". "
    if loosest["tolerance"] > own["tolerance"]:
        saved = 100 * (1 - loosest["nfe"] / own["nfe"])
        text += (
            f"The loosest tolerance within {100 * SAME:g} points of its own accuracy is"
            f" {power(loosest['tolerance'])}, with {saved:.0f} % fewer evaluations."
        )
    else:
        text += f"No looser tolerance is within {100 * SAME:g} points of its own accuracy."
    failed = [power(row["tolerance"]) for row in run["rows"] if row["failure"] is not None]
    return text + (f" The solve failed at {', '.join(failed)}." if failed else "")


def _figures(row: dict[str, Any]) -> str:
    return (
        f"{100 * row['accuracy']:.1f} % right, a loss of {row['loss']:.4f} and {row['nfe']:.0f}"
        " evaluations"
    )
