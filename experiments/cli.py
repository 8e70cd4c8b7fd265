"""The main function that all experiments share: from arguments to results, every mistake answered in one line."""

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

from experiments import compilations
from experiments.arguments import Parser, Request, build_parser, configured, parse, unused
from jaxode.checks import ConfigError
from jaxode.config import CHAINS, RunConfig

if TYPE_CHECKING:
    from jaxode.data import ImageSet
    from jaxode.train import Cluster

SAMPLE_EPOCHS = 5
"""Epochs on the bundled sample unless given: the protocol's many passes over few images would only memorise them."""

WRONG_REQUEST, FAILED, KILLED = 2, 1, 128


def main(argv: Sequence[str] | None, *, preset: RunConfig, doc: str, name: str) -> int:
    """Run an experiment; returns its exit code: 0, 1 for a failed run, 2 for a wrong request, 128 + signal.

    Args:
        argv: arguments, or None for those of the process.
        preset: defaults.
        doc: the experiment's docstring, which --help prints.
        name: the experiment's module, for messages.
    """
    parser = build_parser(preset, doc, f"python -m {name}")
    try:
        request = parse(parser, list(sys.argv[1:] if argv is None else argv))
        config = configured(preset, request.settings) if request.resume is None else preset
    except SystemExit as stop:
        return int(stop.code or 0)
    except ConfigError as error:
        return fail(parser, error, WRONG_REQUEST)
    try:
        return carry_out(parser, request, config)
    except KeyboardInterrupt:
        return fail(parser, "interrupted before anything was trained", KILLED + 2)


def fail(parser: Parser, error: object, code: int) -> int:
    """Print one line and hand the exit code on."""
    print(f"{parser.prog}: error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
    return code


def told(error: OSError) -> str:
    """What the system says, with the file it says it of."""
    return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)


def carry_out(parser: Parser, request: Request, config: RunConfig) -> int:
    """A well-formed request; its errors become exit codes."""
    from jaxode.data import SPECS, DataError
    from jaxode.train import CheckpointError, Cluster, ResumeError, RunFailed, Stopped, out_of_memory

    cluster, out = Cluster(), None
    try:
        if request.resume is not None:
            config = resumed(request.resume, request, config)
        empty = " of 0 blocks" if config.model.model in CHAINS and not config.model.blocks else ""
        unsplit = SPECS[config.data.dataset].unsplit
        for flag in unused(config, request.settings, unsplit=unsplit):
            what = f"{config.model.model}{empty} with {config.optim.optimizer} on {config.data.dataset}"
            print(f"note: {flag} has no effect on {what}", file=sys.stderr)
        if request.describe:
            print(json.dumps(description(config)))
            return 0
        if request.resume is not None and finished(request.resume, config):
            print(f"{request.resume} is complete: all {config.epochs} epochs are done")
            return 0
        cluster = met(request, config)
        with cluster:
            out = Path(cluster.told(lambda: str(request.resume or new_directory(request, config))))
            return train(request, config, out, cluster)
    except (ConfigError, DataError, ResumeError, BlockingIOError) as error:
        return cluster.end(fail(parser, error, WRONG_REQUEST))
    except KeyboardInterrupt:
        if cluster.torn:
            cluster.end(fail(parser, "interrupted", KILLED + 2))
        raise
    except Stopped as stop:
        print(f"go on with: {parser.prog} --resume {shlex.quote(str(out))}", file=sys.stderr)
        return KILLED + stop.signum
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
        return cluster.end(fail(parser, "out of memory: use a smaller --batch-size, or --gradient backsolve", FAILED))
    finally:
        if out is not None and request.resume is None and cluster.first:
            with contextlib.suppress(OSError):
                out.rmdir()  # only if nothing was put into it


def met(request: Request, config: RunConfig) -> Cluster:
    """JAX set up for this run, and the processes that take part in it. Raises ConfigError, RunFailed."""
    import jax

    from jaxode.train import Cluster, join, membership

    member = membership(request.coordinator, request.processes, request.process_id)
    jax.config.update("jax_enable_x64", config.precision == "float64")
    if config.parallel.devices is not None:
        with contextlib.suppress(RuntimeError):  # JAX has begun with what there is, which the run is told if too few
            jax.config.update("jax_num_cpu_devices", config.parallel.devices)
    compilations.keep()
    if member is None:
        return Cluster()
    timeout = {} if request.join_timeout is None else {"timeout": request.join_timeout}
    return join(member, secret_file=request.secret_file, **timeout)


