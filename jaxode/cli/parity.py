"""Compare a PyTorch module with an nnx module: weights, outputs, every layer, every gradient.

SCRIPT is a Python file with a function models(), which returns the two modules and the inputs of
the PyTorch module:

  def models():
      return torch_module, nnx_module, inputs

or a dict of the arguments of jaxode.parity.check. The exit code is 0 if both compute the same, 1 if
they differ, 2 for a wrong request.

jaxode parity compare.py
jaxode parity compare.py --picture errors.png --json errors.json
"""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Sequence
from typing import Any

from jaxode.checks import SEEDS, ConfigError, closest, shown
from jaxode.cli.command import FAILED, new_parser, run_command
from jaxode.cli.converters import Choice, Number, to_path
from jaxode.cli.parser import Parser


def build_parser() -> Parser:
    """The flags."""
    parser = new_parser("jaxode parity", "SCRIPT [flags]", __doc__)
    add = parser.add_argument
    add("script", type=to_path, metavar="SCRIPT", help="a Python file with a function models()")
    add("--train", action="store_true", default=None, help="compare in training mode")
    kinds = ("float64", "float32")
    add("--dtype", type=Choice(kinds), metavar="TYPE", help=f"{' or '.join(kinds)} (float64)")
    add("--seed", type=Number(int, SEEDS), metavar="N", help="of the random cotangent (default: 0)")
    add("--picture", type=to_path, metavar="FILE", help="write the errors as PNG")
    add("--json", type=to_path, metavar="FILE", help="write everything as JSON")
    return parser


class _Comparison:
    """The work of the command, and whether the two sides were equal."""

    equal = True

    def __call__(self, options: argparse.Namespace, solve: dict[str, Any]) -> str:
        """Run the script, compare, write; returns the table."""
        from jaxode.parity import check
        from jaxode.parity.script import read_script
        from jaxode.parity.torch_run import require_torch
        from jaxode.runs.files import write_whole

        require_torch()
        arguments = read_script(options.script)
        known = [*inspect.signature(check).parameters]
        for name in arguments:
            if name not in known:
                close = closest(str(name), known)
                hint = f": did you mean {close}?" if close else ""
                given = f"{shown(name)}{hint}"
                raise ConfigError(
                    f"models() must return arguments of jaxode.parity.check, got {given}"
                )
        flags = {name: getattr(options, name) for name in ("train", "dtype", "seed")}
        arguments |= {name: value for name, value in flags.items() if value is not None}
        report = check(**arguments)
        if options.json is not None:
            write_whole(options.json, json.dumps(report.as_dict(), indent=1).encode())
        if options.picture is not None:
            write_whole(options.picture, report.picture())
        self.equal = report.passed
        return str(report)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    work = _Comparison()
    code = run_command(argv, build_parser(), work)
    return code or (0 if work.equal else FAILED)
