"""The detector that learns a set of images with boxes, and what is written of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from flax import nnx

from experiments.detections import pictures
from experiments.detections.config import DetectionConfig
from experiments.detections.data import problem
from experiments.run_settings import run_settings
from experiments.written_at_the_start import WrittenAtTheStart, require_same
from jaxode.inference.trained_detector import FACTS
from jaxode.models.detector_config import FILE, DetectorConfig, create_detector
from jaxode.runs import Progress
from jaxode.runs.files import write_whole
from jaxode.runs.predictions import load
from jaxode.train import fit

MOST_REMARKS = 20
"""Lines about objects that are left out; of more only their number is said."""


def model_of(config: DetectionConfig, classes: int) -> DetectorConfig:
    """Which detector the settings ask for. Raises ConfigError."""
    blocks = config.blocks or (6 if config.backbone == "resnet" else 1)
    named = ("backbone", "stem", "width", "hidden", "anchors", "ratios")
    sizes = ("proposals", "boxes", "rows", "columns")
    given = {name: getattr(config, name) for name in (*named, *sizes)}
    return DetectorConfig(classes, blocks=blocks, **given)


def train(config: DetectionConfig, out: Path, progress: Progress, command: str) -> str:
    """Train, write the run and its pictures; returns the last line to print.

    Raises ConfigError, DataError, ResumeError, Stopped, RunFailed, OSError.
    """
    model_of(config, 1)  # raises ConfigError before the images are read
    settings = run_settings(config)
    found = problem(config)
    for remark in found.splits.remarks[:MOST_REMARKS]:
        progress.warn(remark)
    if len(found.splits.remarks) > MOST_REMARKS:
        progress.warn(f"and {len(found.splits.remarks) - MOST_REMARKS} more such lines")
    which = model_of(config, len(found.splits.class_names))
    model = create_detector(which, settings.solve, rngs=nnx.Rngs(config.seed))
    files = {
        FILE: dataclasses.asdict(which),
        FACTS: found.facts,
        "experiment.json": {"command": command, **dataclasses.asdict(config)},
    }
    if config.resume:
        require_same(out / FILE, files[FILE])
        require_same(out / FACTS, found.facts)
    done = fit(
        model,
        found.task,
        found.dataset,
        settings,
        out=out,
        resume=config.resume,
        callbacks=[WrittenAtTheStart(out, files)],
        progress=progress,
    )
    stored = load(out, config.epochs, found.task)
    scores = done.result["detection"]
    if stored is not None:
        test, names = found.splits.test, found.splits.class_names
        rows = stored["detections"]
        for name, content in pictures.drawn(test, rows, names, scores["threshold"]).items():
            write_whole(out / name, content)
    return last_line(scores, out)


def last_line(scores: dict[str, Any], out: Path) -> str:
    """What the run found."""
    classes = ", ".join(
        f"{name} {one['ap50']:.3f}" if one["ap50"] is not None else f"{name} -"
        for name, one in scores["classes"].items()
    )
    return (
        f"test AP at overlap 0.5 {scores['ap50']:.4f} ({classes}), COCO's AP {scores['ap']:.4f};"
        f" precision {scores['precision']:.4f}, recall {scores['recall']:.4f},"
        f" F1 {scores['f1']:.4f} at score {scores['threshold']:.2f} ({json.dumps(str(out))})"
    )
