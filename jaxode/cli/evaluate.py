"""Evaluate a trained model, with other tolerances or another solver if asked for.

    jaxode evaluate runs/mnist/RUN
    jaxode evaluate runs/mnist/RUN --tolerances 1e-1,1e-2,1e-3,1e-4,1e-5
    jaxode evaluate runs/mnist/RUN --solver rk4 --step-size 0.1
    jaxode evaluate runs/density/RUN --data points.npy
    jaxode evaluate runs/series/RUN --data FOLDER
    jaxode evaluate runs/depth/RUN --data FOLDER --tolerances 1e-1,1e-2,1e-3

A density is evaluated on points in a file, a model of series on those of a file or folder, as
`jaxode predict` reads them; a detector or a model of depth on the test images of a folder, laid out
as for training; a classifier on the test split of its data set. Nothing is trained.

In Python: `jaxode.evaluate(jaxode.load(RUN), rtol=1e-1, atol=1e-1)`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxode.checks import ConfigError, Range, require
from jaxode.cli.command import add_solve_flags, new_parser, run_command
from jaxode.cli.converters import Choice, Number, dataset_name, nonempty, path_text, to_path
from jaxode.cli.parser import Parser
from jaxode.config import TOLERANCES
from jaxode.data import dataset_names

if TYPE_CHECKING:
    from jaxode.inference import Evaluation


def build_parser() -> Parser:
    """The flags."""
    parser = new_parser("jaxode evaluate", "RUN [flags]", __doc__)
    add, names = parser.add_argument, dataset_names()
    add("run", type=to_path, metavar="RUN", help="a run's directory or a file of weights")
    add(
        "--checkpoint",
        type=Choice(("last", "best")),
        default="last",
        metavar="NAME",
        help="of a run: last or best (default: last)",
    )
    add(
        "--dataset",
        type=dataset_name,
        metavar="NAME",
        help=f"another data set with as many classes: {', '.join(names)} (default: the run's)",
    )
    data = "points or series, as of `jaxode predict`; a folder of images with boxes or depth"
    add("--data", type=to_path, metavar="PATH", help=data)
    add(
        "--per-metre",
        type=Number(float, Range(1e-3, 1e6)),
        metavar="X",
        help="of a model of depth: value of a metre in the folder's maps (default: the run's)",
    )
    add(
        "--crop",
        type=Choice(("eigen", "none")),
        metavar="NAME",
        help="of a model of depth: part of a picture that is measured (default: the run's)",
    )
    add("--data-dir", type=path_text, metavar="DIR", help="folder with the original files")
    add(
        "--split",
        type=Choice(("test", "train")),
        default="test",
        metavar="NAME",
        help="test or train (default: test)",
    )
    add(
        "--batch-size",
        type=Number(int, Range(1, 1 << 20)),
        metavar="N",
        help="images that are solved together (default: as in training)",
    )
    add(
        "--tolerances",
        type=nonempty,
        metavar="LIST",
        help="evaluate with rtol = atol = each of these numbers, joined by commas",
    )
    add("--json", type=to_path, metavar="FILE", help="write all figures as JSON")
    add_solve_flags(parser)
    return parser


def tolerances(text: str) -> list[float]:
    """The numbers of --tolerances. Raises ConfigError."""
    convert = Number(float, TOLERANCES)
    try:
        return [convert(word.strip()) for word in text.split(",")]
    except argparse.ArgumentTypeError as error:
        raise ConfigError(f"--tolerances {error}") from error


def work(options: argparse.Namespace, solve: dict[str, Any]) -> str:
    """Load, evaluate, print."""
    from jaxode.inference import TrainedDepth, TrainedModel, evaluate, load
    from jaxode.inference.evaluation import dataset_for
    from jaxode.runs.files import write_whole

    settings = [solve]
    if options.tolerances is not None:
        if {"rtol", "atol"} & set(solve):
            raise ConfigError("give --tolerances, or --rtol and --atol, not both")
        settings = [{**solve, "rtol": t, "atol": t} for t in tolerances(options.tolerances)]
    model = load(options.run, checkpoint=options.checkpoint)
    if options.tolerances is not None and model.config.solve.step_size is not None:
        # Of a run with fixed steps, which have no use for tolerances.
        settings = [{"step_size": None, **changes} for changes in settings]
    data: Any = options.data
    if isinstance(model, TrainedDepth):
        model = model.read_as(per_metre=options.per_metre, crop=options.crop)
    else:
        for flag, value in (("--per-metre", options.per_metre), ("--crop", options.crop)):
            require(value is None, flag, value, "left out: it is of models of depth")
    if isinstance(model, TrainedModel):
        require(data is None, "--data", data, "left out for a classifier of images")
        data = dataset_for(model, options.dataset, options.data_dir)
    else:
        for flag, value in (("--dataset", options.dataset), ("--data-dir", options.data_dir)):
            require(value is None, flag, value, "left out: --data is what this model is shown")
    found = [
        evaluate(model, data, split=options.split, batch_size=options.batch_size, **changes)
        for changes in settings
    ]
    if options.json is not None:
        records = [
            {"solve": changes, **each.to_json()}
            for changes, each in zip(settings, found, strict=True)
        ]
        write_whole(options.json, (json.dumps(records, indent=1) + "\n").encode())
    if options.tolerances is None:
        return str(found[0])
    return table(settings, found)


def table(settings: Sequence[dict[str, Any]], found: Sequence[Evaluation]) -> str:
    """A line for each tolerance: accuracy, or the first of the task's other numbers."""
    classes = "accuracy" in found[0].metrics
    name = "accuracy" if classes else next(each for each in found[0].metrics if each != "loss")
    head = name.replace("_", " ")
    rows = [f"{'rtol = atol':>11}  {head:>8}  {'loss':>8}  evaluations"]
    for changes, each in zip(settings, found, strict=True):
        value = f"{100 * each.accuracy:>6.2f} %" if classes else f"{each.metrics[name]:>8.4g}"
        rows.append(
            f"{changes['rtol']:>11g}  {value:>{max(8, len(head))}}  {each.metrics['loss']:>8.4f}"
            f"  {each.nfe or 0:>11.1f}"
        )
    return "\n".join(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(argv, build_parser(), work)
