"""What the crossing showed, as files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.dynamics.crossing_cases import Outcome, Study
from experiments.dynamics.crossing_config import CrossingConfig
from experiments.dynamics.crossing_flow import BOUND, STARTS, TARGETS
from experiments.dynamics.crossing_picture import draw
from experiments.dynamics.origin import in_words, origin
from experiments.dynamics.text import loss_text, number
from jaxode.plots.tables import markdown_table
from jaxode.runs.files import write_json, write_whole


def write(study: Study, config: CrossingConfig, out: Path, words: str) -> str:
    """Write crossing.png, crossing.json and crossing.md; returns the last line of the run.

    Raises OSError.
    """
    found = origin(words)
    write_whole(out / "crossing.png", draw(study))
    write_json(
        out / "crossing.json",
        {
            "problem": {
                "starts": STARTS,
                "targets": TARGETS,
                "least_loss_of_an_exact_flow_on_the_line": BOUND,
            },
            "settings": asdict(config),
            "cases": {each.name: each.facts for each in study.outcomes},
            "euler_field_with_more_steps": study.refined,
            **found,
        },
    )
    write_whole(out / "crossing.md", markdown(study, config, found))
    losses = "\n".join(
        f"{each.title}: loss {loss_text(each.facts['loss'])}" for each in study.outcomes
    )
    return f"{losses}\nresults in {out}"


def row(each: Outcome) -> list[str]:
    """Of the table of cases."""
    facts = each.facts
    low, high = facts["ends"]
    solve = f"{facts['solver']}, " + (
        f"h = {facts['step_size']:g}" if "step_size" in facts else f"{facts['rtol']:g}"
    )
    cells = [each.title, solve, "" if facts["first_loss"] is None else f"{facts['first_loss']:.2f}"]
    cells += [
        loss_text(facts["loss"]),
        number(low),
        number(high),
        "yes" if facts["order_kept"] else "no",
    ]
    cells += [f"{facts['smallest_distance']:.1e}", str(facts["nfe"])]
    return cells


def markdown(study: Study, config: CrossingConfig, found: dict[str, Any]) -> str:
    """The document."""
    head = (
        "",
        "solve",
        "loss before",
        "loss after",
        "−1 goes to",
        "1 goes to",
        "order kept",
        "closest",
        "evaluations",
    )
    solves = [(str(each["euler_steps"]), each) for each in study.refined] + [
        ("exact", study.outcomes[2].facts)
    ]
    refined = [
        [steps, loss_text(each["loss"]), *map(number, each["ends"])] for steps, each in solves
    ]
    return (
        "\n\n".join(
            [
                "# Crossing trajectories",
                in_words(found),
                ABOUT,
                "![Paths on the fields that were trained](crossing.png)",
                markdown_table(head, [row(each) for each in study.outcomes]),
                READING,
                (
                    f"Seed {config.seed}, {config.steps} steps of Adam from learning rate"
                    f" {config.lr:g} along a cosine, two hidden layers of {config.hidden}."
                ),
                f"The field trained with Euler's {config.euler_steps} steps, solved with more:",
                markdown_table(("Euler steps", "loss", "−1 goes to", "1 goes to"), refined),
            ]
        )
        + "\n"
    )


ABOUT = """\
A field f(t, z) is trained so that dz/dt = f(t, z) takes z(0) = −1 to z(1) = 1 and z(0) = 1 to
z(1) = −1, after Dupont, Doucet and Teh (2019), "Augmented Neural ODEs", section 3. On a line,
paths of an exact flow cannot cross, so z₁(1) < z₂(1), and then the mean squared error is more
than 1, its value with both points at 0. Euler's method with few large steps can jump over the
other path: what crosses is its discretisation error, and the exact flow of the very field it
trained keeps the order. With one dimension more, zero at the start, exact paths pass beside each
other."""

READING = """\
"Order kept" is whether the path from −1 stays below the one from 1, and "closest" the smallest
distance of the two, in all dimensions, at the states that are drawn; below the solver's tolerance,
neither has a meaning."""
