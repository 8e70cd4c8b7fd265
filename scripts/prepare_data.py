"""Prepare a full data set ahead of training, or draw the sample that ships with the package.

    python -m scripts.prepare_data mnist --data-dir data            # writes data/prepared/mnist
    python -m scripts.prepare_data mnist --data-dir data --sample jaxode/data/samples

A sample holds equally many images of every class: 2,000 of the training set and 500 of the test
set, drawn without replacement by a generator of fixed seed, in the order stored. The positions
drawn are stored beside the images.
"""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxode.cli import process
from jaxode.cli.converters import Choice, path_text, to_path
from jaxode.cli.parser import Parser, parse_flags
from jaxode.cli.prepare import prepare
from jaxode.config import DataConfig
from jaxode.data import SPECS, DataError, load
from jaxode.data.delta_coding import to_differences

SAMPLE_IMAGES = {"train": 2000, "test": 500}
SAMPLE_SEED = 20191


def draw(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Sorted positions of `count` labels, equally many of each class.

    Raises DataError if a class has fewer.
    """
    classes, there = np.unique(labels, return_counts=True)
    each = count // len(classes)
    if there.min() < each:
        raise DataError(
            f"a sample takes {each} images of every class, and class {classes[there.argmin()]} has"
            f" {there.min()}"
        )
    picked = [rng.choice(np.flatnonzero(labels == c), each, replace=False) for c in classes]
    return np.sort(np.concatenate(picked))


def write_sample(dataset: str, data_dir: str, folder: Path) -> Path:
    """Draw and write folder/<dataset>.npz, whole or not at all.

    Raises DataError as `jaxode.data.load` does, of a set with too few images, and of one that is no
    pictures.
    """
    if SPECS[dataset].stored_dtype != "uint8":
        raise DataError(f"a sample is of pictures, whose pixels are bytes, and {dataset} has none")
    full = load(DataConfig(dataset=dataset, data="full", data_dir=data_dir))  # type: ignore[arg-type]
    rng = np.random.default_rng(SAMPLE_SEED)
    arrays: dict[str, Any] = {}
    for split, images, labels in (
        ("train", full.train_images, full.train_labels),
        ("test", full.test_images, full.test_labels),
    ):
        positions = draw(labels, SAMPLE_IMAGES[split], rng)
        arrays[f"{split}_images"] = to_differences(images[positions])
        arrays[f"{split}_labels"] = labels[positions].astype(np.uint8)
        arrays[f"{split}_positions"] = positions.astype(np.int32)
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    path = folder / f"{dataset}.npz"
    partial = path.with_suffix(".partial")
    partial.write_bytes(packed.getvalue())
    os.replace(partial, path)
    return path


def build_parser() -> Parser:
    """The flags."""
    parser = Parser.from_doc("python -m scripts.prepare_data", __doc__)
    add, names = parser.add_argument, tuple(SPECS)
    add("dataset", type=Choice(names), metavar="SET", help=f"which set: {', '.join(names)}")
    add(
        "--data-dir",
        type=path_text,
        metavar="DIR",
        help="folder with the original files, or where to store them",
    )
    add("--sample", metavar="DIR", type=to_path, help="write the sample DIR/<dataset>.npz instead")
    return parser


@process.command("scripts.prepare_data", "the same command begins again")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = build_parser()
    options = argparse.Namespace(**parse_flags(parser, argv))
    try:
        if options.sample:
            sample = write_sample(options.dataset, options.data_dir, options.sample)
            print(f"wrote {sample}, {sample.stat().st_size / 1e6:.2f} MB")
        else:
            print(prepare(options.dataset, options.data_dir))
    except (DataError, OSError) as error:
        return process.report(parser.prog, error, 2)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
