"""Count the communication of devices in a training step, and predict from it how training scales.

    python -m scripts.collectives --out docs/scaling

Compiles the training step for as many virtual CPU devices as --devices says, with the kernels that
a GPU would run, in every way of spreading it and every gradient mode. Collectives, their bytes and
the loops they are in are read off the compiled program; how often each runs is counted by JAX's
profiler during one step on the first bundled MNIST images. Writes communication.json,
communication.md and scaling.png. Takes about ten minutes on 2 cores.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import jax

from jaxode.checks import ConfigError, Range, require
from jaxode.cli import process
from jaxode.cli.converters import Number, to_path
from jaxode.cli.parser import Parser, parse_flags
from jaxode.config import (
    BATCHES,
    GRADIENT_FACTS,
    MOST_DEVICES,
    WIDTHS,
    DataConfig,
    ModelConfig,
    ParallelConfig,
    ParallelName,
    RunConfig,
    SolveConfig,
)
from jaxode.data import DataError, ImageSet, load
from jaxode.models import create_model
from jaxode.nn.kernels import LIBRARY
from jaxode.runs.files import make_writable, write_json, write_whole
from jaxode.runs.provenance import origin
from jaxode.train.compiled_steps import CompiledSteps
from scripts.scaling import prediction, report
from scripts.scaling.hlo import Collective, collectives
from scripts.settings import require_width

GRADIENTS = sorted(
    GRADIENT_FACTS, key=["tape", "replay", "checkpointed", "backsolve", "direct"].index
)
RESNET = "resnet"


def build_parser() -> Parser:
    """The flags."""
    parser = Parser.from_doc("python -m scripts.collectives", __doc__)
    add = parser.add_argument
    add(
        "--out",
        type=to_path,
        default=Path("runs/scaling"),
        metavar="DIR",
        help="where the files go (runs/scaling)",
    )
    add(
        "--devices",
        type=Number(int, Range(2, MOST_DEVICES)),
        default=8,
        metavar="N",
        help="virtual devices (default: 8)",
    )
    add(
        "--batch-size",
        type=Number(int, BATCHES),
        default=128,
        metavar="N",
        help="images in a step (default: 128)",
    )
    add(
        "--width",
        type=Number(int, WIDTHS),
        default=64,
        metavar="N",
        help="channels of the feature maps (default: 64)",
    )
    return parser


def setting(options: argparse.Namespace, parallel: ParallelName, kind: str) -> RunConfig:
    """The run of one row: a gradient mode of the ODENet, or ResNet 6. Raises ConfigError."""
    model = ModelConfig("resnet" if kind == RESNET else "odenet", width=options.width)
    return RunConfig(
        model=model,
        solve=(SolveConfig() if kind == RESNET else SolveConfig(gradient=kind)),  # pyright: ignore[reportArgumentType]
        data=DataConfig(dataset="mnist", data="sample"),
        parallel=ParallelConfig(parallel, options.devices),
        batch_size=options.batch_size,
    )


def counted(steps: CompiledSteps, state: Any) -> tuple[Any, dict[str, int]]:
    """The state after the first training step, and how often each collective ran.

    Counted on one device.

    Raises ValueError if the devices did not all do the same.
    """
    key, table = steps.epoch(0)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            state = jax.block_until_ready(steps.train(state, key, table, 1))
        (path,) = Path(folder).rglob("*.xplane.pb")
        found = jax.profiler.ProfileData.from_file(str(path))
        events = Counter(
            event.name for plane in found.planes for line in plane.lines for event in line.events
        )
    names = {item.name for item in collectives(steps.train_loop.as_text())}
    uneven = [name for name in names if events[name] % steps.spread.count]
    if uneven:
        raise ValueError(
            f"{uneven[0]} ran {events[uneven[0]]} times on {steps.spread.count} devices together"
        )
    return state, {name: events[name] // steps.spread.count for name in names}


def row(item: Collective, times: int) -> dict[str, Any]:
    """A collective as JSON values: where in the step it is, and how often it ran in one."""
    # The outermost loop is that over training steps.
    inside = "backward" if "transpose(" in item.source or "/remat" in item.source else "forward"
    return {
        "kind": item.kind,
        "numbers": item.numbers,
        "bytes": item.bytes,
        "where": inside if len(item.nest) > 1 else "step",
        "nest": item.nest,
        "times": times,
    }


def measured(
    options: argparse.Namespace, parallel: ParallelName, kind: str, data: ImageSet
) -> dict[str, Any]:
    """What one way of training costs in collectives, or why it cannot be had."""
    named: dict[str, Any] = {"parallel": parallel, "case": kind}
    try:
        config = setting(options, parallel, kind)
    except ConfigError as error:
        return named | {"refused": str(error)}
    steps = CompiledSteps(config, data, partial(create_model, kernels=LIBRARY))
    state = steps.first_state()
    steps.compile(state)
    found = collectives(steps.train_loop.as_text())
    state, times = counted(steps, state)
    totals = state.totals
    solves = {
        name: getattr(totals, name).tolist() for name in ("solves", "nfe", "accepted", "rejected")
    }
    return (
        named
        | solves
        | {
            "parameters": steps.parameters,
            "rows": [row(item, times[item.name]) for item in found],
        }
    )


def carry_out(options: argparse.Namespace, command: str) -> None:
    """Measure all rows and write the files. Raises DataError, OSError, ValueError."""
    data = load(DataConfig(dataset="mnist", data="sample"))
    cases = []
    for parallel in get_args(ParallelName):
        for kind in [*GRADIENTS, RESNET]:
            begin = time.perf_counter()
            cases.append(measured(options, parallel, kind, data))
            print(
                f"{parallel}, {kind}: {time.perf_counter() - begin:.0f} s",
                file=sys.stderr,
                flush=True,
            )
            jax.clear_caches()
    facts = {
        **origin(command),
        "devices": options.devices,
        "batch_size": options.batch_size,
    }
    found = {**facts, "assumptions": prediction.GIVEN._asdict(), "cases": cases}
    write_whole(options.out / "scaling.png", report.picture(found))
    write_whole(options.out / "communication.md", report.markdown(found))
    write_json(options.out / "communication.json", found)


@process.command("scripts.collectives", "nothing was written")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    try:
        options = argparse.Namespace(**parse_flags(parser, words))
        even = options.batch_size % options.devices == 0
        require(
            even, "--batch-size", options.batch_size, f"a multiple of --devices = {options.devices}"
        )
        require_width(options.width)
        make_writable(options.out)
    except SystemExit as stop:
        return int(stop.code or 0)
    except (ConfigError, OSError) as error:
        return process.report(parser.prog, error, 2)
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", options.devices)
    try:
        carry_out(options, shlex.join(["python", "-m", "scripts.collectives", *words]))
    except (DataError, OSError, ValueError) as error:
        return process.report(parser.prog, error, 1)
    except KeyboardInterrupt:
        print(f"{parser.prog}: stopped; nothing was written", file=sys.stderr)
        return 130
    print(f"written to {options.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
