"""The primer's files."""

from __future__ import annotations

from pathlib import Path

from experiments.dynamics import growth, relaxation, residual, verhulst
from experiments.dynamics.origin import in_words, origin
from jaxode.runs import Progress
from jaxode.runs.files import write_json, write_whole

TOPICS = (growth, relaxation, verhulst, residual)


def write(out: Path, progress: Progress, words: str) -> str:
    """Write a picture for each topic, primer.json and primer.md; returns the run's last line.

    Raises OSError.
    """
    topics = []
    for module in TOPICS:
        topics.append(module.topic())
        progress.say(topics[-1].title)
    found = origin(words)
    parts = ["# Primer", in_words(found), ABOUT]
    for topic in topics:
        write_whole(out / f"{topic.name}.png", topic.picture)
        parts += [f"## {topic.title}", f"![{topic.title}]({topic.name}.png)", topic.text]
    write_json(out / "primer.json", {**{topic.name: topic.numbers for topic in topics}, **found})
    write_whole(out / "primer.md", "\n\n".join(parts) + "\n")
    return f"{len(topics)} topics; results in {out}"


ABOUT = """\
What an ODE block does, from Euler's method on: every number below comes from `jaxode.ode.odeint`
or `trajectory`, which is what the classifiers train with. `primer.json` holds them all."""
