"""What an attack found, as a table for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxode.plots.tables import markdown_table
from jaxode.runs.provenance import short_commit
from scripts.fuzzing.verdict import Answer, Finding, counted

COLUMNS = ("one clear line", "right acceptance", "anything else")


STOPPED = (
    "**The attack was stopped before its last round was done:** attacks that had not begun have no"
    " row."
)


def columns(findings: Sequence[Finding]) -> tuple[int, int, int]:
    """Clear lines, right acceptances, and everything else."""
    counts = counted(list(findings))
    clear, accepted = counts[Answer.CLEAR_LINE.value], counts[Answer.ACCEPTED.value]
    return clear, accepted, len(findings) - clear - accepted


def table(found: Mapping[str, Sequence[Finding]]) -> str:
    """A Markdown table with a row for each attack and one for all."""
    every = [finding for findings in found.values() for finding in findings]
    rows = [
        [name, *(f"{n:,}" for n in (len(findings), *columns(findings)))]
        for name, findings in (*found.items(), ("**all**", every))
    ]
    return markdown_table(("attack", "tries", *COLUMNS), rows)


def faults(found: Mapping[str, Sequence[Finding]]) -> list[str]:
    """A line for each answer that is not right."""
    return [
        f"{name}: {finding.answer.value}: {finding.name}: {finding.detail}"
        for name, findings in found.items()
        for finding in findings
        if not finding.answer.right
    ]


def as_json(
    found: Mapping[str, Sequence[Finding]], origin: Mapping[str, Any], kills: int, stopped: bool
) -> dict[str, Any]:
    """What attack.json holds. `stopped`: the attack was ended before its last round was done."""
    return {
        "origin": dict(origin),
        "attacks": {name: counted(list(findings)) for name, findings in found.items()},
        "kills": kills,
        "stopped": stopped,
        "faults": faults(found),
    }


def markdown(
    found: Mapping[str, Sequence[Finding]], origin: Mapping[str, Any], kills: int, stopped: bool
) -> str:
    """The document."""
    wrong = faults(found)
    lines = [
        "# Hostile inputs, kills, signals and full disks",
        "",
        (
            "Made by `scripts.fuzzing`; do not edit. Two answers are right: one clear line and an"
            " exit code other than 0, or an acceptance with the expected result. A killed,"
            " signalled or refused run is right when the next start ends with the bits of an"
            " undisturbed one and leaves nothing behind."
        ),
        "",
        (
            f"`{origin['command']}`, {origin['date']}, {origin['device']}, {origin['cores']} cores,"
            f" jax {origin['versions']['jax']}, commit {short_commit(origin['commit'], 12)}."
        ),
        "",
        table(found),
        "",
        f"{kills} kills met a running process.",
        *(["", STOPPED] if stopped else []),
        *(["", "## Anything else", "", *(f"- {line}" for line in wrong)] if wrong else []),
    ]
    return "\n".join(lines) + "\n"
