"""Where the trainer keeps a run: in a directory, or in memory."""

from __future__ import annotations

from pathlib import Path

from jaxode.data import Dataset
from jaxode.distributed.process_group import ProcessGroup
from jaxode.runs.progress import Progress
from jaxode.runs.provenance import commit, cores, device, versions
from jaxode.runs.run_directory import RunDirectory
from jaxode.runs.run_writer import RunWriter
from jaxode.strict_json import JsonObject
from jaxode.train.compiled_steps import CompiledSteps
from jaxode.train.in_memory import InMemoryRecords


def make_records(
    steps: CompiledSteps,
    data: Dataset,
    out: Path | None,
    cluster: ProcessGroup,
    progress: Progress,
) -> RunWriter | InMemoryRecords:
    """The records of a run.

    Args:
        steps: of the run.
        data: what is trained on.
        out: the run's directory; None for a run in memory.
        cluster: the processes of the run.
        progress: shows what is restored.
    """
    if out is None:
        return InMemoryRecords(steps.task, facts_of(steps))
    rest = (steps.steps_per_epoch, cluster, progress, steps.task)
    return RunWriter(RunDirectory(out), steps.config, data, facts_of(steps), *rest)


def facts_of(steps: CompiledSteps) -> JsonObject:
    """Values of a result beside settings and metrics."""
    return {
        "task": getattr(steps.task, "name", type(steps.task).__name__),
        "train_images": steps.train_count,
        "test_images": steps.test_count,
        "parameters": steps.parameters,
        "kernels": steps.kernels,
        "device": device(),
        "cores": cores(),
        "devices": steps.spread.count,
        "versions": versions(),
        "commit": commit(),
    }
