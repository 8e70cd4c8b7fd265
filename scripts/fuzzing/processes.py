"""Processes of small runs that are killed, signalled or denied space, then resumed.

Right is a run that ends with the bits of the undisturbed one.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from scripts.fuzzing.runs import Ending, difference, ending
from scripts.fuzzing.verdict import Answer, Finding

COMMON = ("--data", "sample", "--quiet", "--schedule", "step")
RUNS = {
    "mlp": "--model mlp --limit-train 2000 --limit-test 100 --batch-size 20 --epochs 8",
    "odenet": (
        "--model odenet --width 2 --limit-train 120 --limit-test 40 --batch-size 20 --epochs 3"
    ),
    "odenet, per sample": (
        "--model odenet --width 2 --per-sample --limit-train 60 --limit-test 20 --batch-size 20"
        " --epochs 3"
    ),
    "odenet, backsolve": (
        "--model odenet --width 2 --gradient backsolve --limit-train 120 --limit-test 40"
        " --batch-size 20 --epochs 3"
    ),
    "resnet": (
        "--model resnet --blocks 1 --width 4 --limit-train 400 --limit-test 40 --batch-size 20"
        " --epochs 4"
    ),
    "mlp, float16": (
        "--model mlp --precision float16 --limit-train 400 --limit-test 40 --batch-size 20"
        " --epochs 6"
    ),
}
"""Settings of the runs that are attacked, by what is in them."""

PATIENCE = 300.0
"""Seconds after which a process counts as hanging."""

MOST_KILLS = 6
"""Of one run; after so many it is let be, for each may come before anything is saved."""


def command(*words: object) -> list[str]:
    """The command line of an experiment."""
    return [sys.executable, "-m", "experiments.mnist", *map(str, words)]


@dataclass
class Undisturbed:
    """The ending and the duration of each of RUNS, measured at the first call."""

    work: Path
    known: dict[str, tuple[Ending, float]] = field(default_factory=dict)

    def of(self, name: str) -> tuple[Ending, float]:
        """Ending and seconds of a run that nothing disturbs. Raises RuntimeError if it fails."""
        if name not in self.known:
            out = self.work / "undisturbed" / name.replace(", ", "-").replace(" ", "-")
            begin = time.monotonic()
            done = subprocess.run(
                command(*COMMON, *RUNS[name].split(), "--out", out),
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise RuntimeError(f"the undisturbed run of {name} failed: {done.stderr.strip()}")
            self.known[name] = ending(out), time.monotonic() - begin
        return self.known[name]


def begun(out: Path, name: str) -> list[str]:
    """The command that begins a run, or goes on with it where there is one."""
    if (out / "config.json").exists():
        return command("--resume", out, "--quiet")
    return command(*COMMON, *RUNS[name].split(), "--out", out)


def interrupted(words: list[str], seconds: float, signum: int, log: Path) -> tuple[int | None, str]:
    """Start a command and send it a signal after so many seconds.

    Returns its exit code, None for a hang, and what it wrote to stderr, which `log` is a file for.
    """
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=stream)
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.send_signal(signum)
        code = process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None, log.read_text(encoding="utf-8", errors="replace")
    return code, log.read_text(encoding="utf-8", errors="replace")


def finished(name: str, out: Path, expected: Ending, done: str) -> Finding:
    """Let a disturbed run go on to its end, and compare that with the undisturbed one."""
    try:
        last = subprocess.run(
            begun(out, name),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding(done, Answer.HANG, "the last start did not end")
    if last.returncode:
        kind = Answer.TRACEBACK if "Traceback" in last.stderr else Answer.LOST
        return Finding(done, kind, last.stderr.strip()[-300:])
    wrong = difference(out, expected) or leftovers(out)
    return Finding(done, Answer.WRONG if wrong else Answer.ACCEPTED, wrong)


def leftovers(out: Path) -> str:
    """What killed processes left that no start has swept; "" if nothing is left."""
    names = [path.relative_to(out).as_posix() for path in out.rglob("*")]
    hidden = [name for name in names if "unfinished" in name or "/." in f"/{name}"]
    partial = [
        path.name
        for path in (out / "checkpoints").glob("epoch-*")
        if not (path / "meta.json").is_file()
    ]  # fmt: skip
    return f"left behind: {', '.join(hidden + partial)}" if hidden or partial else ""


def kill(rng: Random, known: Undisturbed, out: Path) -> tuple[Finding, int]:
    """Kill a run at one to three random moments.

    Returns what came of it, and how many kills met a running process.
    """
    name = rng.choice(list(RUNS))
    expected, seconds = known.of(name)
    wanted, met, moments = rng.randint(1, 3), 0, []
    for _ in range(MOST_KILLS):
        moments.append(round(rng.uniform(0, seconds), 2))
        code, _ = interrupted(
            begun(out, name), moments[-1], signal.SIGKILL, out.with_suffix(".log")
        )
        met += code == -signal.SIGKILL
        if met == wanted or code == 0:
            break
    return finished(name, out, expected, f"{name}: killed after {moments} s"), met


def polite(rng: Random, known: Undisturbed, out: Path) -> Finding:
    """Send SIGINT or SIGTERM at a random moment.

    Expected: one line, the signal's exit code, and a run that goes on.
    """
    name, signum = rng.choice(list(RUNS)), rng.choice((signal.SIGINT, signal.SIGTERM))
    expected, seconds = known.of(name)
    moment = round(rng.uniform(0, seconds), 2)
    code, err = interrupted(begun(out, name), moment, signum, out.with_suffix(".log"))
    done = f"{name}: {signum.name} after {moment} s"
    if code is None:
        return Finding(done, Answer.HANG, err[-300:])
    if "Traceback" in err:
        return Finding(done, Answer.TRACEBACK, err.strip()[-300:])
    # Before Python runs the program's first line, the system's own answer to a signal is all there
    # is.
    if code not in (0, 128 + signum, -signum):
        return Finding(done, Answer.UNCLEAR, f"exit code {code}: {err.strip()[-300:]}")
    return finished(name, out, expected, done)


def small_disk(rng: Random, known: Undisturbed, out: Path) -> Finding:
    """Run with too little space, then with enough: on a small file system where one may be mounted.

    Elsewhere by a limit on the size of files, which the system refuses to exceed in the same
    places.
    """
    name = rng.choice(list(RUNS))
    expected, _ = known.of(name)
    size = int(2 ** rng.uniform(12, 22))
    out.mkdir()
    script = [sys.executable, "-m", "scripts.fuzzing.small_disk", str(size), str(out), name]
    if shutil.which("unshare") and may_mount():
        script = ["unshare", "--user", "--map-root-user", "--mount", *script]
    done = f"{name}: {size >> 10} KB of space"
    try:
        ended = subprocess.run(
            script, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding(done, Answer.HANG, "a run without space did not end")
    if "Traceback" in ended.stderr:
        return Finding(done, Answer.TRACEBACK, ended.stderr.strip()[-300:])
    if ended.returncode:
        return Finding(done, Answer.LOST, ended.stderr.strip()[-300:])
    wrong = difference(out / "run", expected) or leftovers(out / "run")
    return Finding(done, Answer.WRONG if wrong else Answer.ACCEPTED, wrong)


def may_mount() -> bool:
    """Whether this user may mount a file system in a namespace of his own."""
    words = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "mount",
        "-t",
        "tmpfs",
        "tmpfs",
        "/mnt",
    ]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0
