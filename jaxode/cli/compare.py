"""Put runs side by side; those that differ only in their seed become mean ± standard deviation.

jaxode compare runs/mnist/*
jaxode compare runs/a runs/b --picture compare.png --markdown compare.md --csv compare.csv
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from jaxode.checks import ConfigError
from jaxode.cli.command import new_parser, run_command
from jaxode.cli.converters import nonempty, to_path
from jaxode.cli.parser import Parser


def build_parser() -> Parser:
    """The flags."""
    parser = new_parser("jaxode compare", "RUN [RUN ...] [flags]", __doc__)
    add = parser.add_argument
    add("runs", type=to_path, nargs="+", metavar="RUN", help="a run's directory")
    add("--markdown", type=to_path, metavar="FILE", help="write the table in Markdown")
    add("--csv", type=to_path, metavar="FILE", help="write one line a run, with all digits")
    add("--picture", type=to_path, metavar="FILE", help="write the learning curves as PNG")
    add(
        "--metric",
        type=nonempty,
        default="test_accuracy",
        metavar="NAME",
        help="what the picture shows: a number of metrics.jsonl (default: test_accuracy)",
    )
    return parser


def work(options: argparse.Namespace, solve: dict[str, Any]) -> str:
    """Read, group, write, print."""
    from jaxode.runs.comparison import compare_runs
    from jaxode.runs.files import write_whole

    found = compare_runs(options.runs)
    if options.markdown is not None:
        write_whole(options.markdown, found.to_markdown().encode())
    if options.csv is not None:
        write_whole(options.csv, found.to_csv().encode())
    if options.picture is not None:
        from jaxode.plots import comparison
        from jaxode.runs.history import METRICS
        from jaxode.strict_json import read_objects

        groups = [
            (group.label, [read_objects(run.path / METRICS) for run in group.runs])
            for group in found.groups
        ]
        if any(options.metric not in r for _, runs in groups for run in runs for r in run):
            known = ", ".join(groups[0][1][0][0])
            raise ConfigError(f"--metric must be one of {known}, got {options.metric}")
        share = options.metric.endswith(("accuracy", "f1", "precision", "recall"))
        title = options.metric.replace("_", " ") + (" in %" if share else "")
        picture = comparison.draw(groups, options.metric, 100 if share else 1, title)
        write_whole(options.picture, picture)
    return found.to_text()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(argv, build_parser(), work)
