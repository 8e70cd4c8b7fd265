"""The measured collectives and the prediction as a document and a picture."""

from __future__ import annotations

from typing import Any

from jaxode.plots.style import COLOURS, LIGHT_GREY, label_axes, new_panels, to_png
from jaxode.plots.tables import markdown_table
from jaxode.runs.provenance import versions_text
from scripts.scaling.prediction import (
    COUNTS,
    DOUBTS,
    STRONG,
    WEAK,
    collective,
    speedup,
    step,
    traffic,
)

SMALL = 1000
"""Fewer numbers than this are norms, flags and counts; more are a gradient."""

FAR = (1, 8, 64, 512)
MODES = ("jit", "pmap")
ONCE = "jit if it summed the field's gradient once"
PREDICTED = "tape"

READING = """\
Of one device, in one training step. *Inside the solve*: within a loop over solver steps or over
the evaluations of the backward sweep. A gradient is every collective of 1,000 numbers or more;
what is smaller is norms, flags and counts. How often each runs was counted by JAX's profiler in
the first step of training, and cannot be read off the program. Bytes are those of the result of
one collective, in the first table their mean."""

GUESSED = (
    "Predicted, not measured: the formula and the assumed numbers are in"
    " `scripts/scaling/prediction.py`."
)


def amount(rows: list[dict[str, Any]], *, inside: bool | None, large: bool) -> tuple[int, int]:
    """How many collectives run in a step, and their bytes."""
    chosen = [
        row
        for row in rows
        if (row["numbers"] >= SMALL) is large
        and (inside is None or (row["where"] != "step") is inside)
    ]
    return sum(row["times"] for row in chosen), sum(row["times"] * row["bytes"] for row in chosen)


def count_and_bytes(count: int, octets: int) -> str:
    """A cell: how many collectives, and the mean bytes of one."""
    return f"{count} × {octets // count:,} B" if count else "0"


def summary(case: dict[str, Any]) -> list[str]:
    """The cells of a measured case."""
    rows, solves = case["rows"], case["solves"]
    counts = [
        f"{case[name][0] / solves:g}" if case[name] else ""
        for name in ("nfe", "accepted", "rejected")
    ]
    solve = f"{counts[0]} in {counts[1]} + {counts[2]}" if counts[0] else ""
    _, total = (
        sum(pair)
        for pair in zip(
            *(amount(rows, inside=None, large=large) for large in (True, False)), strict=True
        )
    )
    return [
        solve,
        count_and_bytes(*amount(rows, inside=True, large=True)),
        count_and_bytes(*amount(rows, inside=False, large=True)),
        count_and_bytes(*amount(rows, inside=True, large=False)),
        count_and_bytes(*amount(rows, inside=False, large=False)),
        str(sum(row["times"] for row in rows)),
        f"{total / 1e6:.2f}",
    ]


def nest(trips: list[int | None]) -> str:
    """The loops inside that over training steps."""
    return " ▸ ".join("?" if count is None else str(count) for count in trips[1:])


def predicted(found: dict[str, Any]) -> dict[str, list[tuple[int, int]]]:
    """Traffic of the predicted case under jit and pmap, and what jit's could be."""
    cases = {case["parallel"]: case["rows"] for case in found["cases"] if case["case"] == PREDICTED}
    inside = [row["where"] != "step" and row["numbers"] >= SMALL for row in cases["jit"]]
    once = [
        {**row, "times": 1} if large else row
        for row, large in zip(cases["jit"], inside, strict=True)
    ]
    return {mode: traffic(cases[mode]) for mode in MODES} | {ONCE: traffic(once)}


