"""Measure what the documents claim of neural ODEs.

    python -m scripts.claims memory size
    python -m scripts.claims tolerance drift --run runs/mnist/RUN --data-dir data
    python -m scripts.claims loose --run runs/mnist/AT-1e-5 --run runs/mnist/AT-1e-3

  memory     working memory of a training step by the number of solver steps, for every gradient
  mode tolerance  error, time and accuracy of a trained ODENet by tolerance loose      accuracy,
  loss and evaluations of trained ODENets at other tolerances than their own drift      how far the
  trajectory found backward drifts, and what that does to the gradient size       model files of
  ODENet and ResNet 8, and memory of training with and without the adjoint

Writes NAME.json and NAME.png, and claims.md of all that has been measured so far. Claims that are
named are measured, again if need be; without a name, those that are not there yet; and if none is
missing, all pictures are drawn anew from the JSON files. tolerance and drift take the first --run,
loose takes all.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import jax

from jaxode.checks import COUNTS, ConfigError, require
from jaxode.cli import process
from jaxode.cli.converters import Number, nonempty, path_text, to_path
from jaxode.cli.parser import Parser, parse_flags
from jaxode.data import DataError
from jaxode.errors import CheckpointError, ResumeError
from jaxode.runs.files import make_writable
from jaxode.runs.provenance import origin
from scripts.bench.rows import PACKAGES
from scripts.claims import CLAIMS, report
from scripts.claims.subject import USUAL_IMAGES, Request


def build_parser() -> Parser:
    """The flags."""
    parser = Parser.from_doc("python -m scripts.claims", __doc__)
    add = parser.add_argument
    usual = "folder with the original data files (default: that of the run)"
    add(
        "names",
        type=nonempty,
        nargs="*",
        metavar="NAME",
        help=f"one of {', '.join(CLAIMS)} (default: those not yet measured)",
    )
    add(
        "--run",
        type=to_path,
        action="append",
        default=[],
        metavar="DIR",
        help="a trained ODENet's run; may be repeated",
    )
    add(
        "--out",
        type=to_path,
        default=Path("docs/results/claims"),
        metavar="DIR",
        help="(default: docs/results/claims)",
    )
    add("--data-dir", type=path_text, metavar="DIR", help=usual)
    add(
        "--limit-test",
        type=Number(int, COUNTS),
        metavar="N",
        help=f"test images to use (default: the first {USUAL_IMAGES:,})",
    )
    return parser


def chosen(options: argparse.Namespace) -> list[str]:
    """The claims to be measured. Raises ConfigError, for a damaged record too."""
    for name in options.names:
        require(name in CLAIMS, "NAME", name, f"one of {', '.join(CLAIMS)}")
    finished = report.stored(options.out)
    names = list(dict.fromkeys(options.names)) or [name for name in CLAIMS if name not in finished]
    lacking = [name for name in names if report.module(name).NEEDS_RUN]
    if lacking and not options.run:
        raise ConfigError(
            f"--run must name the directory of a trained ODENet's run for {', '.join(lacking)}, got"
            " none"
        )
    return names


def carry_out(options: argparse.Namespace, names: Sequence[str], command: str) -> None:
    """Measure the claims one after the other; each is stored when it is done.

    Raises what they raise.
    """
    request = Request(tuple(options.run), options.data_dir, options.limit_test)
    for name in names:
        begin = time.perf_counter()
        found = report.module(name).measure(request)
        report.store(options.out, name, {"origin": origin(command, *PACKAGES), "found": found})
        report.write(options.out)
        jax.clear_caches()
        print(f"{name}: {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
    measured = report.write(options.out, redraw=not names)
    print(f"{len(measured)} of {len(CLAIMS)} claims measured; written to {options.out}")


@process.command("scripts.claims", "the claims that were finished are kept")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code: 2 for a wrong request, 1 if a measurement fails."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    try:
        options = argparse.Namespace(**parse_flags(parser, argv))
        names = chosen(options)
        make_writable(options.out)
        carry_out(options, names, shlex.join(["python", "-m", "scripts.claims", *argv]))
    except SystemExit as stop:
        return int(stop.code or 0)
    except (ConfigError, DataError, ResumeError, CheckpointError, OSError) as error:
        return process.report(parser.prog, error, 2)
    except RuntimeError as error:
        return process.report(parser.prog, error, 1)
    except KeyboardInterrupt:
        print(f"{parser.prog}: stopped; the claims that were finished are kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
