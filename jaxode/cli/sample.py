"""Draw points of a trained density, or give the log-densities of points.

    jaxode sample runs/density/circles --n 1000 --out points.npy
    jaxode sample runs/density/circles --log-density points.npy --out log_p.npy

RUN is a directory that `python -m experiments.density` wrote. Without --out, the numbers are
printed, a point a line. Points are in the units that the flow was trained in: tables are
standardised.

Of a flow of images, --out is a PNG sheet (samples.png) or an .npy file of bytes, --log-density an
.npy file of bytes [N, H, W, C], and log-densities are by Hutchinson's estimate with a fixed draw.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxode.checks import SEEDS, ConfigError, Range, one_line
from jaxode.cli import sample_images
from jaxode.cli.command import add_solve_flags, new_parser, run_command
from jaxode.cli.converters import Choice, Number, to_path
from jaxode.cli.parser import Parser

if TYPE_CHECKING:
    import numpy as np

    from jaxode.models import ContinuousFlow

MOST_POINTS = 10_000_000

BATCH = 2000
"""Points that are solved together."""


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
    add("--log-density", type=to_path, metavar="FILE", help=".npy file of points [N, D]")
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
    if sample_images.is_of_images(options.run):
        return sample_images.work(options, solve)
    import numpy as np

    from jaxode.runs.files import write_whole

    flow = load_flow(options.run, options.checkpoint, solve)
    if options.log_density is not None:
        found = log_densities(flow, read_points(options.log_density, flow.dimensions))
    else:
        found = samples(flow, options.n, options.seed)
    if options.out is None:
        return "\n".join(" ".join(f"{x:.6g}" for x in row) for row in found.reshape(len(found), -1))
    packed = io.BytesIO()
    np.save(packed, found)
    write_whole(options.out, packed.getvalue())
    return f"{list(found.shape)} written to {options.out}"


def load_flow(run: Path, checkpoint: Any, solve: dict[str, Any]) -> ContinuousFlow:
    """The trained flow of a run, solved with other settings if any are given.

    Raises ConfigError.
    """
    from flax import nnx

    from jaxode.inference import load
    from jaxode.models.flow import ContinuousFlow
    from jaxode.models.flow_config import FILE, FlowConfig, create_flow
    from jaxode.runs import read_config
    from jaxode.strict_json import read_object

    path = run / FILE
    if not path.is_file():
        raise ConfigError(f"{run} must be the directory of a trained density, and has no {FILE}")
    try:
        which = FlowConfig.from_json(read_object(path))
        config = read_config(run, ContinuousFlow).solve
    except ValueError as error:
        raise ConfigError(one_line(error)) from error
    flow: Any = load(run, model=create_flow(which, config, nnx.Rngs(0)), checkpoint=checkpoint)
    trained = flow.model
    trained.solve = flow.config.replaced(**solve).solve
    return trained


def samples(flow: ContinuousFlow, count: int, seed: int) -> np.ndarray:
    """Points [count, D]. Raises SolveError."""
    import jax
    import numpy as np

    draw = jax.jit(lambda key: flow.sample(key, min(count, BATCH)))
    parts, first = [], jax.random.key(seed)
    for k in range(-(-count // BATCH)):
        points, stats = draw(jax.random.fold_in(first, k))
        stats.check()
        parts.append(np.asarray(points))
    return np.concatenate(parts)[:count]


def log_densities(flow: ContinuousFlow, points: np.ndarray) -> np.ndarray:
    """Log-densities [N] in nats. Raises SolveError."""
    import jax
    import numpy as np

    size = min(len(points), BATCH)
    count = -(-len(points) // size)
    padded = np.resize(points, (count * size, points.shape[1]))
    evaluate, parts = jax.jit(lambda x: flow.log_prob(x)), []
    for part in np.split(padded, count):
        log_p, stats = evaluate(part)
        stats.check()
        parts.append(np.asarray(log_p))
    return np.concatenate(parts)[: len(points)]


def read_points(path: Path, dimensions: int) -> np.ndarray:
    """Points [N, D] of an .npy file. Raises ConfigError."""
    import numpy as np

    try:
        points = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"cannot read {path}: {one_line(error)}") from error
    array = isinstance(points, np.ndarray) and points.ndim == 2 and points.dtype.kind in "fiu"
    if not array or points.shape[1] != dimensions or not len(points):
        shape = list(getattr(points, "shape", ()))
        raise ConfigError(f"{path} must be an array [N, {dimensions}] of numbers, got {shape}")
    if not np.isfinite(points).all():
        raise ConfigError(f"{path} must hold finite numbers alone")
    return points.astype(np.float32)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(argv, build_parser(), work)
