"""Compare ODENets with ResNet-101 and VGG-16 as backbones of detectors and encoders of depth.

    python -m scripts.vision_table                             # initial parameters, normal noise
    python -m scripts.vision_table --runs RUN [RUN ...] --bccd DIR --nyu DIR
    python -m scripts.vision_table --only depth --rounds 5 --out /tmp/comparison

Of each model: parameters, multiply-adds (from the compiled program), milliseconds a picture at
several batch sizes, the memory that the program plans, and the scores of its record in
docs/detection and docs/depth, if it has been trained. With --runs the models of these runs have
their trained parameters, and those with ODE blocks are evaluated on all test pictures at several
tolerances, which needs the data of their system. Written are vision.json and vision.md. Leave the
machine to it.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from jaxode.checks import ConfigError, Range
from jaxode.cli import compilation_cache, process
from jaxode.cli.converters import Choice, Number, nonempty, to_path
from jaxode.cli.evaluate import tolerances as tolerances_of
from jaxode.cli.parser import Parser, parse_flags
from jaxode.data import DataError
from jaxode.models import MultiplyAdds
from jaxode.runs.provenance import origin
from scripts.systems.measures import MEASURES, measured, protocols_of
from scripts.systems.records import FOLDERS, read
from scripts.systems.rows import SYSTEM_TABLES
from scripts.vision import report
from scripts.vision.cases import Case, Pictures, cases, noise, of_data, with_runs
from scripts.vision.measure import by_tolerance, size_and_work, timed

SYSTEMS = ("detection", "depth")
OUT = Path("docs/performance/vision")

CHANGES: dict[str, dict[str, Any]] = {"detection": {}, "depth": {}}
"""Settings of all models of a system that are others than those of its table."""


def scores_of(case: Case, root: Path) -> dict[str, str] | None:
    """The scores of a model's record as text, those of the longest training; None without one."""
    if case.row is None:
        return None
    table, records = SYSTEM_TABLES[case.system], read(root / FOLDERS[case.system] / "records")
    groups = protocols_of(records, table, case.row)
    if not groups:
        return None
    longest = max(groups, key=lambda group: group[0].result["epochs"])
    row = case.row
    return {name: measured(MEASURES[name], longest, row) for name in report.SCORES[case.system]}


def compared(
    found: Sequence[Case],
    pictures: Pictures,
    batches: Sequence[int],
    rounds: int,
    root: Path = Path(),
) -> list[dict[str, Any]]:
    """The rows of a system, as JSON values.

    Args:
      found: its models.
      pictures: that they are shown.
      batches: sizes of batches.
      rounds: timed calls of each model.
      root: of the repository, where the records are.
    """
    rows: list[dict[str, Any]] = [{"model": case.label} for case in found]
    for row, case in zip(rows, found, strict=True):
        row |= size_and_work(case, pictures) | {"trained": case.trained is not None}
        row |= {"scores": scores_of(case, root), "batches": {}}
    for batch in batches:
        facts = timed(found, pictures, batch, rounds)
        for row in rows:
            row["batches"][str(batch)] = facts[row["model"]]
        jax.clear_caches()
    for row in rows:
        work, evaluations = row["multiply_adds"], row["batches"][str(batches[0])]["evaluations"]
        counts = MultiplyAdds(work["outside_fields"], tuple(work["of_an_evaluation"]))
        work["total"] = counts.total(evaluations)
    return rows


def system(name: str, options: argparse.Namespace, batches: Sequence[int]) -> dict[str, Any]:
    """All that is measured of a system."""
    folder = options.bccd if name == "detection" else options.nyu
    pictures = noise if folder is None else of_data(name, folder, **_data_settings(name))
    found = with_runs(list(cases(name, CHANGES[name])), _runs_of(name, options.runs))
    rows = compared(found, pictures, batches, options.rounds)
    lines = {}
    for case in found:
        if case.trained is not None and case.sizes.solves and folder is not None:
            lines[case.label] = by_tolerance(case, folder, tolerances_of(options.tolerances))
    about = "normal noise" if folder is None else "of the test split"
    return {"pictures": about, "batches": list(batches), "rows": rows, "tolerances": lines}


def _data_settings(name: str) -> dict[str, Any]:
    """Settings of the data among those that all models of a system have."""
    sides = ("rows", "columns", "image_height", "image_width", "data")
    return {key: value for key, value in CHANGES[name].items() if key in sides}


def _runs_of(name: str, runs: Sequence[Path]) -> list[Path]:
    """Those of a system. Raises ConfigError for one of neither."""
    files = {"detection": "detector.json", "depth": "depth.json"}
    for run in runs:
        if not any((run / file).is_file() for file in files.values()):
            raise ConfigError(f"{run} must be a run with {' or '.join(files.values())}")
    return [run for run in runs if (run / files[name]).is_file()]


def sizes_of_batches(text: str) -> list[int]:
    """The numbers of --batches. Raises ConfigError."""
    convert = Number(int, Range(1, 4096))
    try:
        return [convert(word.strip()) for word in text.split(",")]
    except argparse.ArgumentTypeError as error:
        raise ConfigError(f"--batches {error}") from error


def build_parser() -> Parser:
    """The flags."""
    parser = Parser.from_doc("python -m scripts.vision_table", __doc__, usage="%(prog)s [flags]")
    add = parser.add_argument
    about = "finished runs, whose parameters are measured"
    add("--runs", type=to_path, nargs="+", default=[], metavar="RUN", help=about)
    add("--bccd", type=to_path, metavar="DIR", help="folder of BCCD")
    add("--nyu", type=to_path, metavar="DIR", help="folder of NYU Depth v2: rgb, depth")
    add("--only", type=Choice(SYSTEMS), metavar="NAME", help=f"{' or '.join(SYSTEMS)}")
    add("--rounds", type=Number(int, Range(1, 1000)), default=10, metavar="N", help="(10)")
    add("--batches", type=nonempty, default="1,16", metavar="LIST", help="(1,16)")
    usual = "1e-1,1e-2,1e-3,1e-4,1e-5"
    add("--tolerances", type=nonempty, default=usual, metavar="LIST", help=f"({usual})")
    add("--out", type=to_path, default=OUT, metavar="DIR", help=f"(default: {OUT})")
    return parser


@process.command("scripts.vision_table")
def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write and print; returns the exit code."""
    parser = build_parser()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        options = argparse.Namespace(**parse_flags(parser, words))
        batches = sizes_of_batches(options.batches)
        tolerances_of(options.tolerances)
        chosen = (options.only,) if options.only else SYSTEMS
        compilation_cache.enable()
        found = {
            "origin": origin(shlex.join(["python", "-m", "scripts.vision_table", *words])),
            "rounds": options.rounds,
            "systems": {name: system(name, options, batches) for name in chosen},
        }
        files = report.write(found, options.out)
    except SystemExit as stop:
        return int(stop.code or 0)
    except (ConfigError, DataError) as error:
        return process.report(parser.prog, error, 2)
    except OSError as error:
        return process.report(parser.prog, error, 1)
    print(report.document(found))
    print(f"written: {', '.join(map(str, files))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
