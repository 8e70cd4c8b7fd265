"""Whole runs with a stub for a model: how they are made, stopped at a chosen place, and read."""

from __future__ import annotations

import json
import os
import signal

from stubs import builder, image_set, run_config

from jaxode.runs import Progress
from jaxode.runs.checkpoint_meta import sealed, unsealed
from jaxode.runs.summary import TIMINGS
from jaxode.train import run
from jaxode.train.pace import Pace


def go(out, config=None, data=None, fail="", **options):
    out.mkdir(exist_ok=True)
    return run(config or run_config(), data or image_set(), out, build=builder(fail), **options)


def lines(out):
    """The metrics, but for the timings."""
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [
        {name: value for name, value in record.items() if name not in TIMINGS} for record in records
    ]


def digests(out):
    """Digest of the state in each checkpoint."""
    folders = sorted((out / "checkpoints").glob("epoch-*"))
    return {
        folder.name: unsealed((folder / "meta.json").read_text())["state_sha256"]
        for folder in folders
    }


def bytes_written():
    """By this process so far, as the system counts them."""
    with open("/proc/self/io") as file:
        return int(dict(entry.split(": ") for entry in file.read().splitlines())["wchar"])


def as_format_3(folder):
    """Make the checkpoints in a folder what earlier versions wrote: each holds its history."""
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    for meta in folder.glob("epoch-*/meta.json"):
        content = unsealed(meta.read_text())
        history = lines[: content["history"]["epochs"]]
        meta.write_text(sealed({**content, "format": 3, "history": history}))
    (folder / "history.jsonl").unlink()


class StopAt(Progress):
    """Sends this process a signal after so many advances."""

    def __init__(self, advances, signum=signal.SIGTERM):
        super().__init__(quiet=True)
        self.left, self.signum, self.warnings = advances, signum, []

    def advance(self, batches, **values):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.signum)

    def warn(self, text):
        self.warnings.append(text)


class OneRow(Pace):
    """Chunks of one batch, so that a run can stop anywhere."""

    def rows(self, remaining):
        return 1
