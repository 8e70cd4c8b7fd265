"""Say what a run or a file of weights holds: model, data, settings, results.

jaxode info runs/mnist/RUN
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from jaxode.checks import ConfigError
from jaxode.cli.command import new_parser, run_command
from jaxode.cli.converters import to_path
from jaxode.cli.parser import Parser

RESULTS = ("status", "epochs", "test_accuracy", "best_test_accuracy", "best_epoch", "nfe_forward",
           "nfe_backward", "parameters", "kernels", "device", "commit")  # fmt: skip
"""Of result.json, in this order."""


def build_parser() -> Parser:
    """The flags."""
    parser = new_parser("jaxode info", "RUN [--json]", __doc__)
    parser.add_argument(
        "run", type=to_path, metavar="RUN", help="a run's directory or a file of weights"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def work(options: argparse.Namespace, solve: dict[str, Any]) -> str:
    """Read and print."""
    from jaxode.errors import ResumeError
    from jaxode.inference import load
    from jaxode.inference.recorded_models import loader_of
    from jaxode.runs import read_config
    from jaxode.strict_json import read_object

    result: dict[str, Any] = {}
    if options.run.is_dir():
        try:
            recorded = loader_of(options.run)
            known = None if recorded is None else recorded(options.run, "last").config
            config = (known or read_config(options.run)).to_json()
            result = read_object(options.run / "result.json")
        except (ResumeError, ValueError) as error:
            raise ConfigError(str(error)) from error
    else:
        config = load(options.run).config.to_json()
    if options.json:
        return json.dumps({"config": config, "result": result})
    lines = [f"{name}: {result[name]}" for name in RESULTS if result.get(name) is not None]
    for name, value in config.items():
        if isinstance(value, dict):
            lines += [f"{name}.{inner}: {each}" for inner, each in value.items()]
        else:
            lines.append(f"{name}: {value}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(argv, build_parser(), work)
