"""The training command: from arguments to a run's directory, every error in one line."""

from __future__ import annotations

import contextlib
import json
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxode.checks import ConfigError
from jaxode.cli import compilation_cache, environment, process, streams
from jaxode.cli.memory_advice import smaller
from jaxode.cli.parser import Parser
from jaxode.cli.request import (
    Request,
    build_parser,
    parse,
    read_preset,
    with_settings,
    without_effect,
)
from jaxode.cli.requested_run import (
    description,
    is_complete,
    resumed_config,
    run_directory,
    task_of,
)
from jaxode.cli.signals import Interrupted, Signals
from jaxode.cli.texts import data_text, os_error_text, result_text, resume_text
from jaxode.config import RunConfig

if TYPE_CHECKING:
    from jaxode.data import ImageSet
    from jaxode.distributed import ProcessGroup

SAMPLE_EPOCHS = 5
"""Epochs on the bundled sample unless given: the protocol's many passes over few images would only
memorise them.
"""

WRONG_REQUEST, FAILED = 2, 1


def main(argv: Sequence[str] | None, *, preset: RunConfig, doc: str, prog: str) -> int:
    """Train a model and return the exit code.

    The code is 0, 1 for a failed run, 2 for a wrong request, or 128 + the number of a signal.

    Args:
        argv: arguments, or None for those of the process.
        preset: defaults.
        doc: what --help prints first.
        prog: the command as a user types it, for messages.
    """

    def body(signals: Signals) -> int:
        signals.at_once = True  # nothing is to be cleaned up yet, and JAX is to be imported
        parser = build_parser(preset, doc, prog)
        try:
            request = parse(parser, list(sys.argv[1:] if argv is None else argv))
            own = preset if request.config is None else read_preset(request.config, preset)
            config = preset
            if request.resume is None:
                config = with_settings(own, request.settings, request.protocol)
            check_paths(request)
            environment.start_jax()
        except ConfigError as error:
            return fail(parser, error, WRONG_REQUEST)
        return execute(parser, request, config, signals)

    return process.guarded(prog, body)


def fail(parser: Parser, error: object, code: int) -> int:
    """Print one line and hand the exit code on."""
    return process.report(parser.prog, error, code)


def check_paths(request: Request) -> None:
    """Raise ConfigError if the storage libraries would not find a directory by its name."""
    places = {"--resume": request.resume, "--data-dir": request.settings.get("data_dir")}
    if request.resume is None and not request.describe:
        places["--out"] = request.out or Path()
    for flag, place in places.items():
        if place is not None:
            environment.require_unicode(flag, Path(place))


def execute(parser: Parser, request: Request, config: RunConfig, signals: Signals) -> int:
    """A well-formed request; its errors become exit codes."""
    from jaxode.data import DataError, has_predefined_split
    from jaxode.distributed import ProcessGroup
    from jaxode.errors import CheckpointError, ResumeError, RunFailed, Stopped, out_of_memory
    from jaxode.runs.leftovers import sweep_unless_claimed

    signals.at_once = False
    cluster, out = ProcessGroup(), None
    try:
        if request.resume is not None:
            config = resumed_config(request.resume, request, config)
        chain = "blocks" in config.model.facts.uses
        empty = " of 0 blocks" if chain and not config.model.blocks else ""
        unsplit = not has_predefined_split(config.data.dataset)
        for flag in without_effect(config, request.settings, unsplit=unsplit):
            what = (
                f"{config.model.name}{empty} with {config.optim.optimizer} on {config.data.dataset}"
            )
            print(f"note: {flag} has no effect on {what}", file=sys.stderr)
        if request.describe:
            print(json.dumps(description(config)))
            return 0 if streams.flushed() is None else FAILED
        if request.resume is not None and is_complete(request.resume, config):
            sweep_unless_claimed(request.resume)
            print(f"{request.resume} is complete: all {config.epochs} epochs are done")
            return 0
        with signals.blocked():
            cluster = connect(request, config)
        signals.install()
        with cluster, contextlib.ExitStack() as claims:
            environment.start_devices()
            out = Path(
                cluster.broadcast_from_main(
                    lambda: str(claims.enter_context(run_directory(request, config)))
                )
            )
            return train(request, config, out, cluster)
    except (ConfigError, DataError, ResumeError) as error:
        return cluster.end(fail(parser, error, WRONG_REQUEST))
    except Interrupted as stop:
        text = next_step(parser, out, config)
        return cluster.end(process.interrupted(parser.prog, stop.signum, f"{stop}: {text}"))
    except Stopped as stop:
        if stop.result is not None and cluster.first and out is not None:
            print(result_text(stop.result, task_of(config), out))
        return process.stopped(stop, next_step(parser, out, config))
    except (RunFailed, CheckpointError) as error:
        return fail(parser, error, FAILED)
    except OSError as error:
        return cluster.end(fail(parser, os_error_text(error), FAILED))
    except Exception as error:
        if not out_of_memory(error):
            if cluster.count > 1:
                traceback.print_exc()
                cluster.end(FAILED)
            raise
        return cluster.end(fail(parser, f"out of memory: {smaller(config)}", FAILED))


