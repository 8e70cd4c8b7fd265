"""A short training on bundled images by the trainer itself, which must lower its loss."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from experiments import mnist
from jaxode.cli.signals import STOPPED
from scripts.gpu.row import Row, Size


def trained(part: str, name: str, size: Size, batch: int, flags: str) -> Row:
    """A row with the mean loss of the last epoch, at most that of the first.

    Args:
      part: of the row.
      name: of the row.
      size: images, epochs and width.
      batch: images in a step.
      flags: more flags of the experiment.

    Raises:
      KeyboardInterrupt: the training was stopped by a signal.
    """
    small = f"--width {size.width} --limit-train {size.images} --limit-test 64"
    length = f"--epochs {size.epochs} --batch-size {batch} --lr 0.05 --schedule constant"
    with tempfile.TemporaryDirectory() as folder:
        words = f"--data sample {small} {length} {flags} --quiet --out {folder}/run"
        code = mnist.main(words.split())
        if code > STOPPED:  # by the check, whose time is over: no finding
            raise KeyboardInterrupt
        if code:
            return Row(part, name, passed=False, note=f"ended with exit code {code}")
        lines = (Path(folder) / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    first, last = (json.loads(lines[number])["loss"] for number in (0, -1))
    return Row(part, name, last, "mean loss of the last epoch", first, passed=bool(last < first))
