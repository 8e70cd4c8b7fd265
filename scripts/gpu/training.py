"""An ODENet trained by a published protocol for as long as there is time."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.gpu.row import Row, Size


def command(out: Path, data_dir: Path | None, table: str, row: str, size: Size) -> list[str]:
    """What is run: rows of a published table by their full protocol, or a bundled sample.

    Args:
      out: folder of the runs' directories; the same command goes on with what is there.
      data_dir: folder with the original files; None for the bundled sample.
      table: of `scripts.reproduce`.
      row: part of the rows' labels.
      size: TINY keeps to a few images.
    """
    if data_dir is None:
        small = f"--width {size.width} --batch-size {size.batch} --limit-train {2 * size.images}"
        words = f"-m experiments.mnist --data sample {small} --limit-test {size.images}"
        return [sys.executable, *words.split(), "--epochs", "2", "--out", str(out / "sample")]
    words = ["-m", "scripts.reproduce", table, "--scale", "full", "--only", row]
    return [sys.executable, *words, "--data-dir", str(data_dir), "--out", str(out)]


def rows(out: Path) -> Iterator[Row]:
    """How far the runs in a folder are, from their metrics; none that has not ended an epoch."""
    for path in sorted(out.glob("*/metrics.jsonl")):
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if not lines:
            continue
        name, last = path.parent.name, lines[-1]
        epochs = [line["train_seconds"] for line in lines[1:] or lines]
        yield Row("training", f"{name}: epochs done", len(lines))
        yield Row("training", f"{name}: training, an epoch", statistics.median(epochs), "s")
        yield Row("training", f"{name}: test accuracy", 100 * last["test_accuracy"], "%")
