"""The command line of the small experiments.

It has an output directory and few flags, and answers every wrong request in one line.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxode.checks import ConfigError
from jaxode.cli import compilation_cache, environment, process
from jaxode.cli.converters import to_path
from jaxode.cli.flags import add_fields, error_with_flag
from jaxode.cli.parser import Parser, parse_flags
from jaxode.cli.signals import Signals
from jaxode.cli.texts import os_error_text
from jaxode.cli.train import FAILED, WRONG_REQUEST, fail

if TYPE_CHECKING:
    from jaxode.runs import Progress

Work = Callable[[Any, Path, "Progress", str], str]
"""Settings, output directory, progress, command → the last line on stdout.

Raises ConfigError, DataError, ResumeError, Stopped, RunFailed, OSError.
"""

Describe = Callable[[Any], dict[str, Any]]
"""Settings → what --describe prints, as JSON values. Raises ConfigError, DataError."""


def build_parser(
    prog: str, doc: str, settings: type, out: Path, *, describes: bool = False
) -> Parser:
    """A flag for every field of `settings`, --out and --quiet; --describe if it is asked for."""
    parser = Parser.from_doc(
        prog, doc, usage="%(prog)s [flags]", argument_default=argparse.SUPPRESS
    )
    add_fields(parser, settings, dataclasses.asdict(settings()))
    parser.add_argument(
        "--out", type=to_path, metavar="DIR", help=f"where the results go (default: {out})"
    )
    parser.add_argument(
        "--quiet", action="store_true", help="print only warnings and the final summary"
    )
    if describes:
        about = "print parameters, multiply-adds of an image and shapes as JSON; train nothing"
        parser.add_argument("--describe", action="store_true", help=about)
    return parser


def main(
    argv: Sequence[str] | None,
    *,
    name: str,
    doc: str,
    settings: type,
    out: Path,
    work: Work,
    describe: Describe | None = None,
) -> int:
    """Run a small experiment in float64 and return its exit code.

    The code is 0, 1 for a failed run, 2 for a wrong request, or 128 + the number of a signal.

    Args:
        argv: arguments, or None for those of the process.
        name: the experiment's module, for messages.
        doc: its docstring, which --help prints.
        settings: dataclass of its settings, which raises ConfigError.
        out: where results go by default.
        work: what it does.
        describe: what --describe prints; None for an experiment without that flag.
    """
    words = list(sys.argv[1:] if argv is None else argv)

    def body(signals: Signals) -> int:
        signals.at_once = True  # nothing is to be cleaned up yet, and JAX is to be imported
        prog = f"python -m {name}"
        parser = build_parser(prog, doc, settings, out, describes=describe is not None)
        asked = parse_flags(parser, words)
        place, quiet = asked.pop("out", out), asked.pop("quiet", False)
        only_described = asked.pop("describe", False)
        try:
            config = settings(**asked)
            environment.start_jax()
        except ConfigError as error:
            return fail(parser, error_with_flag(error, asked), WRONG_REQUEST)
        if only_described and describe is not None:
            return print_description(parser, config, describe, signals)
        return carry_out(
            parser, config, place, quiet, shlex.join(["python", "-m", name, *words]), work, signals
        )

    return process.guarded(f"python -m {name}", body)


def print_description(parser: Parser, config: Any, describe: Describe, signals: Signals) -> int:
    """Print what the settings ask for; returns the exit code."""
    from jaxode.data import DataError

    signals.at_once = False
    try:
        environment.start_devices()
        compilation_cache.enable()
        print(json.dumps(describe(config)))
    except ConfigError as error:
        return fail(parser, error_with_flag(error, dataclasses.asdict(config)), WRONG_REQUEST)
    except DataError as error:
        return fail(parser, error, WRONG_REQUEST)
    return 0


def carry_out(
    parser: Parser, config: Any, out: Path, quiet: bool, command: str, work: Work, signals: Signals
) -> int:
    """A well-formed request; its errors become exit codes."""
    import jax

    from jaxode.data import DataError
    from jaxode.errors import ResumeError, RunFailed, Stopped, out_of_memory
    from jaxode.runs import Progress, make_writable

    signals.at_once = False
    try:
        environment.start_devices()
        make_writable(out)
    except ConfigError as error:
        return fail(parser, error, WRONG_REQUEST)
    except OSError as error:
        return fail(parser, f"cannot write into {out}: {error.strerror or error}", WRONG_REQUEST)
    compilation_cache.enable()
    progress = Progress(quiet=quiet)
    try:
        with jax.enable_x64(True):
            print(work(config, out, progress, command))
    except ConfigError as error:
        return fail(parser, error_with_flag(error, dataclasses.asdict(config)), WRONG_REQUEST)
    except (ResumeError, DataError) as error:
        return fail(parser, error, WRONG_REQUEST)
    except Stopped as stop:
        return process.stopped(stop, f"{parser.prog}: {stop}; what is done is in {out}")
    except RunFailed as error:
        return fail(parser, error, FAILED)
    except OSError as error:
        return fail(parser, os_error_text(error), FAILED)
    except Exception as error:
        if not out_of_memory(error):
            raise
        return fail(parser, "out of memory", FAILED)
    finally:
        progress.end()
    return 0
