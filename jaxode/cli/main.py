"""The command `jaxode`: one subcommand a task of a user, each imported when it is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

from jaxode.checks import closest, shortened
from jaxode.cli import process


class Command(NamedTuple):
    """A subcommand: the module that has its `main(argv)`, its arguments, and what it does."""

    module: str
    arguments: str
    summary: str


COMMANDS = {
    "train": Command("jaxode.cli.train_dataset", "DATASET [flags]", "train a model on a data set"),
    "predict": Command("jaxode.cli.predict", "RUN INPUT ...", "classes, log-densities, values"),
    "evaluate": Command("jaxode.cli.evaluate", "RUN [flags]", "scores, with any solve settings"),
    "sample": Command("jaxode.cli.sample", "RUN --n N", "points of a trained density"),
    "compare": Command("jaxode.cli.compare", "RUN ...", "put runs side by side"),
    "export": Command("jaxode.cli.export", "RUN FILE", "StableHLO, ONNX, weights"),
    "convert": Command("jaxode.cli.convert", "SOURCE TARGET", "weights to and from PyTorch"),
    "prepare": Command("jaxode.cli.prepare", "DATASET", "fetch, check and parse a data set"),
    "parity": Command("jaxode.cli.parity", "SCRIPT", "compare a PyTorch module with an nnx module"),
    "info": Command("jaxode.cli.info", "RUN", "what a run or a file of weights holds"),
}

EXAMPLES = """examples:
  jaxode train mnist --data sample --epochs 2 --model resnet --out runs/first
  jaxode predict runs/first seven.png
  jaxode evaluate runs/first
"""


def help_text() -> str:
    """What `jaxode --help` prints."""
    words = {name: f"{name} {command.arguments}" for name, command in COMMANDS.items()}
    width = max(map(len, words.values()))
    rows = (f"  {words[name]:{width}}  {COMMANDS[name].summary}" for name in COMMANDS)
    about = "Neural ODEs in JAX: train, evaluate and use image classifiers."
    more = "`jaxode COMMAND --help` prints the flags of a command."
    return "\n".join(
        ["usage: jaxode COMMAND ...", "", about, "", "commands:", *rows, "", more, "", EXAMPLES]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit code.

    Args:
      argv: arguments, or None for those of the process.
    """
    process.prepare()
    return process.guarded("jaxode", lambda _: _run(list(sys.argv[1:] if argv is None else argv)))


def _run(words: list[str]) -> int:
    name = words[0] if words else "--help"
    if name in ("-h", "--help", "help"):
        print(help_text(), end="")
        return 0
    if name == "--version":
        from jaxode import __version__

        print(f"jaxode {__version__}")
        return 0
    if name not in COMMANDS:
        close = closest(name, COMMANDS)
        hint = f": did you mean {close}?" if close else f", got {shortened(name)!r}"
        return process.report("jaxode", f"command must be one of {', '.join(COMMANDS)}{hint}", 2)
    return importlib.import_module(COMMANDS[name].module).main(words[1:])
