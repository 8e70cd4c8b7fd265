"""Attack the program: hostile inputs, kills, signals and full disks, for so many minutes.

    python -m scripts.fuzzing --minutes 5
    python -m scripts.fuzzing --minutes 45 --seed 7 --out docs/attack

A round is about 1,500 inputs to command line, run files, data files and weights, each judged, then
72 small runs that are killed, signalled or denied space at random moments and resumed, whose last
state must have the bits of an undisturbed run; it takes about a quarter of an hour on 2 cores.
Rounds follow one another until the time is up and --kills kills have met a running process. Prints
a table; with --out also writes attack.md and attack.json. Exit code 1 if any answer was not right.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from jaxode.checks import SEEDS, Range
from jaxode.cli import process
from jaxode.cli.converters import Number, to_path
from jaxode.cli.parser import Parser, parse_flags
from jaxode.cli.signals import STOPPED, Interrupted
from jaxode.runs.files import make_writable, write_json, write_whole
from jaxode.runs.provenance import cores, origin
from scripts.fuzzing import processes, report
from scripts.fuzzing.inputs import SURFACES, attack
from scripts.fuzzing.processes import RUNS, Undisturbed
from scripts.fuzzing.verdict import Finding

MINUTES, KILLS, JOBS = Range(0.01, 10_000), Range(0, 100_000), Range(1, 256)

KILLED, SIGNALLED, FULL = "killed runs", "signalled runs", "runs on a full disk"
IN_A_ROUND = {KILLED: 64, SIGNALLED: 4, FULL: 4}
"""How many runs of each kind make a round."""


@dataclass
class Attack:
    """An attack in progress.

    Attributes:
        seed: of everything that is drawn.
        work: an empty folder.
        jobs: processes at a time.
        found: findings by attack.
        kills: how many met a running process.
    """

    seed: int
    work: Path
    jobs: int
    found: dict[str, list[Finding]] = field(default_factory=dict)
    kills: int = 0

    def add(self, name: str, findings: Sequence[Finding]) -> None:
        """Take findings in, and name those that are not right at once."""
        self.found.setdefault(name, []).extend(findings)
        for line in report.faults({name: findings}):
            print(line, file=sys.stderr, flush=True)

    def inputs(self, number: int) -> None:
        """The inputs of one round."""
        for surface in SURFACES:
            with tempfile.TemporaryDirectory(dir=self.work) as folder:
                self.add(surface, attack(surface, self.seed + number, Path(folder)))

    def runs(self, number: int, known: Undisturbed) -> None:
        """The runs of one round, so many at a time."""
        kinds: dict[str, Callable[[Random, Undisturbed, Path], Finding]] = {
            KILLED: self.killed,
            SIGNALLED: processes.polite,
            FULL: processes.small_disk,
        }

        def one(kind: str, index: int) -> tuple[str, Finding]:
            with tempfile.TemporaryDirectory(dir=self.work) as folder:
                rng = Random(f"{self.seed + number} {kind} {index}")
                return kind, kinds[kind](rng, known, Path(folder) / "run")

        pool = ThreadPoolExecutor(self.jobs)
        waiting = [
            pool.submit(one, kind, k) for kind, count in IN_A_ROUND.items() for k in range(count)
        ]
        try:
            for done, future in enumerate(waiting, 1):
                kind, finding = future.result()
                self.add(kind, [finding])
                print(f"{done} of {len(waiting)} runs of this round", file=sys.stderr, flush=True)
        finally:
            pool.shutdown(
                cancel_futures=True
            )  # after an interruption, only those that have begun are waited for

    def killed(self, rng: Random, known: Undisturbed, out: Path) -> Finding:
        """A killed run; its kills are counted."""
        finding, met = processes.kill(rng, known, out)
        self.kills += met
        return finding

    def go_on(self, minutes: float, kills: int) -> None:
        """Fuzz until the time is up and enough kills have met a running process.

        It takes one round at least.
        """
        end, number = time.monotonic() + 60 * minutes, 0
        known = Undisturbed(self.work)
        for name in RUNS:
            known.of(name)
        while number == 0 or time.monotonic() < end or self.kills < kills:
            self.inputs(number)
            self.runs(number, known)
            number += 1
            print(f"round {number}: {self.kills} kills so far", file=sys.stderr, flush=True)


def build_parser() -> Parser:
    """The command line."""
    parser = Parser.from_doc("python -m scripts.fuzzing", __doc__)
    add = parser.add_argument
    add(
        "--minutes",
        type=Number(float, MINUTES),
        default=5.0,
        metavar="X",
        help="how long (default: 5)",
    )
    add(
        "--kills",
        type=Number(int, KILLS),
        default=0,
        metavar="N",
        help="go on until N kills have met a run",
    )
    add(
        "--seed",
        type=Number(int, SEEDS),
        default=0,
        metavar="N",
        help="of all that is drawn (default: 0)",
    )
    add("--jobs", type=Number(int, JOBS), default=cores(), metavar="N", help="processes at a time")
    add("--out", type=to_path, metavar="DIR", help="write attack.md and attack.json there")
    return parser


@process.command("scripts.fuzzing")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    try:
        options = parse_flags(parser, words)
        out = options["out"]
        if out is not None:
            make_writable(out)
    except SystemExit as stop:
        return int(stop.code or 0)
    except OSError as error:
        return process.report(parser.prog, error, 2)
    code = 0
    with tempfile.TemporaryDirectory(prefix="jaxode-attack-") as work:
        attacked = Attack(options["seed"], Path(work), options["jobs"])
        try:
            attacked.go_on(options["minutes"], options["kills"])
        except Interrupted as stop:
            print(f"{parser.prog}: {stop}: what has been found so far", file=sys.stderr)
            code = STOPPED + stop.signum
    found = attacked.found
    print(report.table(found))
    print(f"{attacked.kills} kills met a running process")
    if out is not None:
        facts = origin(shlex.join(["python", "-m", "scripts.fuzzing", *words]))
        write_json(out / "attack.json", report.as_json(found, facts, attacked.kills, code != 0))
        write_whole(out / "attack.md", report.markdown(found, facts, attacked.kills, code != 0))
    return code or (1 if report.faults(found) else 0)


if __name__ == "__main__":
    raise SystemExit(main())
