"""Build the native kernels with address and undefined-behaviour sanitisers, and run their tests.

    python -m scripts.sanitize

A copy of the package is built in a temporary folder, so that the installed kernels stay as they
are. Every array of a kernel's workspace is an allocation of its own there: a read or write beside
it ends the tests with the sanitiser's report. Needs GCC or Clang with its sanitisers, and Linux.
Takes about ten minutes on 2 cores.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from jaxode.checks import ConfigError
from jaxode.cli import process
from jaxode.cli.converters import nonempty
from jaxode.cli.parser import Parser, parse_flags

ROOT = Path(__file__).resolve().parents[1]
TESTS = ("tests/nn/test_native.py", "tests/nn/test_native_derivatives.py")
FLAGS = (
    "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g1"
    " -DJAXODE_SANITIZE"
)


def build_parser() -> Parser:
    """The flags."""
    parser = Parser.from_doc("python -m scripts.sanitize", __doc__)
    parser.add_argument(
        "--only",
        type=nonempty,
        metavar="TEXT",
        help="only the tests that pytest selects by -k TEXT",
    )
    return parser


def preload(compiler: str) -> str:
    """Paths of the libraries that have to be there before everything else. Raises ConfigError.

    The address sanitiser's, and that of C++: without it, the sanitiser finds no function behind a
    throw of jaxlib's.
    """
    found = []
    for library in ("libasan.so", "libstdc++.so"):
        try:
            command = [compiler, f"-print-file-name={library}"]
            found.append(
                subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise ConfigError(
                f"{compiler} must be a C++ compiler with sanitisers ({error})"
            ) from error
        if not os.path.isabs(found[-1]):
            raise ConfigError(
                f"{compiler} must come with its address sanitiser, and has no {library}"
            )
    return " ".join(found)


def build(folder: Path) -> None:
    """A copy of the package with sanitised kernels. Raises ConfigError."""
    built = shutil.ignore_patterns("*.so", "__pycache__")
    for name in ("jaxode", "tests", "scripts", "experiments", "torch_ref"):
        shutil.copytree(ROOT / name, folder / name, ignore=built)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, folder / name)
    environment = os.environ | {
        "CFLAGS": FLAGS,
        "CXXFLAGS": FLAGS,
        "LDFLAGS": "-fsanitize=address,undefined",
    }
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if not list(folder.glob("jaxode/nn/native/*.so")):
        raise ConfigError(
            f"the kernels cannot be built with sanitisers: {done.stderr.strip()[-400:]}"
        )


def run_tests(folder: Path, libraries: str, only: str | None) -> int:
    """Exit code of pytest."""
    environment = os.environ | {
        "LD_PRELOAD": libraries,
        "ASAN_OPTIONS": (
            "detect_leaks=0:allocator_may_return_null=1"
        ),  # the interpreter keeps what it has to its end
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "JAXODE_KERNELS": "native",  # no skipped tests: that they are there is what this is about
        "PYTHONPATH": str(folder),
    }
    selected = ["-k", only] if only else []
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--capture=sys",
        "-p",
        "no:cacheprovider",
        "-o",
        "timeout=1800",  # sanitised code is many times slower
        *TESTS,
        *selected,
    ]
    return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


@process.command("scripts.sanitize", "nothing is left of it")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code: 1 if a test fails, 2 for a wrong request."""
    parser = build_parser()
    try:
        options = argparse.Namespace(**parse_flags(parser, argv))
        with tempfile.TemporaryDirectory() as name:
            libraries = preload(os.environ.get("CXX", "g++"))
            print("building", file=sys.stderr, flush=True)
            build(Path(name))
            return int(run_tests(Path(name), libraries, getattr(options, "only", None)) != 0)
    except SystemExit as stop:
        return int(stop.code or 0)
    except ConfigError as error:
        return process.report(parser.prog, error, 2)


if __name__ == "__main__":
    raise SystemExit(main())
