"""Train the same classifier in each precision and measure what the precision changes.

    python -m scripts.precision --dataset mnist --epochs 2 --limit-train 4096 --out docs/precision

Runs start from the same parameters, drawn in float32, and see the same images in the same order.
Writes precision.json and precision.md: accuracy, loss, evaluations and steps of each run, and how
far its first batch's logits and gradient are from float64's. Finished runs are kept: the same
command goes on where it was stopped. Without TF32 on this device there is nothing to measure for
tf32, which is float32 then.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import jax

from jaxode.checks import SEEDS, ConfigError, require_choice
from jaxode.cli import process
from jaxode.cli.converters import Number, nonempty, to_path
from jaxode.cli.parser import Parser, parse_flags
from jaxode.cli.texts import data_text
from jaxode.config import Precision, RunConfig
from jaxode.data import DataError, ImageSet, load
from jaxode.errors import RunFailed, Stopped
from jaxode.nn.kernels import has_tf32
from jaxode.plots.tables import markdown_table
from jaxode.runs import make_writable
from jaxode.runs.files import write_json, write_whole
from jaxode.runs.provenance import versions_text
from scripts.precision_rows import REFERENCE, first_batch, measured
from scripts.settings import settings, settings_parser
from scripts.unfinished import Unfinished


def markdown(
    rows: Sequence[dict[str, Any]], config: RunConfig, data: ImageSet, command: str
) -> str:
    """The rows as a document."""
    good = [row for row in rows if row["failure"] is None]
    lines = ["# Precision", "", f"`{command}`", ""]
    if good:
        versions = versions_text(good[-1]["versions"])
        dates = ", ".join(sorted({row["date"] for row in good}))
        machine = f"{good[-1]['device']}, {os.cpu_count()} cores"
        lines += [
            f"{data_text(data)}; {config.epochs} epochs; {machine}; {versions}; {dates}.",
            "",
        ]
    head = (
        "precision",
        "seed",
        "test accuracy %",
        "test loss",
        "training loss",
        "evaluations",
        "steps (rejected)",
        "skipped updates",
        "images/s",
        "logits",
        "gradient",
    )
    table = []
    for row in rows:
        errors = [f"{row['logits_error']:.1e}", f"{row['gradient_error']:.1e}"]
        if row["failure"] is not None:
            blank = [""] * (len(head) - 5)
            table.append([row["precision"], str(row["seed"]), row["failure"], *blank, *errors])
            continue
        solve = ["", ""]
        if row["nfe_forward"] is not None:
            solve = [f"{row['nfe_forward']:.2f}", f"{row['accepted']:.2f} ({row['rejected']:.2f})"]
        skipped = "" if row["skipped_steps"] is None else str(row["skipped_steps"])
        cells = [
            row["precision"],
            str(row["seed"]),
            f"{100 * row['test_accuracy']:.2f}",
            f"{row['test_loss']:.4f}",
        ]
        cells += [f"{row['loss']:.4f}", *solve, skipped, f"{row['images_per_second']:.0f}"]
        table.append([*cells, *errors])
    lines.append(markdown_table(head, table))
    missing = (
        ""
        if any(row["precision"] == "tf32" for row in rows) or has_tf32()
        else " This device has no TF32."
    )
    lines += ["", READING + missing, ""]
    return "\n".join(lines)


READING = """\
Accuracy, losses, evaluations of a forward solve on test images and steps of a training solve are
those of the last epoch. The last two columns are the errors of the first batch at the initial
parameters against float64, as ‖a − b‖₂ / ‖b‖₂ over all numbers. A gradient's error goes with the
square root of the precision: rounding switches those ReLUs whose inputs it changes the sign of.
The runs came one after the other, so their speeds are comparable on a quiet machine alone, and on
a CPU they say nothing about a GPU's."""


def compare(
    config: RunConfig, chosen: Sequence[Precision], seeds: Sequence[int], out: Path, command: str
) -> None:
    """Measure what is not there yet and write both files.

    Raises ConfigError, DataError, OSError, and RunFailed if every run has failed.
    """
    data = load(config.data)
    config = config.replaced(data=data.source)
    print(data_text(data), file=sys.stderr)
    make_writable(out)
    kept = Unfinished(out)
    rows = []
    for seed in seeds:
        exact = None
        for precision in chosen:
            one = config.replaced(seed=seed, precision=precision)
            name = f"{precision} {asdict(one)}"
            if name not in kept.results:
                exact = exact or first_batch(config.replaced(seed=seed, precision=REFERENCE), data)
                print(f"{precision}, seed {seed}", file=sys.stderr)
                kept.add(name, measured(one, data, exact))
                jax.clear_caches()
            rows.append(kept.results[name])
    if all(row["failure"] is not None for row in rows):
        raise RunFailed(f"no run came to its end, and nothing is written: {rows[0]['failure']}")
    write_json(out / "precision.json", rows)
    write_whole(out / "precision.md", markdown(rows, config, data, command))
    kept.finish()
    print(f"{len(rows)} runs; written to {out}")


def build_parser() -> Parser:
    """The flags."""
    parser = settings_parser("python -m scripts.precision", "--out DIR [flags]", __doc__ or "")
    add = parser.add_argument
    add("--out", type=to_path, required=True, metavar="DIR", help="where the two files go")
    add(
        "--seeds",
        type=Number(int, SEEDS),
        nargs="+",
        metavar="N",
        help="a run for each (default: --seed)",
    )
    add(
        "--precisions",
        type=nonempty,
        nargs="+",
        metavar="NAME",
        help="which (default: all that the device has)",
    )
    return parser


@process.command("scripts.precision", "the same command goes on with the run it was at")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    try:
        values = parse_flags(parser, argv)
        out, seeds, chosen = (
            values.pop("out"),
            values.pop("seeds", None),
            values.pop("precisions", None),
        )
        if "precision" in values:
            raise ConfigError("--precision must be left out: every one of --precisions is measured")
        for name in chosen or []:
            require_choice("--precisions", name, get_args(Precision))
        config = settings(values)
        possible: list[Precision] = [
            name for name in get_args(Precision) if name != "tf32" or has_tf32()
        ]
        for name in chosen or possible:
            config.replaced(precision=name)  # refused before anything is measured
        compare(
            config,
            chosen or possible,
            seeds or [config.seed],
            out,
            shlex.join(["python", "-m", "scripts.precision", *argv]),
        )
    except SystemExit as stop:
        return int(stop.code or 0)
    except Stopped as stop:
        return process.stopped(
            stop, f"{parser.prog}: stopped; the same command goes on with the run it was at"
        )
    except (ConfigError, DataError, OSError) as error:
        return process.report(parser.prog, error, 2)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
