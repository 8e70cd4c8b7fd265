"""Write a made-up file in the format of Kaggle's iceberg challenge, to try the program with.

    python -m scripts.iceberg_file --out made-up/train.json
    python -m scripts.iceberg_file --out small/train.json --rows 64 --seed 1

The real file can only be had from Kaggle. This one shows no ship and no iceberg: blobs on speckle,
drawn by a generator of random numbers, with 47 % icebergs and angles of which 8 % are "na", as many
as in the real file. What a model reaches on it measures nothing. The same rows and seed give the
same file; 1604 rows take 216 MB.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from jaxode.checks import SEEDS, ConfigError, Range, require
from jaxode.cli import process
from jaxode.cli.converters import Number, to_path
from jaxode.cli.parser import Parser, parse_flags
from jaxode.data.radar_json import PIXELS, SIDE, UNKNOWN_ANGLE
from jaxode.runs.files import writing_whole

ROWS, ICEBERGS = 1604, 753
"""Of the real file, which gives the classes' shares."""

FILE_ROWS = Range(1, 100_000)
"""135 kB each."""

UNKNOWN_SHARE = 133 / ROWS
LOOKS = 4
"""Of the speckle: intensities are gamma distributed, with this shape (Goodman 1976)."""

SEA = (-22.0, -28.0)
"""Mean of the two bands without a target, in dB."""

MADE_UP = (
    "the file is made up, to try the program with: it shows no ship and no iceberg, and measures"
    " nothing"
)


def bands(rng: np.random.Generator, iceberg: int) -> np.ndarray:
    """Two bands in dB, [2, 5625]: a bright ellipse on speckle.

    Icebergs are rounder, and brighter in the second band.

    The classes overlap in every property.
    """
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2 - rng.normal(0, 3, (2, 1, 1))
    angle, length = rng.uniform(0, np.pi), rng.normal(7, 1.5)
    ratio = np.clip(rng.normal(0.75 if iceberg else 0.4, 0.15), 0.15, 1)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    blob = np.exp(-(((along / length) ** 2 + (across / (ratio * length)) ** 2) ** 2)).ravel()
    peak = rng.normal(22, 3) + np.array([0, rng.normal(1 if iceberg else -3, 2)])
    background = rng.normal(SEA, 1.5)
    mean = 10 ** (background / 10)[:, None] * (1 + 10 ** (peak / 10)[:, None] * blob)
    return 10 * np.log10(mean * rng.gamma(LOOKS, 1 / LOOKS, (2, PIXELS)))


def rows(count: int, seed: int) -> Iterator[str]:
    """The objects of the file as JSON texts."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) < round(count * ICEBERGS / ROWS)).astype(int)
    angles = rng.uniform(30, 46, count)
    unknown = rng.permutation(np.arange(count) < round(count * UNKNOWN_SHARE))
    band = "[" + ", ".join(["%.6f"] * PIXELS) + "]"
    for number, label in enumerate(labels):
        first, second = (band % tuple(values) for values in bands(rng, label).tolist())
        inc_angle = f'"{UNKNOWN_ANGLE}"' if unknown[number] else f"{angles[number]:.4f}"
        yield (
            f'{{"id": "made-up-{number}", "band_1": {first}, "band_2": {second}, '
            f'"inc_angle": {inc_angle}, "is_iceberg": {label}}}'
        )


def write(path: Path, count: int, seed: int) -> None:
    """Write the file row by row, whole or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing_whole(path) as file:
        for number, row in enumerate(rows(count, seed)):
            file.write(((", " if number else "[") + row).encode())
        file.write(b"]\n")


def build_parser() -> Parser:
    """The flags."""
    parser = Parser.from_doc("python -m scripts.iceberg_file", __doc__)
    add = parser.add_argument
    add(
        "--out",
        type=to_path,
        required=True,
        metavar="FILE",
        help="where no file is yet: DIR/train.json",
    )
    add(
        "--rows",
        type=Number(int, FILE_ROWS),
        default=ROWS,
        metavar="N",
        help="images (default: %(default)s)",
    )
    add(
        "--seed",
        type=Number(int, SEEDS),
        default=0,
        metavar="N",
        help="of what is drawn (default: 0)",
    )
    return parser


@process.command("scripts.iceberg_file")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = build_parser()
    start = time.perf_counter()
    try:
        options = parse_flags(parser, argv)
        target = options["out"]
        require(not os.path.lexists(target), "--out", str(target), "a path where nothing is yet")
        write(target, options["rows"], options["seed"])
    except SystemExit as stop:
        return int(stop.code or 0)
    except (ConfigError, OSError) as error:
        return process.report(parser.prog, error, 2)
    size, seconds = target.stat().st_size / 1e6, time.perf_counter() - start
    print(f"wrote {target}, {options['rows']} rows, {size:.1f} MB in {seconds:.1f} s")
    print(f"{parser.prog}: {MADE_UP}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
