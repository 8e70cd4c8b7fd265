"""Draw points of a trained density, or give the log-densities of points.

    jaxode sample runs/density/circles --n 1000 --out points.npy
    jaxode sample runs/density/circles --log-density points.npy --out log_p.npy

RUN is a directory that `python -m experiments.density` wrote. Without --out, the numbers are
printed, a point a line. Points are in the units of the data: where the flow was trained on
standardised ones, that is undone. In Python: `jaxode.load(RUN).sample(1000)` and `.log_density`.

Of a flow of images, --out is a PNG sheet (samples.png) or an .npy file of bytes, --log-density an
.npy file of bytes [N, H, W, C], and log-densities are by Hutchinson's estimate with a fixed draw.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxode.checks import SEEDS, ConfigError, Range
from jaxode.cli.command import add_solve_flags, new_parser, run_command
from jaxode.cli.converters import Choice, Number, to_path
from jaxode.cli.parser import Parser

MOST_POINTS = 10_000_000

SHEET = Path("samples.png")
"""Where images are drawn if no other file is named."""

COLUMNS = 16
"""Of a sheet."""


def build_parser() -> Parser:
    """The flags."""
    parser = new_parser("jaxode sample", "RUN [--n N | --log-density FILE] [flags]", __doc__)
    add = parser.add_argument
    add("run", type=to_path, metavar="RUN", help="a run's directory")
    add(
        "--n",
        type=Number(int, Range(1, MOST_POINTS)),
        default=10,
        metavar="N",
        help="points to draw (default: 10)",
    )
    add("--seed", type=Number(int, SEEDS), default=0, metavar="N", help="of the points")
    add("--log-density", type=to_path, metavar="FILE", help=".npy or .csv file of points [N, D]")
    add("--out", type=to_path, metavar="FILE", help="write an .npy file")
    add(
        "--checkpoint",
        type=Choice(("last", "best")),
        default="last",
        metavar="NAME",
        help="of the run: last or best (default: last)",
    )
    add_solve_flags(parser)
    return parser


def work(options: argparse.Namespace, solve: dict[str, Any]) -> str:
    """Load, draw or evaluate, print or write."""
    from jaxode.inference import TrainedDensity, load

    flow = load(options.run, checkpoint=options.checkpoint)
    if not isinstance(flow, TrainedDensity):
        raise ConfigError(f"{options.run} must be of a trained density, and is {flow!r}")
    flow = flow.with_solve(**solve)
    if options.log_density is not None:
        found = flow.predict_files([options.log_density]).values
    else:
        found = flow.sample(options.n, options.seed)
    images = found.ndim == 4
    out = options.out or (SHEET if images else None)
    if out is None:
        return "\n".join(" ".join(f"{x:.6g}" for x in row) for row in found.reshape(len(found), -1))
    write(out, found if images else found.astype("float32"))
    return f"{list(found.shape)} written to {out}"


def write(out: Path, found: Any) -> None:
    """Write an array: images as a sheet where the name is a PNG's, else as .npy."""
    import numpy as np

    from jaxode.plots.image_sheet import image_sheet
    from jaxode.runs.files import write_whole

    if out.suffix == ".png" and found.ndim == 4:
        return write_whole(out, image_sheet(found, COLUMNS))
    packed = io.BytesIO()
    np.save(packed, found)
    write_whole(out, packed.getvalue())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(argv, build_parser(), work)
