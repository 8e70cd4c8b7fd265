"""A small run that attacks are made on, and what it must end with."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import mnist
from jaxode.runs.summary import TIMINGS

EPOCHS = 3

MLP = (
    "--data", "sample", "--quiet", "--model", "mlp", "--limit-train", "40", "--limit-test", "10",
    "--batch-size", "16", "--epochs", str(EPOCHS), "--schedule", "constant",
)  # fmt: skip
"""Flags of a run of a few seconds, most of them for the imports."""


@dataclass(frozen=True)
class Ending:
    """What two runs of the same settings on one machine share.

    Attributes:
        status: of result.json.
        metrics: the lines of metrics.jsonl without their timings.
        state: name and digest of the arrays of the newest checkpoint.
    """

    status: str
    metrics: list[dict[str, Any]]
    state: tuple[str, str]


def ending(out: Path) -> Ending:
    """The ending of the run in a directory. Raises OSError, ValueError, KeyError if it has none."""
    lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    metrics = [
        {name: value for name, value in json.loads(line).items() if name not in TIMINGS}
        for line in lines
    ]
    newest = max(path for path in (out / "checkpoints").iterdir() if path.name.startswith("epoch-"))
    meta = json.loads((newest / "meta.json").read_text(encoding="utf-8"))
    status = json.loads((out / "result.json").read_text(encoding="utf-8"))["status"]
    return Ending(status, metrics, (newest.name, meta["content"]["state_sha256"]))


def difference(out: Path, expected: Ending) -> str:
    """How the run in a directory ended otherwise than expected, in words; "" if it did not."""
    try:
        found = ending(out)
    except (OSError, ValueError, KeyError) as error:
        return f"{type(error).__name__}: {error}"
    for name in ("status", "metrics", "state"):
        if getattr(found, name) != getattr(expected, name):
            return f"{name}: {getattr(found, name)} in place of {getattr(expected, name)}"[:300]
    return ""


def complete_run(out: Path) -> Ending:
    """Train the small run into a directory; returns how it ended.

    Raises RuntimeError if it did not.
    """
    code = mnist.main([*MLP, "--out", str(out)])
    if code:
        raise RuntimeError(f"the run to be attacked ended with exit code {code}")
    return ending(out)


def fingerprints(folder: Path) -> dict[str, str]:
    """SHA-256 of every regular file below a folder, by its path there."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def copied(source: Path, target: Path) -> Path:
    """A fresh copy of a folder; what the last attempt left in its place is removed."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)
    return target
