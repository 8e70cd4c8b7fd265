"""Predict with a trained model: classes, objects, depth, log-densities, values of series.

    jaxode predict runs/mnist/RUN seven.png three.png
    jaxode predict runs/mnist/RUN pictures/ --top 3 --csv predictions.csv
    jaxode predict runs/detection/RUN cells.jpg --pictures drawn/
    jaxode predict runs/depth/RUN kitchen.jpg --pictures maps/
    jaxode predict runs/density/RUN points.npy
    jaxode predict runs/series/RUN new.ts --times 0.5,1,1.5

RUN is a run's directory or a file of weights that `jaxode export --format safetensors` wrote. What
it was trained for decides what it reads. Pictures are files or folders, of any size and mode: the
middle square is resized as it was for training. A detector shrinks them whole, and prints an
object a line: picture, class, score, and the box in pixels. Of a model of depth the range of each
picture is printed. Points are .npy or .csv files [N, D], in the units of the training data; their
log-densities are printed in nats. Series are .ts or .npz files, folders with test series, or
PhysioNet's records, as of `experiments.series`. In Python: `jaxode.load(RUN).predict(INPUTS)`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxode.checks import ConfigError, Range, shown
from jaxode.cli.command import add_solve_flags, new_parser, run_command
from jaxode.cli.converters import Choice, Number, nonempty, path_text, to_path
from jaxode.cli.parser import Parser

MOST_CLASSES = 1000


def build_parser() -> Parser:
    """The flags."""
    parser = new_parser("jaxode predict", "RUN INPUT [INPUT ...] [flags]", __doc__)
    add = parser.add_argument
    add("run", type=to_path, metavar="RUN", help="a run's directory or a file of weights")
    add("inputs", type=path_text, nargs="+", metavar="INPUT", help="a file or a folder")
    add(
        "--times",
        type=nonempty,
        metavar="LIST",
        help="at which values of series are predicted, joined by commas (default: their own)",
    )
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
        help="classes to print of each input, the most probable first (default: 1)",
    )
    add(
        "--score",
        type=Number(float, Range(0, 1)),
        metavar="X",
        help="that an object has at least (default: that of the largest F1 on the test images)",
    )
    add(
        "--batch-size",
        type=Number(int, Range(1, 1 << 20)),
        metavar="N",
        help="inputs that are solved together (default: 128; 2000 points, 8 large pictures)",
    )
    add("--csv", type=to_path, metavar="FILE", help="write all numbers as CSV")
    add(
        "--pictures",
        type=to_path,
        metavar="DIR",
        help="write each picture with what was found in it: boxes, depth (and metres as .npy)",
    )
    add_solve_flags(parser)
    return parser


def times(text: str) -> list[float]:
    """The numbers of --times. Raises ConfigError."""
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise ConfigError(f"--times must be numbers joined by commas, got {shown(text)}") from None


def work(options: argparse.Namespace, solve: dict[str, Any]) -> str:
    """Load, predict, print."""
    from jaxode.inference import PicturePredictions, load
    from jaxode.inference.base import DrawnAnswer
    from jaxode.runs.files import write_whole

    model = load(options.run, checkpoint=options.checkpoint).with_solve(**solve)
    given: dict[str, Any] = {"score": options.score}
    if options.times is not None:
        given["times"] = times(options.times)
    given = {name: value for name, value in given.items() if value is not None}
    for name in given:
        if name not in model.predict_options:
            raise ConfigError(f"--{name} must be left out: {options.run} predicts without it")
    if options.batch_size is not None:
        given["batch_size"] = options.batch_size
    found = model.predict_files([Path(each) for each in options.inputs], **given)
    if options.top is not None and not isinstance(found, PicturePredictions):
        raise ConfigError(f"--top is for models of classes, and {options.run} predicts none")
    if options.pictures is not None:
        if not isinstance(found, DrawnAnswer):
            raise ConfigError(f"--pictures must be left out: {options.run} finds nothing to draw")
        found.write_pictures(options.pictures)
    if options.csv is not None:
        write_whole(options.csv, found.to_csv().encode())
    if options.top in (None, 1) or not isinstance(found, PicturePredictions):
        return found.table()
    rows = zip(found.names, found.top(options.top), strict=True)
    return "\n".join(
        f"{name}  " + "  ".join(f"{label} {probability:.4f}" for label, probability in best)
        for name, best in rows
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(argv, build_parser(), work)
