"""`jaxode train DATASET`: the preset of a data set, with the flags given."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from jaxode.checks import closest, shortened
from jaxode.cli import process, train
from jaxode.config import PRESETS, preset
from jaxode.config.dataset_names import family
from jaxode.data import dataset_names, is_registered

PROG = "jaxode train"


def main(argv: Sequence[str] | None = None) -> int:
    """Train on the data set that the first argument names; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    names = dataset_names()
    name = words[0] if words else "--help"
    if name in ("-h", "--help"):
        print(help_text(names), end="")
        return 0
    if not is_registered(name):
        close = closest(name, names)
        hint = f": did you mean {close}?" if close else f", got {shortened(name)!r}"
        return process.report(PROG, f"DATASET must be one of {', '.join(names)}{hint}", 2)
    known = PRESETS.get(family(name))
    about = f"A classifier of {name}." if known is None else known.summary
    return train.main(words[1:], preset=preset(name), doc=about, prog=f"{PROG} {name}")


def help_text(names: Sequence[str]) -> str:
    """What `jaxode train --help` prints."""
    width = max(map(len, names))
    rows = (f"  {name:{width}}  {PRESETS[name].summary if name in PRESETS else ''}".rstrip()
            for name in names)  # fmt: skip
    more = "`jaxode train DATASET --help` prints all flags and their defaults for a data set."
    return "\n".join([f"usage: {PROG} DATASET [flags]", "", "data sets:", *rows, "", more, ""])
