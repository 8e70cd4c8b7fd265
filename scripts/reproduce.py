"""Run the rows of a published table, each by its protocol, and keep what comes out.

    python -m scripts.reproduce chen --scale cpu --data-dir data   # MNIST, 4 models
    python -m scripts.reproduce cifar10 --scale full --seeds 0 1 2     # as published
    python -m scripts.reproduce chen mnist --list   # how far their runs are
    python -m scripts.reproduce density series --list   # densities and time series
    python -m scripts.reproduce detection depth --data-dir data   # data/bccd, data/nyuv2_quarter
    python -m scripts.reproduce all --scale full --seeds 0 1 2 --queue --data-dir data   # for days
    python -m scripts.report   # tables and figures; of the systems: scripts.system_tables

--scale chooses the protocol: full is the published one; cpu is a smaller one that ends overnight on
2 cores; smoke trains on a few hundred bundled images and only shows that everything runs. Every run
is a directory of --out like those of the experiments. The same command goes on where it was stopped
and leaves complete runs alone; rows of several tables that are the same run are run once. --queue
is for runs of days: each has a process of its own, what fails is tried again after the others as
long as that gets any run further, a second queue in the same --out is refused, and other seeds than
the first are only run of rows whose epochs take less than a minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import jax

from jaxode.checks import SEEDS, ConfigError, shown
from jaxode.cli import compilation_cache, process
from jaxode.cli.converters import Choice, Number, nonempty, path_text, to_path
from jaxode.cli.parser import Parser, parse_flags
from jaxode.cli.texts import data_text, result_text
from jaxode.cli.train import task_of
from jaxode.config import DataConfig
from jaxode.data import DataError, ImageSet, load
from jaxode.errors import CheckpointError, ResumeError, RunFailed, Stopped, out_of_memory
from jaxode.runs import Progress, lock_run_directory
from jaxode.runs.leftovers import sweep_unless_claimed
from jaxode.train import run
from scripts.queued import work_off
from scripts.systems.jobs import SystemJob, system_jobs
from scripts.systems.rows import SYSTEM_TABLES
from scripts.tables.jobs import Job, jobs
from scripts.tables.protocols import Scale
from scripts.tables.rows import TABLES, WORTH

RUNS = Path("runs/reproduce")


def listed(work: Sequence[Job | SystemJob]) -> str:
    """A line for each run."""
    return "\n".join(job.line for job in work)


def images_of(data: DataConfig) -> DataConfig:
    """The settings that decide which images are loaded; what training draws of them does not."""
    usual = DataConfig()
    return replace(data, crop=usual.crop, augment=usual.augment, angle=usual.angle)


def check_count(job: Job, data: ImageSet) -> None:
    """Raise DataError if a data set has not as many images as the table needs."""
    found = len(data.train_labels) + len(data.test_labels)
    if job.images not in (None, found):
        raise DataError(
            f"{job.table.name} by this protocol is of {job.images:,} images, and there are"
            f" {found:,}"
        )


def why_failed(error: Exception) -> str | None:
    """What ends one run but not the next; None for any other error."""
    if isinstance(error, RunFailed):
        return str(error)
    return "out of memory" if out_of_memory(error) else None


def carry_out(work: Sequence[Job | SystemJob], data_dir: str | None, progress: Progress) -> int:
    """Run what is not complete; returns how many runs failed or lack their images.

    Raises DataError if there are no images for any of the runs; Stopped, CheckpointError,
    ResumeError, ConfigError, OSError.
    """
    data: ImageSet | None = None
    loaded: DataConfig | None = None
    refused: dict[str, DataError] = {}
    failed = 0
    for number, job in enumerate(work, 1):
        head = f"[{number}/{len(work)}] {job.title}"
        if job.complete:
            sweep_unless_claimed(job.out)
            progress.say(f"{head}: complete")
            continue
        if isinstance(job, SystemJob):
            failed += not carried_out(job, data_dir, progress, head)
            continue
        config = job.config.replaced(data_dir=data_dir)
        try:
            if job.table.dataset in refused:
                raise refused[job.table.dataset]
            if data is None or loaded is None or images_of(loaded) != images_of(config.data):
                data, loaded = load(config.data, progress=not progress.quiet), config.data
                progress.say(data_text(data))
            check_count(job, data)
            progress.say(f"{head}; {job.out}")
            with lock_run_directory(job.out, may_hold_run=True):
                result = run(config, data, job.out, progress=progress)
        except DataError as error:
            if all(dataset_of(other) == job.table.dataset for other in work):
                raise
            failed += 1
            refused[job.table.dataset] = error
            progress.warn(f"{head}: not run: {error}")
            continue
        except Exception as error:
            if why_failed(error) is None:
                raise
            failed += 1
            progress.warn(f"{head}: failed: {why_failed(error)}")
        else:
            progress.say(result_text(result, task_of(job.config), job.out))
        jax.clear_caches()
    return failed


def dataset_of(job: Job | SystemJob) -> str:
    """Which images a run needs; of a system its name."""
    return job.table.name if isinstance(job, SystemJob) else job.table.dataset


def carried_out(job: SystemJob, data_dir: str | None, progress: Progress, head: str) -> bool:
    """Run a row of a system; returns whether it succeeded.

    Raises Stopped, CheckpointError, ResumeError, OSError.
    """
    progress.say(f"{head}; {job.out}")
    try:
        progress.say(job.run(data_dir, progress))
    except Exception as error:
        reason = str(error) if isinstance(error, ConfigError | DataError) else why_failed(error)
        if reason is None or isinstance(error, ResumeError):
            raise
        progress.warn(f"{head}: failed: {reason}")
        return False
    finally:
        jax.clear_caches()
    return True


def build_parser() -> Parser:
    """The command line."""
    parser = Parser.from_doc(
        "python -m scripts.reproduce", __doc__, usage="%(prog)s TABLE [TABLE ...] [flags]"
    )
    parser.add_argument(
        "tables",
        type=nonempty,
        nargs="+",
        metavar="TABLE",
        help=f"{', '.join((*TABLES, *SYSTEM_TABLES))}; or all, most worth first, which leaves the"
        f" systems out: {', '.join(SYSTEM_TABLES)}",
    )
    scales = get_args(Scale)
    about = f"the protocol: {', '.join(scales)} (default: cpu)"
    parser.add_argument("--scale", default="cpu", type=Choice(scales), metavar="NAME", help=about)
    parser.add_argument(
        "--seeds",
        type=Number(int, SEEDS),
        nargs="+",
        default=[0],
        metavar="N",
        help="a run of each row for each (default: 0)",
    )
    parser.add_argument(
        "--only", type=nonempty, metavar="TEXT", help="only rows whose label contains TEXT"
    )
    about = "only the run whose directory has this name; --list prints them"
    parser.add_argument("--run", type=nonempty, metavar="NAME", help=about)
    parser.add_argument(
        "--out",
        type=to_path,
        default=RUNS,
        metavar="DIR",
        help=f"where the runs go (default: {RUNS})",
    )
    stored = "folder with the original files, or where to store them"
    parser.add_argument("--data-dir", type=path_text, metavar="DIR", help=stored)
    parser.add_argument(
        "--list", action="store_true", help="print the rows and how far their runs are; run nothing"
    )
    about = "runs of days: see below"
    parser.add_argument("--queue", action="store_true", help=about)
    parser.add_argument("--quiet", action="store_true", help="print only warnings")
    return parser


def chosen(values: dict[str, Any]) -> list[Job | SystemJob]:
    """The requested runs. Raises ConfigError."""
    names = list(WORTH) if values["tables"] == ["all"] else values["tables"]
    every = (*TABLES, *SYSTEM_TABLES)
    for name in names:
        if name not in every:
            raise ConfigError(f"TABLE must be one of {', '.join(every)}, or all, got {shown(name)}")
    tables = [TABLES[name] for name in names if name in TABLES]
    systems = [SYSTEM_TABLES[name] for name in names if name in SYSTEM_TABLES]
    rest = (values["scale"], values["seeds"], values["out"], values["only"])
    found: list[Job | SystemJob] = [*jobs(tables, *rest), *system_jobs(systems, *rest)]
    if not found:
        labels = ", ".join(row.label for table in (*tables, *systems) for row in table.rows)
        raise ConfigError(
            f"--only must be a part of a label, one of {labels}, got {shown(values['only'])}"
        )
    name = values["run"]
    if name is None:
        return found
    asked = [job for job in found if job.out.name == name]
    if not asked:
        allowed = ", ".join(job.out.name for job in found)
        raise ConfigError(f"--run must be one of {allowed}, got {shown(name)}")
    return asked


def queue(work: Sequence[Job | SystemJob], values: dict[str, Any]) -> int:
    """Carry out runs as a queue; returns how many are not complete. Raises ConfigError, OSError."""
    flags = ["--scale", values["scale"], "--out", str(values["out"])]
    flags += [] if values["data_dir"] is None else ["--data-dir", values["data_dir"]]
    flags += ["--quiet"] * values["quiet"]
    return work_off(work, flags, values["out"], Progress(quiet=values["quiet"]))


@process.command("scripts.reproduce", "the same command goes on")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code.

    0, 1 if a run failed, 2 for a wrong request, or 128 + the number of a signal.
    """
    parser = build_parser()
    try:
        values = parse_flags(parser, argv)
        work = chosen(values)
        if values["list"]:
            print(listed(work))
            return 0
        if values["queue"]:
            failed = queue(work, values)
            print(f"the queue has ended, {failed} of its runs are not complete in {values['out']}")
            return 1 if failed else 0
        compilation_cache.enable()
        failed = carry_out(work, values["data_dir"], Progress(quiet=values["quiet"]))
    except SystemExit as stop:
        return int(stop.code or 0)
    except Stopped as stop:
        return process.stopped(stop, f"{parser.prog}: stopped; the same command goes on")
    except (ConfigError, DataError, ResumeError) as error:
        return process.report(parser.prog, error, 2)
    except (CheckpointError, OSError) as error:
        return process.report(parser.prog, error, 1)
    print(f"{len(work) - failed} of {len(work)} runs complete in {values['out']}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
