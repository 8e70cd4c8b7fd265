"""The main function of all experiments, from arguments to results.

Every wrong request is answered in one line.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments import compilations, process, streams, surroundings
from experiments.arguments import Parser, Request, build_parser, configured, parse, unused
from experiments.memory import smaller
from experiments.signals import Interrupted, Signals
from jaxode.checks import ConfigError
from jaxode.config import RunConfig
from jaxode.strict_json import need, read_object

if TYPE_CHECKING:
    from jaxode.data import ImageSet
    from jaxode.distributed import ProcessGroup

SAMPLE_EPOCHS = 5
"""Epochs on the bundled sample unless given: the protocol's many passes over few images would only
memorise them.
"""

WRONG_REQUEST, FAILED = 2, 1


def main(argv: Sequence[str] | None, *, preset: RunConfig, doc: str, name: str) -> int:
    """Run an experiment and return its exit code.

    The code is 0, 1 for a failed run, 2 for a wrong request, or 128 + the number of a signal.

    Args:
        argv: arguments, or None for those of the process.
        preset: defaults.
        doc: the experiment's docstring, which --help prints.
        name: the experiment's module, for messages.
    """

    def body(signals: Signals) -> int:
        signals.at_once = True  # nothing is to be cleaned up yet, and JAX is to be imported
        parser = build_parser(preset, doc, f"python -m {name}")
        try:
            request = parse(parser, list(sys.argv[1:] if argv is None else argv))
            config = configured(preset, request.settings) if request.resume is None else preset
            reachable(request)
            surroundings.start_jax()
        except ConfigError as error:
            return fail(parser, error, WRONG_REQUEST)
        return carry_out(parser, request, config, signals)

    return process.guarded(f"python -m {name}", body)


def fail(parser: Parser, error: object, code: int) -> int:
    """Print one line and hand the exit code on."""
    return process.report(parser.prog, error, code)


def told(error: OSError) -> str:
    """What the system says, with the file it says it of."""
    return (
        f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    )


def reachable(request: Request) -> None:
    """Raise ConfigError if the storage libraries would not find a directory by its name."""
    places = {"--resume": request.resume, "--data-dir": request.settings.get("data_dir")}
    if request.resume is None and not request.describe:
        places["--out"] = request.out or Path()
    for flag, place in places.items():
        if place is not None:
            surroundings.require_unicode(flag, Path(place))


def carry_out(parser: Parser, request: Request, config: RunConfig, signals: Signals) -> int:
    """A well-formed request; its errors become exit codes."""
    from jaxode.data import DataError, has_predefined_split
    from jaxode.distributed import ProcessGroup
    from jaxode.errors import CheckpointError, ResumeError, RunFailed, Stopped, out_of_memory
    from jaxode.runs.leftovers import sweep_unless_claimed

    signals.at_once = False
    cluster, out = ProcessGroup(), None
    try:
        if request.resume is not None:
            config = resumed(request.resume, request, config)
        chain = "blocks" in config.model.facts.uses
        empty = " of 0 blocks" if chain and not config.model.blocks else ""
        unsplit = not has_predefined_split(config.data.dataset)
        for flag in unused(config, request.settings, unsplit=unsplit):
            what = (
                f"{config.model.name}{empty} with {config.optim.optimizer} on {config.data.dataset}"
            )
            print(f"note: {flag} has no effect on {what}", file=sys.stderr)
        if request.describe:
            print(json.dumps(description(config)))
            return 0 if streams.flushed() is None else FAILED
        if request.resume is not None and finished(request.resume, config):
            sweep_unless_claimed(request.resume)
            print(f"{request.resume} is complete: all {config.epochs} epochs are done")
            return 0
        with signals.blocked():
            cluster = met(request, config)
        signals.install()
        with cluster, contextlib.ExitStack() as claims:
            surroundings.start_devices()
            out = Path(
                cluster.broadcast_from_main(
                    lambda: str(claims.enter_context(run_directory(request, config)))
                )
            )
            return train(request, config, out, cluster)
    except (ConfigError, DataError, ResumeError) as error:
        return cluster.end(fail(parser, error, WRONG_REQUEST))
    except Interrupted as stop:
        text = aftermath(parser, out, config)
        return cluster.end(process.interrupted(parser.prog, stop.signum, f"{stop}: {text}"))
    except Stopped as stop:
        if stop.result is not None and cluster.first and out is not None:
            print(conclusion(stop.result, out))
        return process.stopped(stop, aftermath(parser, out, config))
    except (RunFailed, CheckpointError) as error:
        return fail(parser, error, FAILED)
    except OSError as error:
        return cluster.end(fail(parser, told(error), FAILED))
    except Exception as error:
        if not out_of_memory(error):
            if cluster.count > 1:
                traceback.print_exc()
                cluster.end(FAILED)
            raise
        return cluster.end(fail(parser, f"out of memory: {smaller(config)}", FAILED))


def aftermath(parser: Parser, out: Path | None, config: RunConfig) -> str:
    """What a signal leaves behind, for a message."""
    if out is None or not (out / "config.json").exists():
        return "nothing was trained"
    if finished(out, config):
        return f"the run is complete: results in {out}"
    return f"go on with: {parser.prog} --resume {shlex.quote(str(out))}"


def met(request: Request, config: RunConfig) -> ProcessGroup:
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
    compilations.keep()
    if member is None:
        return ProcessGroup()
    timeout = {} if request.join_timeout is None else {"timeout": request.join_timeout}
    return initialize_distributed(member, secret_file=request.secret_file, **timeout)


def description(config: RunConfig) -> dict[str, Any]:
    """The model as JSON values; builds shapes only."""
    from jaxode.data import spec_of, view_shape
    from jaxode.models import describe

    spec = spec_of(config.data)
    found = describe(
        config.model, config.solve, image_shape=view_shape(config, spec), classes=spec.classes
    )
    return {"dataset": config.data.dataset, **found, "config": config.to_json()}


def resumed(directory: Path, request: Request, preset: RunConfig) -> RunConfig:
    """Settings of the run in a directory with the allowed changes. Raises ResumeError."""
    from jaxode.errors import ResumeError
    from jaxode.runs import merge_resume_request, read_config

    has = read_config(directory)
    if has.data.dataset != preset.data.dataset:
        found, own = has.data.dataset, preset.data.dataset
        raise ResumeError(f"{directory} is another run: dataset (run has {found}, asked {own})")
    return merge_resume_request(directory, has, request.settings)


def finished(directory: Path, config: RunConfig) -> bool:
    """Whether a run is complete: all epochs done, and no file missing or damaged."""
    from jaxode.data import spec_of
    from jaxode.runs import Checkpoints, is_incomplete
    from jaxode.tasks import Classification

    try:
        result = read_object(directory / "result.json")
        done = (
            result.get("status") == "complete"
            and need(result, "epochs", int, "result.json") == config.epochs
        )
    except (OSError, ValueError):
        return False
    return (
        done
        and not is_incomplete(directory, config, Classification(spec_of(config.data).classes))
        and Checkpoints(directory / "checkpoints").whole(config.epochs)
    )


def run_directory(request: Request, config: RunConfig) -> contextlib.AbstractContextManager[Path]:
    """Context in which the run's directory is this process's alone.

    Entering it raises ConfigError.
    """
    from jaxode.runs import lock_new_run_directory, lock_run_directory

    if request.resume is not None:
        return lock_run_directory(request.resume, may_hold_run=True)
    if request.out is not None:
        return lock_run_directory(request.out)
    return lock_new_run_directory(
        Path(f"runs/{config.data.dataset}/{config.model.name}-{time.strftime('%Y%m%d-%H%M%S')}")
    )


def train(request: Request, config: RunConfig, out: Path, cluster: ProcessGroup) -> int:
    """Load, train, and print what came out."""
    from experiments.native_note import tell_once
    from jaxode.data import load
    from jaxode.nn.kernels import has_tf32
    from jaxode.runs import Progress, require_tensorboard
    from jaxode.runs.provenance import device
    from jaxode.train import run

    if request.tensorboard:
        require_tensorboard()
    progress = Progress(quiet=request.quiet or not cluster.first)
    if config.precision == "tf32" and not has_tf32() and cluster.first:
        print(
            f"note: this device ({device()}) has no TF32 and computes in float32", file=sys.stderr
        )
    if cluster.first:
        tell_once(config)
    data = cluster.main_first(lambda: load(config.data, progress=not progress.quiet))
    config = decided(config, data, request.resume is not None or "epochs" in request.settings)
    cluster.assert_equal("settings", config.to_json())
    progress.say(f"{announcement(data)}; {config.epochs} epochs; results in {out}")
    result = run(
        config, data, out, progress=progress, tensorboard=request.tensorboard, cluster=cluster
    )
    if cluster.first:
        print(conclusion(result, out))
    return 0


def decided(config: RunConfig, data: ImageSet, epochs_given: bool) -> RunConfig:
    """The settings with what the images decide.

    That is which images they are, and the number of epochs unless it was given.
    """
    fewer = {"epochs": SAMPLE_EPOCHS} if data.source == "sample" and not epochs_given else {}
    return config.replaced(data=data.source, **fewer)


def announcement(data: ImageSet) -> str:
    """Which images are used, loudly if they are not all there are."""
    train, test = len(data.train_labels), len(data.test_labels)
    which = "the bundled SAMPLE, not the full set" if data.source == "sample" else "the full set"
    if data.source == "full" and not data.whole:
        which = "a PART of the full set"
    return f"{data.name}: {which}: {train:,} training and {test:,} test images"


def conclusion(result: dict[str, Any], out: Path) -> str:
    """The last lines of a run."""
    source = " (bundled sample)" if result["data"] == "sample" else ""
    lines = [
        f"{result['model']} on {result['dataset']}{source}, {result['epochs']} epochs: test"
        f" accuracy {100 * result['test_accuracy']:.2f} %, macro F1 {result['test_macro_f1']:.4f},"
        f" training accuracy {100 * result['train_accuracy']:.2f} % (best test"
        f" {100 * result['best_test_accuracy']:.2f} % in epoch {result['best_epoch']})"
    ]
    if result["nfe_forward"] is not None:
        lines.append(f"{result['nfe_forward']:.1f} function evaluations a forward solve")
    lines.append(f"results in {out}")
    return "\n".join(lines)
