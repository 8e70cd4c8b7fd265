"""What becomes of each test image at the end of a run: the class it is taken for, and what its
solves cost.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxode import metrics
from jaxode.bounded_files import read_bounded
from jaxode.config import RunConfig
from jaxode.data import ImageSet
from jaxode.strict_json import read_object
from jaxode.train import hardness, mistakes
from jaxode.train.files import write_whole
from jaxode.train.program import Program
from jaxode.train.state import Learned

IMAGES, MISTAKES, HARDNESS = "images.npz", "confusion.png", "nfe_by_class.png"
COSTS = ("nfe", "accepted", "rejected")
FILE_BYTES, UNPACKED_BYTES = 1 << 28, 1 << 30
"""More than any record takes; what is larger is not read."""

SHOWN = 10
"""How many of the hardest and of the easiest images are shown."""

Outcomes = dict[str, np.ndarray]
"""`index`, `label`, `predicted` and its `probability` of every test image, [N]; where each was
solved by itself also `nfe`, `accepted` and `rejected`, [N, blocks]; `epochs`, the number of epochs
behind them.
"""


def missing(out: Path, config: RunConfig) -> bool:
    """Whether a complete run lacks the record of its images."""
    found = load(out, config.epochs)
    if found is None:
        return True
    names = {"classification", *(("nfe_per_image",) if "nfe" in found else ())}
    try:
        told = names <= set(read_object(out / "result.json"))
    except (OSError, ValueError):
        told = False
    return not (told and all((out / name).exists() for name in picture_names(found)))


class Pass:
    """One pass over the test images, a batch at a time."""

    def __init__(
        self,
        program: Program,
        learned: Learned,
        data: ImageSet,
        wait: Callable[[Callable[[], Any]], Any],
    ) -> None:
        """Compiles what it runs; `wait` runs XLA's part."""
        self.program, self.learned, self.data = program, learned, data
        self.work = wait(program.trace_outcomes(learned).compile)
        self.table = jax.device_get(program.table)
        self.batches = program.test_span.batches
        self.parts: list[Outcomes] = []

    def step(self) -> None:
        """The next batch. Raises SolveError if a solve fails."""
        row = self.program.test_span.start + len(self.parts)
        found = self.work(self.learned, self.program.pictures, self.program.table, np.int32(row))
        logits, stats = jax.device_get(found)
        stats.check()
        real = self.table.weights[row] > 0
        index = self.table.indices[row][real] - self.program.train_count
        found = {"index": index, "label": self.data.test_labels[index], **verdicts(logits[real])}
        if stats.nfe.ndim == 2:
            found |= {name: getattr(stats, name).T[real] for name in COSTS}
        self.parts.append(found)

    def found(self, epochs: int) -> Outcomes:
        """All images in the order stored, after so many epochs of training."""
        joined = {
            name: np.concatenate([part[name] for part in self.parts]) for name in self.parts[0]
        }
        return {**joined, "epochs": np.asarray(epochs)}


def save(out: Path, outcomes: Outcomes) -> None:
    """Write images.npz. Raises OSError."""
    target = io.BytesIO()
    np.savez_compressed(target, allow_pickle=False, **outcomes)
    write_whole(out / IMAGES, target.getvalue())


def load(out: Path, epochs: int) -> Outcomes | None:
    """What images.npz holds; None if it is not there, cannot be read, or is of another number of
    epochs.
    """
    try:
        # From memory: NumPy would leave a damaged file open.
        content = read_bounded(out / IMAGES, FILE_BYTES)
        # NumPy reads as many bytes as an array's header asks for, which need not be all that the
        # checksum is of.
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if (
                sum(member.file_size for member in archive.infolist()) > UNPACKED_BYTES
                or archive.testzip()
            ):
                return None
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            outcomes = dict(stored)
        return outcomes if well_formed(outcomes) and int(outcomes["epochs"]) == epochs else None
    except (
        Exception
    ):  # whatever zipfile, zlib and NumPy's parser of headers raise on a damaged file
        return None


