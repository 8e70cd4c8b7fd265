"""Error, time and accuracy of the forward solve of a trained ODENet by tolerance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxode.plots.style import BLUE, GREEN, ORANGE, label_axes, to_png
from scripts.bench.timing import in_turn, spread
from scripts.claims.drawing import power, row_of_panels, tolerance_axis
from scripts.claims.forward import TOLERANCES, Forward, judged, relative, successful
from scripts.claims.subject import Request

TITLE = "Accuracy against cost"
CLAIM = "The tolerance sets how accurate a solve is and what it costs."
NEEDS_RUN = True

REFERENCE = 1e-8
"""Tolerance of the float64 solve that errors are measured against."""

ROUNDS = 9


def measure(
    request: Request,
    *,
    tolerances: Sequence[float] = TOLERANCES,
    reference: float = REFERENCE,
    rounds: int = ROUNDS,
) -> dict[str, Any]:
    """A row a tolerance, in the run's own precision.

    Raises RuntimeError if the reference or all solves fail.
    """
    subject = request.first()
    exact = Forward(subject, "float64").solve(subject.at(reference))
    if exact.failure is not None:
        raise RuntimeError(
            f"the float64 solve of {subject.name} at {power(reference)} failed: {exact.failure}"
        )
    forward = Forward(subject, subject.config.dtype)
    labels, rows, calls = subject.data.test_labels, [], {}
    for tolerance in tolerances:
        solved = forward.solve(subject.at(tolerance))
        found = judged(solved, labels, tolerance) | {
            "state_error": None,
            "logits_error": None,
            "ms": None,
        }
        if solved.failure is None:
            calls[tolerance] = solved.again
            found["state_error"] = relative([solved.states], [exact.states])
            found["logits_error"] = relative([solved.logits], [exact.logits])
        rows.append(found)
    successful(rows, subject)
    seconds, _ = in_turn({power(tolerance): call for tolerance, call in calls.items()}, rounds)
    for found in rows:
        times = seconds.get(power(found["tolerance"]))
        if times:
            found["ms"] = {name: 1e3 * value for name, value in spread(times)._asdict().items()}
    best = judged(exact, labels, reference)
    return {**subject.facts(), "rounds": rounds, "reference": best, "rows": rows}


def picture(found: dict[str, Any]) -> bytes:
    """Error, time and accuracy by tolerance."""
    figure, (error, time, accuracy) = row_of_panels(3)
    good = [row for row in found["rows"] if row["failure"] is None]
    tolerances = [row["tolerance"] for row in good]
    for name, label, colour in (
        ("state_error", "final state", BLUE),
        ("logits_error", "logits", ORANGE),
    ):
        error.plot(
            tolerances, [row[name] for row in good], "o-", color=colour, label=label, markersize=4
        )
    error.plot(tolerances, tolerances, ":", color="0.6", label="the tolerance")
    label_axes(
        error, "Error against a tight float64 solve", "tolerance", "relative error", yscale="log"
    )
    middle = [row["ms"]["median"] for row in good]
    ends = [
        [m - row["ms"]["low"], row["ms"]["high"] - m] for m, row in zip(middle, good, strict=True)
    ]
    time.errorbar(
        tolerances,
        middle,
        list(zip(*ends, strict=True)),
        fmt="o-",
        color=GREEN,
        markersize=4,
        capsize=2,
    )
    for row, ms in zip(good, middle, strict=True):
        time.annotate(
            f"{row['nfe']:.0f}",
            (row["tolerance"], ms),
            xytext=(-2, 7),
            textcoords="offset points",
            fontsize=8,
            ha="right",
        )
    title = f"Time of a solve of {found['batch']} images\n(beside it: evaluations)"
    label_axes(time, title, "tolerance", "ms (median, ends)", legend=False)
    time.set_ylim(0, 1.12 * max(row["ms"]["high"] for row in good))
    values = [100 * row["accuracy"] for row in good]
    accuracy.plot(tolerances, values, "o-", color=BLUE, markersize=4, label="this tolerance")
    best = found["reference"]
    accuracy.axhline(
        100 * best["accuracy"],
        color="0.6",
        linestyle=":",
        label=f"float64 at {power(best['tolerance'])}",
    )
    accuracy.set_ylim(max(0, min(values) - 1), min(100.2, max(values) + 1))
    label_axes(accuracy, f"Accuracy on {found['images']} test images", "tolerance", "%")
    for axes in (error, time, accuracy):
        tolerance_axis(axes, tolerances)
    return to_png(figure, dpi=100)


def paragraph(found: dict[str, Any]) -> str:
    """What the rows say."""
    rows = [row for row in found["rows"] if row["failure"] is None]
    loose, tight = rows[0], rows[-1]
    best = found["reference"]
    sentences = [
        f"The ODENet of `{found['run']}` ({found['checkpoint']}), trained at"
        f" {power(found['trained_at'])}, solved for {found['images']} test images in batches of"
        f" {found['batch']}; errors against float64 at {power(best['tolerance'])}"
        f" ({best['nfe']:.0f} evaluations)."
    ]
    for row in (loose, tight):
        sentences.append(
            f"At {power(row['tolerance'])} a solve is {row['state_error']:.1e} away in the final"
            f" state and {row['logits_error']:.1e} in the logits, takes {row['nfe']:.0f}"
            f" evaluations and {row['ms']['median']:.0f} ms, and {100 * row['accuracy']:.1f} % are"
            " right."
        )
    ratio = tight["ms"]["median"] / loose["ms"]["median"]
    sentences.append(
        f"So {power(tight['tolerance'])} costs {tight['nfe'] / loose['nfe']:.1f} times the"
        f" evaluations and {ratio:.1f} times the time of {power(loose['tolerance'])} (medians of"
        f" {found['rounds']} rounds in turn)."
    )
    failed = [power(row["tolerance"]) for row in found["rows"] if row["failure"] is not None]
    if failed:
        sentences.append(f"The solve failed at {', '.join(failed)}.")
    return " ".join(sentences)
