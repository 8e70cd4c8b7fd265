"""A queue of runs: one at a time, each in a process of its own; what ends one spares the rest.

Nothing is stored but the runs: what is left to do is seen from their directories, so the queue goes
on after whatever ended it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from jaxode.advisory_locks import lock
from jaxode.checks import ConfigError
from jaxode.cli.signals import STOPPED
from jaxode.runs import Progress
from jaxode.runs.history import METRICS
from scripts.systems.jobs import SystemJob
from scripts.tables.jobs import Job

LOCK = "queue.lock"
"""The file of the runs' directory that a queue and its run have locked."""

QUICK = 60.0
"""Seconds of an epoch, under which a row is run with the other seeds too."""

Run = Job | SystemJob


@contextlib.contextmanager
def only_queue(out: Path) -> Iterator[int]:
    """Context in which no other queue can work in a directory; gives the open lock file.

    A process that has inherited the file keeps the lock: the run of a queue that was killed is
    waited for, not run beside.

    Raises:
      ConfigError: another queue, or the run that it left, works there.
      OSError: the directory cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            lock(descriptor)
        except BlockingIOError:
            text = f"a queue, or the last run of one, still works in {out}"
            raise ConfigError(text) from None
        yield descriptor
    finally:
        os.close(descriptor)


def epoch_seconds(directory: Path) -> float | None:
    """Median time of a run's epochs and evaluations; None where there are none, or damaged ones."""
    try:
        with (directory / METRICS).open(encoding="utf-8") as lines:
            records = [json.loads(line) for line in lines]
        times = [record["train_seconds"] + record["eval_seconds"] for record in records]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return statistics.median(times) if times else None


def wanted(run: Run, first: int) -> bool:
    """Whether a run is of the first seed, or of a row whose epochs are quick with that."""
    if run.seed == first:
        return True
    stem, _, _ = run.out.name.rpartition("seed")
    seconds = epoch_seconds(run.out.with_name(f"{stem}seed{first}"))
    return seconds is not None and seconds < QUICK


def command(run: Run, flags: Sequence[str]) -> list[str]:
    """What carries out one run."""
    words = [sys.executable, "-m", "scripts.reproduce", run.table.name, "--run", run.out.name]
    return [*words, "--seeds", str(run.seed), *flags]


def carried_out(words: Sequence[str], descriptor: int) -> int:
    """Run a command that keeps the queue's lock; returns its exit code, below 0 if it was killed.

    What asks this process to end asks the command too, once, and waits until it has saved.
    """
    process = None
    try:
        # In a session of its own the command does not get Ctrl-C from the terminal as well, whose
        # second signal would end it without saving.
        process = subprocess.Popen(words, pass_fds=(descriptor,), start_new_session=True)
        return process.wait()
    except BaseException:
        if process is not None:
            process.send_signal(signal.SIGTERM)
            process.wait()
        raise


def end_of(code: int) -> str:
    """How a run ended that is not complete."""
    number = -code if code < 0 else code - STOPPED
    with contextlib.suppress(ValueError):
        return f"ended by {signal.Signals(number).name}"
    return f"ended with exit code {code}"


def work_off(runs: Sequence[Run], flags: Sequence[str], out: Path, progress: Progress) -> int:
    """Carry out runs in their order, and again what failed, as long as that gets anything further.

    Args:
      runs: most worth first; those of other seeds than the first run's are carried out only of rows
        whose epochs take less than a minute.
      flags: of `scripts.reproduce`, for every run.
      out: directory of the runs.
      progress: what is told meanwhile.

    Returns:
      How many runs are not complete.

    Raises:
      ConfigError: another queue works in the directory.
      OSError: the directory cannot be written.
    """
    first = runs[0].seed
    with only_queue(out) as descriptor:
        while True:
            advanced = False
            for number, run in enumerate(runs, 1):
                if run.complete or not wanted(run, first):
                    continue
                head, before = f"queue, {number} of {len(runs)}: {run.title}", run.epochs_done
                progress.say(head)
                code = carried_out(command(run, flags), descriptor)
                advanced |= run.complete or run.epochs_done > before
                if not run.complete:
                    progress.warn(f"{head}: {end_of(code)}, {run.epochs_done} epochs are done")
            left = sum(not run.complete and wanted(run, first) for run in runs)
            if not left or not advanced:
                return left
