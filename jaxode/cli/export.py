"""Write a trained model in a format that other programs read.

    jaxode export runs/mnist/RUN digits.stablehlo        # a program: uint8 images to probabilities
    jaxode export runs/mnist/RUN digits.onnx --solver rk4 --step-size 0.1
    jaxode export runs/mnist/RUN digits.safetensors      # weights and settings, for jaxode.load
    jaxode export runs/mnist/RUN digits.pt               # a state_dict for PyTorch

The format is that of the file's name, or --format. Programs take images of the size that the data
set stores, before normalisation. In Python: `jaxode.export.save(jaxode.load(RUN), FILE)`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from jaxode.cli.command import add_solve_flags, new_parser, run_command
from jaxode.cli.converters import Choice, to_path
from jaxode.cli.parser import Parser

FORMATS = ("stablehlo", "onnx", "safetensors", "npz", "torch")


def build_parser() -> Parser:
    """The flags."""
    parser = new_parser("jaxode export", "RUN FILE [flags]", __doc__)
    add = parser.add_argument
    add("run", type=to_path, metavar="RUN", help="a run's directory or a file of weights")
    add("file", type=to_path, metavar="FILE", help="what to write")
    add(
        "--format",
        type=Choice(FORMATS),
        metavar="NAME",
        help=f"{', '.join(FORMATS)} (default: by the end of FILE)",
    )
    add(
        "--checkpoint",
        type=Choice(("last", "best")),
        default="last",
        metavar="NAME",
        help="of a run: last or best (default: last)",
    )
    add_solve_flags(parser)
    return parser


def work(options: argparse.Namespace, solve: dict[str, Any]) -> str:
    """Load, convert, write."""
    from jaxode.export import save
    from jaxode.inference import load_classifier

    model = load_classifier(options.run, checkpoint=options.checkpoint).with_solve(**solve)
    path = save(model, options.file, options.format)
    return f"wrote {path}, {path.stat().st_size:,} bytes"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(argv, build_parser(), work)