def description(config: RunConfig) -> dict[str, Any]:
    """The model as JSON values; builds shapes only."""
    from jaxode.data import spec_of, view_shape
    from jaxode.nn import describe

    spec = spec_of(config.data)
    found = describe(config.model, config.solve, image_shape=view_shape(config, spec), classes=spec.classes)
    return {"dataset": config.data.dataset, **found, "config": config.to_json()}


def resumed(directory: Path, request: Request, preset: RunConfig) -> RunConfig:
    """Settings of the run in a directory with the allowed changes. Raises ResumeError."""
    from jaxode.train import ResumeError, read_config, settle

    has = read_config(directory)
    if has.data.dataset != preset.data.dataset:
        found, own = has.data.dataset, preset.data.dataset
        raise ResumeError(f"{directory} is another run: dataset (run has {found}, asked {own})")
    return settle(directory, has, request.settings)


def finished(directory: Path, config: RunConfig) -> bool:
    """Whether the run's result says that all epochs are done, and nothing that belongs to it is missing."""
    from jaxode.train import missing

    try:
        result = json.loads((directory / "result.json").read_text())
        done = result["status"] == "complete" and result["epochs"] == config.epochs
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return done and not missing(directory, config)


def new_directory(request: Request, config: RunConfig) -> Path:
    """The output directory, made and tried. Raises ConfigError if it cannot be written or already holds a run."""
    from jaxode.train import make_writable

    out = request.out
    if out is None:
        stem = f"runs/{config.data.dataset}/{config.model.model}-{time.strftime('%Y%m%d-%H%M%S')}"
        out, number = Path(stem), 1
        while out.exists():
            number += 1
            out = Path(f"{stem}-{number}")
    if (out / "config.json").exists():
        raise ConfigError(f"{out} already holds a run: go on with it by --resume {out}, or give another --out")
    try:
        make_writable(out)
    except OSError as error:
        raise ConfigError(f"cannot write into {out}: {error.strerror or error}") from error
    return out


def train(request: Request, config: RunConfig, out: Path, cluster: Cluster) -> int:
    """Load, train, and print what came out."""
    from jaxode.data import load
    from jaxode.nn.kernels import has_tf32
    from jaxode.train import Progress, held, require_tensorboard, run
    from jaxode.train.provenance import device

    if request.tensorboard:
        require_tensorboard()
    progress = Progress(quiet=request.quiet or not cluster.first)
    if config.precision == "tf32" and not has_tf32() and cluster.first:
        print(f"note: this device ({device()}) has no TF32 and computes in float32", file=sys.stderr)
    with held(out) if cluster.first else contextlib.nullcontext():
        data = cluster.in_turn(lambda: load(config.data, progress=not progress.quiet))
        config = decided(config, data, request.resume is not None or "epochs" in request.settings)
        cluster.alike("settings", config.to_json())
        progress.say(f"{announcement(data)}; {config.epochs} epochs; results in {out}")
        result = run(config, data, out, progress=progress, tensorboard=request.tensorboard, cluster=cluster)
    if cluster.first:
        print(conclusion(result, out))
    return 0


def decided(config: RunConfig, data: ImageSet, epochs_given: bool) -> RunConfig:
    """The settings with what the images decide: which they are, and the number of epochs unless it was given."""
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
        f"{result['model']} on {result['dataset']}{source}, {result['epochs']} epochs:"
        f" test accuracy {100 * result['test_accuracy']:.2f} %,"
        f" macro F1 {result['test_macro_f1']:.4f}, training accuracy {100 * result['train_accuracy']:.2f} %"
        f" (best test {100 * result['best_test_accuracy']:.2f} % in epoch {result['best_epoch']})"
    ]
    if result["nfe_forward"] is not None:
        lines.append(f"{result['nfe_forward']:.1f} function evaluations a forward solve")
    lines.append(f"results in {out}")
    return "\n".join(lines)