def next_step(parser: Parser, out: Path | None, config: RunConfig) -> str:
    """How to go on after a signal."""
    complete = out is not None and is_complete(out, config)
    return resume_text(parser.prog, out, complete=complete)


def connect(request: Request, config: RunConfig) -> ProcessGroup:
    """JAX set up for this run, and the processes that take part in it.

    Raises ConfigError, RunFailed.
    """
    import jax

    from jaxode.distributed import ProcessGroup, initialize_distributed, membership

    member = membership(request.coordinator, request.processes, request.process_id)
    jax.config.update("jax_enable_x64", config.precision == "float64")
    if config.parallel.devices is not None:
        with contextlib.suppress(
            RuntimeError
        ):  # JAX has begun with what there is, which the run is told if too few
            jax.config.update("jax_num_cpu_devices", config.parallel.devices)
    compilation_cache.enable()
    if member is None:
        return ProcessGroup()
    timeout = {} if request.join_timeout is None else {"timeout": request.join_timeout}
    return initialize_distributed(
        member,
        secret_file=request.secret_file,
        report=lambda line: print(line, file=sys.stderr, flush=True),
        **timeout,
    )


def train(request: Request, config: RunConfig, out: Path, cluster: ProcessGroup) -> int:
    """Load, train, and print what came out."""
    from jaxode.cli.kernels_note import note_once
    from jaxode.data import load
    from jaxode.nn.kernels import has_tf32
    from jaxode.runs import Progress
    from jaxode.runs.provenance import device
    from jaxode.train import run

    callbacks = callbacks_of(request) if cluster.first else []
    progress = Progress(quiet=request.quiet or not cluster.first)
    if config.precision == "tf32" and not has_tf32() and cluster.first:
        print(
            f"note: this device ({device()}) has no TF32 and computes in float32", file=sys.stderr
        )
    if cluster.first:
        note_once(config)
    data = cluster.main_first(lambda: load(config.data, progress=not progress.quiet))
    given = request.resume is not None or request.config is not None
    config = adapt_to_data(config, data, given or "epochs" in request.settings)
    cluster.assert_equal("settings", config.to_json())
    task = task_of(config)
    progress.say(f"{data_text(data)}; {config.epochs} epochs; results in {out}")
    result = run(
        config,
        data,
        out,
        progress=progress,
        cluster=cluster,
        task=task,
        callbacks=callbacks,
    )
    if cluster.first:
        print(result_text(result, task, out))
    return 0


def callbacks_of(request: Request) -> list[object]:
    """The loggers that were asked for. Raises ConfigError if a package is not installed."""
    from jaxode.callbacks import TensorBoard, WandB
    from jaxode.cli.step_losses import StepLosses

    found: list[object] = [TensorBoard()] if request.tensorboard else []
    if request.wandb is not None:
        found.append(WandB(request.wandb))
    if request.losses:
        found.append(StepLosses(request.losses))
    return found


def adapt_to_data(config: RunConfig, data: ImageSet, epochs_given: bool) -> RunConfig:
    """The settings with what the images decide.

    That is which images they are, and the number of epochs unless it was given.
    """
    fewer = {"epochs": SAMPLE_EPOCHS} if data.source == "sample" and not epochs_given else {}
    return config.replaced(data=data.source, **fewer)
