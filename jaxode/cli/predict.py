"""Classify pictures with a trained model, or find their objects or their depth.

    jaxode predict runs/mnist/RUN seven.png three.png
    jaxode predict runs/mnist/RUN pictures/ --top 3 --csv predictions.csv
    jaxode predict runs/detection/bccd cells.jpg --boxes drawn/
    jaxode predict runs/depth/odenet kitchen.jpg --depth maps/

RUN is a run's directory or a file of weights that `jaxode export --format safetensors` wrote.
Pictures are files or folders, of any size and mode: the middle square is resized as it was for
training. In Python: `jaxode.load(RUN).predict(PICTURES)`.

Of a run of `python -m experiments.detection` the objects are printed, one a line: picture, class,
score, and the box in pixels. In Python: `jaxode.inference.load_detector(RUN).detect(PICTURES)`.

Of a run of `python -m experiments.depth` the range of depth of each picture is printed, and with
--depth the map is written. In Python: `jaxode.inference.load_depth_model(RUN).predict(PICTURES)`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxode.checks import ConfigError, Range
from jaxode.cli import predict_boxes, predict_depth
from jaxode.cli.command import add_solve_flags, new_parser, run_command
from jaxode.cli.converters import Choice, Number, path_text, to_path
from jaxode.cli.parser import Parser

MOST_CLASSES = 1000


def build_parser() -> Parser:
    """The flags."""
    parser = new_parser("jaxode predict", "RUN PICTURE [PICTURE ...] [flags]", __doc__)
    add = parser.add_argument
    add("run", type=to_path, metavar="RUN", help="a run's directory or a file of weights")
    add("pictures", type=path_text, nargs="+", metavar="PICTURE", help="a file or a folder")
    add(
        "--checkpoint",
        type=Choice(("last", "best")),
        default="last",
        metavar="NAME",
        help="of a run: last or best (default: last)",
    )
    add(
        "--top",
        type=Number(int, Range(1, MOST_CLASSES)),
        metavar="N",
        help="classes to print of each picture, the most probable first (default: 1)",
    )
    add(
        "--batch-size",
        type=Number(int, Range(1, 1 << 20)),
        default=128,
        metavar="N",
        help="pictures that are solved together (default: 128)",
    )
    add("--csv", type=to_path, metavar="FILE", help="write all probabilities, or boxes, as CSV")
    add(
        "--boxes",
        type=to_path,
        metavar="DIR",
        help="of a detector: write each picture with its boxes as a PNG",
    )
    add(
        "--depth",
        type=to_path,
        metavar="DIR",
        help="of a model of depth: write each map as .npy, in metres, and as a PNG",
    )
    add(
        "--score",
        type=Number(float, Range(0, 1)),
        metavar="X",
        help="of a detector: that an object has at least (default: that of the largest F1 on the"
        " test images)",
    )
    add_solve_flags(parser)
    return parser


def work(options: argparse.Namespace, solve: dict[str, Any]) -> str:
    """Load, predict, print."""
    from jaxode.inference import is_depth_model, is_detector, load
    from jaxode.runs.files import write_whole

    depth, boxes = is_depth_model(options.run), is_detector(options.run)
    if options.depth is not None and not depth:
        raise ConfigError("depth must be left out for a model that finds no depth")
    if not boxes:
        for name in ("boxes", "score"):
            if getattr(options, name) is not None:
                raise ConfigError(f"{name} must be left out for a model that detects no objects")
    if depth:
        return predict_depth.work(options, solve)
    if boxes:
        if options.top is not None:
            raise ConfigError("top must be left out for a detector, whose objects have one class")
        return predict_boxes.work(options, solve)
    model = load(options.run, checkpoint=options.checkpoint).with_solve(**solve)
    found = model.predict([Path(each) for each in options.pictures], batch_size=options.batch_size)
    if options.csv is not None:
        write_whole(options.csv, found.to_csv().encode())
    if options.top in (None, 1):
        return found.table()
    rows = zip(found.names, found.top(options.top), strict=True)
    return "\n".join(
        f"{name}  " + "  ".join(f"{label} {probability:.4f}" for label, probability in best)
        for name, best in rows
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(argv, build_parser(), work)
