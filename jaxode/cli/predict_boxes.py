"""`jaxode predict` of a detector's run: objects, their boxes, and pictures with them drawn."""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxode.inference import Detected, TrainedDetector


def work(options: argparse.Namespace, solve: dict[str, Any]) -> str:
    """Load, detect, write; returns the lines to print."""
    from jaxode.inference import load_detector
    from jaxode.runs.files import write_whole

    detector = load_detector(options.run, checkpoint=options.checkpoint, **solve)
    found = detector.detect(
        [Path(each) for each in options.pictures],
        score=options.score,
        batch_size=min(options.batch_size, 32),
    )
    if options.csv is not None:
        write_whole(options.csv, detector.to_csv(found).encode())
    if options.boxes is not None:
        write_pictures(options.boxes, detector, found)
    return detector.table(found)


def write_pictures(folder: Path, detector: TrainedDetector, found: Sequence[Detected]) -> None:
    """Each picture with its boxes as a PNG of its own name, with a number where two are the same.

    Args:
      folder: is made if it does not exist.
      detector: has the names of the classes.
      found: what it has detected.
    """
    from jaxode.plots.boxes_on_picture import with_boxes
    from jaxode.runs.files import write_whole

    folder.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    for each in found:
        stem = name = Path(each.name).stem
        number = 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name)
        target = io.BytesIO()
        with_boxes(each.picture, each.rows, detector.class_names).save(target, "png")
        write_whole(folder / f"{name}.png", target.getvalue())
