"""What a training command says: which data, how it ended, what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxode.cli.program_name import program_name

if TYPE_CHECKING:
    from jaxode.data import ImageSet
    from jaxode.tasks import Task


def data_text(data: ImageSet) -> str:
    """Which images are used, loudly if they are not all there are."""
    train, test = len(data.train_labels), len(data.test_labels)
    which = "the bundled SAMPLE, not the full set" if data.source == "sample" else "the full set"
    if data.source == "full" and not data.whole:
        which = "a PART of the full set"
    return f"{data.name}: {which}: {train:,} training and {test:,} test images"


def result_text(result: Mapping[str, Any], task: Task, out: Path) -> str:
    """The last lines of a run."""
    from jaxode.runs.next_steps import where_text

    source = " (bundled sample)" if result["data"] == "sample" else ""
    run = f"{result['model']} on {result['dataset']}{source}, {result['epochs']} epochs"
    lines = [f"{run}: {task.result_text(result)}"]
    if result["nfe_forward"] is not None:
        back = result.get("nfe_backward")
        backward = "" if back is None else f", {back:.1f} a backward solve"
        lines.append(f"{result['nfe_forward']:.1f} function evaluations a forward solve{backward}")
    early = result.get("stopped_early")
    if early:
        planned = result["epochs_planned"]
        lines.append(f"stopped after epoch {early['epoch']} of {planned}: {early['reason']}")
    where = shlex.quote(str(out))
    name = program_name()
    following = f"{name} predict {where} PICTURE   or   {name} evaluate {where}"
    return "\n".join([*lines, where_text(out, following)])


def resume_text(prog: str, out: Path | None, *, complete: bool) -> str:
    """What an interrupted command leaves, and how to go on with it."""
    if out is None or not (out / "config.json").exists():
        return "nothing was trained"
    if complete:
        return f"the run is complete: results in {out}"
    return f"go on with: {prog} --resume {shlex.quote(str(out))}"


def os_error_text(error: OSError) -> str:
    """The system's message, with the file that it is about."""
    named = error.filename and error.strerror
    return f"{error.filename}: {error.strerror}" if named else str(error)
