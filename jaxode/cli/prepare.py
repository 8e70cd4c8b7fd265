"""Prepare a data set ahead of training: fetch or find its original files, check and parse them.

    jaxode prepare mnist --data-dir data            # writes data/prepared/mnist

Training does the same at its first start. In Python: `jaxode.load_dataset(NAME, DIR)`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

from jaxode.cli.command import new_parser, run_command
from jaxode.cli.converters import Choice, path_text
from jaxode.cli.parser import Parser
from jaxode.data import SPECS


def build_parser() -> Parser:
    """The flags."""
    parser, names = new_parser("jaxode prepare", "DATASET [flags]", __doc__), tuple(SPECS)
    parser.add_argument(
        "dataset", type=Choice(names), metavar="DATASET", help=f"one of {', '.join(names)}"
    )
    parser.add_argument(
        "--data-dir",
        type=path_text,
        metavar="DIR",
        help="folder with the original files, or where to store them",
    )
    return parser


def work(options: argparse.Namespace, solve: dict[str, Any]) -> str:
    """Load, and state what is there."""
    return prepare(options.dataset, options.data_dir)


def prepare(dataset: str, data_dir: str | None) -> str:
    """Prepare a data set; returns how many images there are, in one line.

    Raises:
      DataError: it cannot be had, or a file is not what it should be.
    """
    from jaxode.config import DataConfig
    from jaxode.data import load

    start = time.perf_counter()
    full = load(DataConfig(dataset=dataset, data="full", data_dir=data_dir))
    return (
        f"{dataset}: {len(full.train_images)} training and {len(full.test_images)} test images"
        f" ready in {time.perf_counter() - start:.1f} s, SHA-256 {full.fingerprint}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(argv, build_parser(), work)
