"""Hostile files in the directory of a run: each is damaged, then the run is resumed.

The run is complete, or resumed for one epoch more, which needs its checkpoints. Right is a resume
that ends with the bits of the undamaged run, or one line that refuses; then every checkpoint that
was not damaged is still there, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

from experiments import mnist
from scripts.fuzzing.damage import damage
from scripts.fuzzing.runs import (
    EPOCHS,
    Ending,
    complete_run,
    copied,
    difference,
    ending,
    fingerprints,
)
from scripts.fuzzing.verdict import Answer, Case, of_command

RANDOM = re.compile(r"[0-9a-f]{32}")
"""What Orbax draws for the names of a checkpoint's data files."""


def files(out: Path) -> list[list[str]]:
    """The files of a run in groups, of which each holds one file or the data files of one folder.

    Those that a resume reads first are there more than once, to be drawn more often. The groups are
    the same for every run of the same settings, whatever the names and the number of its data
    files, so that a seed stands for its cases.
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(fingerprints(out)):
        groups.setdefault(RANDOM.sub("*", name), []).append(name)
    small = [group for name, group in groups.items() if name.endswith((".json", ".jsonl", ".npz"))]
    return [*groups.values(), *4 * small]


def lost(before: dict[str, str], out: Path, damaged: str) -> str:
    """The first checkpoint that a refusal changed or removed although it was whole.

    "" if there is none.
    """
    after = fingerprints(out)
    folder = "/".join(damaged.split("/")[:2])
    for name, digest in before.items():
        kept = name.startswith("checkpoints/epoch-") and not name.startswith(folder)
        if kept and after.get(name) != digest:
            return f"{name} is changed or gone"
    return ""


def attempt(
    seed: str, base: Path, expected: Ending, name: str, work: Path, flags: list[str]
) -> Case:
    """Damage one file of a fresh copy of the run; returns the case of resuming it."""
    out = copied(base, work / "run")
    before = fingerprints(out)
    done = damage(Random(seed), out / name)

    def act() -> tuple[Answer, str]:
        argv = ["--resume", str(out), "--quiet", *flags]
        answer, detail = of_command(mnist.main, argv, lambda _: difference(out, expected))
        gone = lost(before, out, name) if answer is Answer.CLEAR_LINE else ""
        return (Answer.LOST, f"{gone}, and the line was: {detail}") if gone else (answer, detail)

    return Case(f"{Path(name).parent}/{done} [{seed}]", act)


def complete(rng: Random, count: int, work: Path) -> Iterator[Case]:
    """So many damaged runs that are complete.

    One after the other in the same folder: carry each out before taking the next from the iterator.
    """
    base = work / "whole"
    yield from damaged(rng, count, work, base, complete_run(base), [])


def going_on(rng: Random, count: int, work: Path) -> Iterator[Case]:
    """So many damaged runs that are to train one epoch more; see `complete`."""
    base, longer = work / "whole", work / "longer"
    complete_run(base)
    copied(base, longer)
    flags = ["--epochs", str(EPOCHS + 1)]
    if mnist.main(["--resume", str(longer), "--quiet", *flags]):
        raise RuntimeError("the undamaged run could not go on")
    yield from damaged(rng, count, work, base, ending(longer), flags)


def damaged(
    rng: Random, count: int, work: Path, base: Path, expected: Ending, flags: list[str]
) -> Iterator[Case]:
    """So many copies of a run, each with one damage, resumed with flags.

    The first damages the settings, without which no run goes on: how many checkpoints there are to
    be drawn depends on the best epoch, and so on the machine.
    """
    groups = files(base)
    for number in range(count):
        seed = f"{rng.getrandbits(48):x}"
        name = Random(seed).choice(rng.choice(groups) if number else ["config.json"])
        yield attempt(seed, base, expected, name, work, flags)
