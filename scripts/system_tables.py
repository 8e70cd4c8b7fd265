"""The tables of densities, time series, detection and depth from records, and records from runs.

    python -m scripts.system_tables                       # in docs/densities, docs/results, …
    python -m scripts.system_tables runs/density/circles  # a record of that run first
    python -m scripts.reproduce detection depth --list    # the rows, and how far their runs are

A record is a JSON file in docs/densities/records, docs/series/records, docs/detection/records or
docs/depth/records with the settings of the experiment and the run's result; the same run again
replaces its own. Of detection and depth the run's pictures are kept beside it, in small form. The
prose of the documents stays as it is; only what stands between the two marks is made anew.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxode.checks import ConfigError
from jaxode.cli import process
from jaxode.cli.converters import to_path
from jaxode.cli.parser import Parser, parse_flags
from scripts.systems.documents import write, write_results
from scripts.systems.pictures import copy_pictures
from scripts.systems.records import FOLDERS, keep, of_run


def build_parser() -> Parser:
    """The command line."""
    parser = Parser.from_doc(
        "python -m scripts.system_tables", __doc__, usage="%(prog)s [RUN ...] [--root DIR]"
    )
    parser.add_argument(
        "runs", type=to_path, nargs="*", metavar="RUN", help="directories of finished runs"
    )
    parser.add_argument(
        "--root", type=to_path, default=".", metavar="DIR", help="of the repository (default: .)"
    )
    return parser


@process.command("scripts.system_tables")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = build_parser()
    try:
        values = parse_flags(parser, argv)
        root = to_path(str(values["root"]))
        records = [of_run(directory) for directory in values["runs"]]
        files = []
        for directory, each in zip(values["runs"], records, strict=True):
            folder = root / FOLDERS[each.system]
            files.append(keep(each, folder / "records"))
            stem = files[-1].stem
            files += copy_pictures(directory, each.system, stem, folder / "pictures")
        files += [write(system, root) for system in FOLDERS]
        results = write_results(root)
        files += [] if results is None else [results]
    except SystemExit as stop:
        return int(stop.code or 0)
    except ConfigError as error:
        return process.report(parser.prog, error, 2)
    except OSError as error:
        return process.report(parser.prog, error, 1)
    print(f"written: {', '.join(map(str, files))}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
