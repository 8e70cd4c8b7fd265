"""The file of a run that keeps the predictions of its test split."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from jaxode.bounded_files import read_bounded
from jaxode.data import Dataset
from jaxode.data.streaming import in_memory
from jaxode.runs.files import write_whole
from jaxode.tasks import Predictions, Task

PREDICTIONS = "images.npz"
COSTS = ("nfe", "accepted", "rejected")
"""Of each example and block [N, blocks], where step sizes are per sample."""

FILE_BYTES, UNPACKED_BYTES = 1 << 28, 1 << 30
"""More than any record takes; what is larger is not read."""


def save(out: Path, predictions: Predictions) -> None:
    """Write the predictions' file. Raises OSError."""
    target = io.BytesIO()
    np.savez_compressed(target, allow_pickle=False, **predictions)
    write_whole(out / PREDICTIONS, target.getvalue())


def load(out: Path, epochs: int | None, task: Task) -> Predictions | None:
    """The predictions that a run's directory holds.

    None if there are none, they cannot be read, or they are of another number of epochs.
    """
    try:
        # From memory: NumPy would leave a damaged file open.
        content = read_bounded(out / PREDICTIONS, FILE_BYTES)
        # NumPy reads as many bytes as an array's header asks for, which need not be all that the
        # checksum is of.
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if (
                sum(member.file_size for member in archive.infolist()) > UNPACKED_BYTES
                or archive.testzip()
            ):
                return None
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            found = dict(stored)
        usable = well_formed(found) and task.is_stored(found)
        return found if usable and int(found["epochs"]) == epochs else None
    except Exception:  # whatever zipfile, zlib and NumPy raise on a damaged file
        return None


def well_formed(predictions: Predictions) -> bool:
    """Whether all arrays have a row for each example, and counts are whole numbers.

    Raises KeyError where an array is not there.
    """
    index, epochs = predictions["index"], predictions["epochs"]
    rows = {name: array for name, array in predictions.items() if name != "epochs"}
    whole = [index, *([predictions[name] for name in COSTS] if "nfe" in predictions else [])]
    return (
        index.ndim == 1
        and index.size > 0
        and all(array.shape[:1] == index.shape for array in rows.values())
        and all(array.dtype.kind in "iu" and array.min(initial=0) >= 0 for array in whole)
        and all(array.ndim == 2 and array.shape[1] > 0 for array in whole[1:])
        and epochs.dtype.kind == "i"
        and epochs.shape == ()
    )


def write_report(
    out: Path, predictions: Predictions, task: Task, data: Dataset, title: str
) -> dict[str, Any]:
    """Write the plots that a task makes of the predictions of the test split.

    Args:
        out: directory of the run.
        predictions: of the whole split.
        task: of the run.
        data: the data set.
        title: of the plots.

    Returns:
        what a result reports of the predictions.

    Raises:
        OSError: a file could not be written.
    """
    examples = in_memory(data.splits["test"])
    for name, plot in task.plots(predictions, examples, data.spec, title).items():
        write_whole(out / name, plot)
    return task.report(predictions, data.spec)


def of(predictions: Predictions | None, task: Task, data: Dataset) -> Predictions | None:
    """The predictions if they are of the test split's examples, else None."""
    if predictions is None:
        return None
    examples = in_memory(data.splits["test"])
    if len(predictions["index"]) != len(next(iter(examples.values()))):
        return None
    return predictions if task.belong(predictions, examples) else None
