"""Classify pictures with a trained model.

    jaxode predict runs/mnist/RUN seven.png three.png
    jaxode predict runs/mnist/RUN pictures/ --top 3 --csv predictions.csv

RUN is a run's directory or a file of weights that `jaxode export --format safetensors` wrote.
Pictures are files or folders, of any size and mode: the middle square is resized as it was for
training. In Python: `jaxode.load(RUN).predict(PICTURES)`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxode.checks import Range
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
        default=1,
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
    add("--csv", type=to_path, metavar="FILE", help="write all probabilities as CSV")
    add_solve_flags(parser)
    return parser


def work(options: argparse.Namespace, solve: dict[str, Any]) -> str:
    """Load, predict, print."""
    from jaxode.inference import load
    from jaxode.runs.files import write_whole

    model = load(options.run, checkpoint=options.checkpoint).with_solve(**solve)
    found = model.predict([Path(each) for each in options.pictures], batch_size=options.batch_size)
    if options.csv is not None:
        write_whole(options.csv, found.to_csv().encode())
    if options.top == 1:
        return found.table()
    rows = zip(found.names, found.top(options.top), strict=True)
    return "\n".join(
        f"{name}  " + "  ".join(f"{label} {probability:.4f}" for label, probability in best)
        for name, best in rows
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(argv, build_parser(), work)
