"""The body of a command that uses a trained model: errors to exit codes, JAX started in time."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from jaxode.checks import ConfigError
from jaxode.cli import compilation_cache, environment, process
from jaxode.cli.flags import add_fields
from jaxode.cli.parser import Parser, parse_flags
from jaxode.cli.signals import Signals
from jaxode.cli.texts import os_error_text
from jaxode.config import SolveConfig

WRONG_REQUEST, FAILED = 2, 1

Work = Callable[[argparse.Namespace, dict[str, Any]], str]
"""Flags, and the solve settings among them that were given → what is printed on stdout.

Raises ConfigError, DataError, SolveError, OSError.
"""


def new_parser(prog: str, usage: str, doc: str | None) -> Parser:
    """A parser whose flags that are not given are None."""
    return Parser.from_doc(prog, doc, usage=f"%(prog)s {usage}")


def add_solve_flags(parser: Parser) -> None:
    """Flags that change how the ODE blocks of a trained model are solved."""
    about = "settings to change; by default as in training"
    group = parser.add_argument_group("solve", about)
    backward = tuple(name for name in SOLVE_FIELDS if name not in FORWARD)
    add_fields(group, SolveConfig, dict.fromkeys(SOLVE_FIELDS), backward)
    for action in group._group_actions:
        action.default = argparse.SUPPRESS


SOLVE_FIELDS = tuple(SolveConfig.__dataclass_fields__)
FORWARD = ("solver", "rtol", "atol", "step_size", "stepping", "max_steps", "per_sample")
"""Settings that a forward solve depends on."""


def run_command(argv: Sequence[str] | None, parser: Parser, work: Work) -> int:
    """Parse, work, print; returns the exit code: 0, 2 for a wrong request, 1 for a failure.

    Args:
      argv: arguments, or None for those of the process.
      parser: of the command.
      work: what it does.
    """

    def body(signals: Signals) -> int:
        signals.at_once = True  # nothing is to be cleaned up yet, and JAX is to be imported
        values = parse_flags(parser, argv)
        solve = {name: values.pop(name) for name in FORWARD if name in values}
        try:
            environment.start_jax()
        except ConfigError as error:
            return process.report(parser.prog, error, WRONG_REQUEST)
        return _answered(parser, lambda: work(argparse.Namespace(**values), solve), signals)

    return process.guarded(parser.prog, body)


def _answered(parser: Parser, work: Callable[[], str], signals: Signals) -> int:
    from jaxode.data import DataError
    from jaxode.errors import out_of_memory
    from jaxode.ode import SolveError

    signals.at_once = False
    try:
        environment.start_devices()
        compilation_cache.enable()
        text = work()
    except (ConfigError, DataError) as error:
        return process.report(parser.prog, error, WRONG_REQUEST)
    except SolveError as error:
        return process.report(parser.prog, error, FAILED)
    except OSError as error:
        return process.report(parser.prog, os_error_text(error), FAILED)
    except Exception as error:
        if not out_of_memory(error):
            raise
        return process.report(parser.prog, "out of memory: use a smaller --batch-size", FAILED)
    if text:
        print(text)
        sys.stdout.flush()
    return 0