def markdown(found: dict[str, Any]) -> str:
    """All tables."""
    versions = versions_text(found["versions"])
    lines = ["# Communication of a training step", "", f"`{found['command']}`", ""]
    lines += [
        f"{found['devices']} virtual devices on {found['device']}; batch of {found['batch_size']};"
        f" {versions};"
    ]
    lines += [f"{found['date']}.", ""]
    head = [
        "",
        "evaluations in steps + rejected",
        "gradient inside the solve",
        "gradient once",
        "small inside the solve",
    ]
    head += ["norms and flags once", "collectives", "MB"]
    kept = [case for case in found["cases"] if "refused" not in case]
    cases = [[f"{case['parallel']}, {case['case']}", *summary(case)] for case in kept]
    lines.append(markdown_table(head, cases))
    lines += [
        f"\n{case['parallel']}, {case['case']}: {case['refused']}."
        for case in found["cases"]
        if "refused" in case
    ]
    lines += ["", READING, "", "## Every collective", ""]
    lines += [
        (
            "*Loops*: trips of the loops and branches inside the training loop; ? is known only"
            " when the program runs."
        ),
        "",
    ]
    each = []
    for case in kept:
        for row in sorted(case["rows"], key=lambda row: -row["times"] * row["bytes"]):
            cells = [
                f"{case['parallel']}, {case['case']}",
                row["kind"],
                row["where"],
                nest(row["nest"]),
            ]
            each.append([*cells, f"{row['numbers']:,}", f"{row['bytes']:,}", str(row["times"])])
    columns = ("", "kind", "where", "loops", "numbers", "bytes", "times a step")
    lines.append(markdown_table(columns, each))
    return "\n".join([*lines, "", "## Prediction", "", GUESSED, "", *forecast(found), ""])


def forecast(found: dict[str, Any]) -> list[str]:
    """The tables of the prediction."""
    both = predicted(found)
    lines = []
    for name, strong in (
        (f"strong: {STRONG} images in all", True),
        (f"weak: {WEAK} images each", False),
    ):
        for mode, flow in both.items():
            for count in FAR:
                images = STRONG / count if strong else WEAK
                talk = sum(
                    times * collective(size, count, DOUBTS["as assumed"]) for size, times in flow
                )
                gain = speedup(flow, count, strong=strong)
                cells = [f"{1e3 * seconds:.2f}" for seconds in (step(flow, images, count), talk)]
                lines.append(
                    [
                        name,
                        mode,
                        str(count),
                        f"{images:g}",
                        *cells,
                        f"{gain:.1f}",
                        f"{100 * gain / count:.0f} %",
                    ]
                )
    head = [
        "",
        "",
        "devices",
        "images each",
        "step ms",
        "of it collectives",
        "speed-up",
        "efficiency",
    ]
    doubts = [
        [
            name,
            *(
                f"{100 * speedup(both[mode], n, strong=False, given=given) / n:.0f} %"
                for mode in MODES
                for n in (64, 512)
            ),
        ]
        for name, given in DOUBTS.items()
    ]
    titles = ["weak scaling's efficiency", *(f"{mode}, {n}" for mode in MODES for n in (64, 512))]
    return [markdown_table(head, lines), "", markdown_table(titles, doubts)]


def picture(found: dict[str, Any]) -> bytes:
    """The predicted speed-up over one device, as a PNG."""
    figure, (panels,) = new_panels(1, 2, 10, 4.2)
    kinds = (
        (f"Strong scaling: {STRONG} images a step", True),
        (
            f"Weak scaling: {WEAK} images a device",
            False,
        ),
    )
    for axes, (title, strong) in zip(panels, kinds, strict=True):
        axes.plot(COUNTS, COUNTS, color=LIGHT_GREY, linestyle=":", label="as many times as devices")
        for colour, (mode, flow) in zip(COLOURS, predicted(found).items(), strict=False):
            gains = [speedup(flow, n, strong=strong) for n in COUNTS]
            axes.plot(COUNTS, gains, marker="o", color=colour, label=mode)
        y = "speed-up over one device (predicted)"
        label_axes(axes, title, "devices", y, xscale="log", yscale="log")
        axes.set_xticks(COUNTS, [str(n) for n in COUNTS])
        axes.minorticks_off()
    return to_png(figure)
