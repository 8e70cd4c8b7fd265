"""The comparison on disk: JSON for programs, Markdown for readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxode.plots.tables import markdown_table
from jaxode.runs.files import write_json, write_whole
from jaxode.runs.provenance import short_commit, versions_text

RESULTS, TABLES = "vision.json", "vision.md"

TITLES = {"detection": "Backbones of a detector", "depth": "Encoders of depth"}

SCORES = {
    "detection": {"ap50": "AP50", "precision": "precision", "recall": "recall", "f1": "F1"},
    "depth": {"rel": "rel", "rms": "rms, m", "delta1": "δ1"},
}
"""By system: scores of the table, and their headings."""

READING = """\
All models of a system have the same head (detection) or decoder (depth) and see the same pictures.
Multiply-adds of a picture are half of the operations that XLA counts in the compiled program; the
fields of ODE blocks are counted apart, by one evaluation, and stand here times the evaluations of
the pictures that were timed. Milliseconds are of inference, the whole detector or model, a picture
of a batch: medians of calls in turn, with the quickest and the slowest; compilation is apart.
Memory is what the compiled program plans for arguments (parameters and pictures), results and
temporaries at one time. Scores are those of the system's records, of the last epoch."""


def write(found: Mapping[str, Any], out: Path) -> list[Path]:
    """Write vision.json and vision.md.

    Args:
      found: provenance, `systems` and `rounds`.
      out: a folder, which is made if it does not exist.

    Raises:
      OSError: a file could not be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / RESULTS, dict(found))
    write_whole(out / TABLES, document(found).encode())
    return [out / RESULTS, out / TABLES]


def document(found: Mapping[str, Any]) -> str:
    """The tables of all systems, and how to read them."""
    origin = found["origin"]
    made = (
        f"`{origin['command']}`, {origin['date']}, {origin['device']}, {origin['cores']} cores,"
        f" {versions_text(origin['versions'])}, commit {short_commit(origin['commit'])};"
        f" {found['rounds']} rounds."
    )
    parts = ["# ODENets that see, beside what they replace", made, READING]
    for system, each in found["systems"].items():
        parts += [f"## {TITLES[system]}", f"Pictures: {each['pictures']}.", table(system, each)]
        parts += [tolerances(label, system, lines) for label, lines in each["tolerances"].items()]
    return "\n\n".join(parts) + "\n"


def table(system: str, found: Mapping[str, Any]) -> str:
    """A line for each model of a system."""
    batches = found["batches"]
    head = ["model", "parameters", "evaluations", "multiply-adds, G"]
    head += [f"ms a picture, batch {batch}" for batch in batches]
    head += [f"MB, batch {batch}" for batch in batches]
    head += SCORES[system].values()
    lines = []
    for row in found["rows"]:
        of = row["batches"]
        first = of[str(batches[0])]
        cells = [row["model"], f"{row['parameters']:,}", _evaluations(first["evaluations"])]
        cells.append(f"{row['multiply_adds']['total'] / 1e9:.2f}")
        cells += [_times(of[str(batch)]["milliseconds"]) for batch in batches]
        cells += [f"{of[str(batch)]['megabytes']:.0f}" for batch in batches]
        lines.append([*cells, *_scores(system, row["scores"])])
    return markdown_table(head, lines)


def _evaluations(counts: Sequence[int]) -> str:
    return " + ".join(map(str, counts)) or "–"


def _times(each: Mapping[str, float]) -> str:
    return f"{each['median']:.1f} ({each['low']:.1f} to {each['high']:.1f})"


def _scores(system: str, scores: Mapping[str, str] | None) -> list[str]:
    names = SCORES[system]
    if scores is None:
        return ["not trained", *["–"] * (len(names) - 1)]
    return [scores[name] for name in names]


def tolerances(label: str, system: str, lines: Sequence[Mapping[str, Any]]) -> str:
    """What a trained model's solves cost at each tolerance, and what they are worth."""
    names = SCORES[system]
    rows = [
        [
            f"{line['tolerance']:g}",
            f"{line['evaluations']:.1f}",
            *(f"{line['scores'][name]:.4f}" for name in names),
        ]
        for line in lines
    ]
    head = ["rtol = atol", "evaluations a solve, all blocks", *names.values()]
    about = "all test pictures, adaptive steps; of detection by scores in 50 steps"
    return f"{label}, by tolerance ({about}):\n\n{markdown_table(head, rows)}"