def well_formed(outcomes: Outcomes) -> bool:
    """Whether all arrays are there, of the right types and of as many images; KeyError where one is
    not there.
    """
    images = outcomes["label"].size
    whole = [outcomes[name] for name in ("index", "label", "predicted")]
    counts = [outcomes[name] for name in COSTS] if "nfe" in outcomes else []
    numbers = all(
        array.dtype.kind in "iu" and array.min(initial=0) >= 0 for array in (*whole, *counts)
    )
    flat = all(array.shape == (images,) for array in (*whole, outcomes["probability"]))
    deep = all(
        array.ndim == 2 and array.shape == (images, max(1, array.shape[1])) for array in counts
    )
    kinds = (outcomes["probability"].dtype.kind, outcomes["epochs"].dtype.kind)
    return (
        images > 0
        and numbers
        and flat
        and deep
        and kinds == ("f", "i")
        and outcomes["epochs"].shape == ()
    )


def of(outcomes: Outcomes | None, data: ImageSet) -> Outcomes | None:
    """The outcomes if they are of these test images, else None."""
    if outcomes is None or not np.array_equal(outcomes["label"], data.test_labels):
        return None
    return outcomes if outcomes["predicted"].max() < len(data.spec.class_names) else None


def verdicts(logits: np.ndarray) -> Outcomes:
    """The class of the largest logit of each row, and its softmax probability."""
    above = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    probability = (1 / above.sum(1)).astype(np.float32)
    return {"predicted": logits.argmax(1).astype(np.int32), "probability": probability}


def confusion(outcomes: Outcomes, classes: int) -> metrics.Confusion:
    """Images of each class (row) by the class they were taken for (column): [classes, classes]."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (outcomes["label"], outcomes["predicted"]), 1)
    return counts


def summary(outcomes: Outcomes, names: tuple[str, ...]) -> dict[str, Any]:
    """What a result says: scores and confusion of the classes; of a per-sample run, also what
    images cost.
    """
    found: dict[str, Any] = {
        "classification": metrics.report(confusion(outcomes, len(names)), names)
    }
    if "nfe" in outcomes:
        found["nfe_per_image"] = costs(outcomes, names)
    return found


def costs(outcomes: Outcomes, names: tuple[str, ...]) -> dict[str, Any]:
    """Evaluations an image takes in all blocks together: mean, least, most, and each class's mean
    (None if empty).
    """
    nfe, labels = outcomes["nfe"].sum(1), outcomes["label"]
    by_class = {name: nfe[labels == k] for k, name in enumerate(names)}
    return {
        "mean": float(nfe.mean()),
        "min": int(nfe.min()),
        "max": int(nfe.max()),
        "class_means": {
            name: float(counts.mean()) if len(counts) else None for name, counts in by_class.items()
        },
    }


def picture_names(outcomes: Outcomes) -> tuple[str, ...]:
    """Files of the pictures that outcomes are drawn in."""
    return (MISTAKES, HARDNESS) if "nfe" in outcomes else (MISTAKES,)


def pictures(outcomes: Outcomes, data: ImageSet, title: str) -> dict[str, bytes]:
    """PNGs by the names of their files."""
    names = data.spec.class_names
    drawn = {MISTAKES: mistakes.draw(confusion(outcomes, len(names)), names, title)}
    if "nfe" in outcomes:
        drawn[HARDNESS] = hardest(outcomes, data, title)
    return drawn


def hardest(outcomes: Outcomes, data: ImageSet, title: str) -> bytes:
    """PNG of the evaluations by class, with the images that took the most and the fewest."""
    nfe, labels = outcomes["nfe"].sum(1), outcomes["label"]
    order = np.argsort(nfe, kind="stable")
    count = min(SHOWN, len(nfe) // 2)
    shown = {
        "most evaluations": order[::-1][:count],
        "fewest evaluations": order[:count],
    }
    names = data.spec.class_names
    images = {
        text: [(data.test_images[i], f"{names[labels[i]]}: {nfe[i]}") for i in chosen]
        for text, chosen in shown.items()
    }  # fmt: skip
    return hardness.draw(nfe, labels, names, images, title)
