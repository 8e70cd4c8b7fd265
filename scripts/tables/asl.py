"""The learning rate and the augmentations of hand signs, measured.

Source: S. Mukherjee, S. Sarkar, "Rule Discovery using Neural ODEs – ASL Classification".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxode.plots import confusion_matrix
from scripts.tables.analyses import Finding, rows_with_runs, series
from scripts.tables.pictures import Curve, draw
from scripts.tables.protocols import Scale
from scripts.tables.records import Record
from scripts.tables.rows import TABLES

UPRIGHT, ALL = "all but reflections", "all nine"
LEARNED = 0.99
"""Accuracy on training images from which on a net is no longer called still learning."""

MOST_NAMED = 5
"""Signs that a text names."""


def rate(records: Sequence[Record], scale: Scale) -> Finding:
    """Mukherjee and Sarkar's learning rate of 1e-14 beside a usual one."""
    claim = "A learning rate of 1e-14 (Mukherjee and Sarkar) changes nothing."
    runs = rows_with_runs(records, ["asl_rate"], scale)
    if len(runs) < len(TABLES["asl_rate"].rows):
        return Finding("asl-rate", claim)
    parts = [
        f"with {record.config.optim.lr:g} the mean loss of an epoch goes from"
        f" {record.history[0]['loss']:.4f} to {record.history[-1]['loss']:.4f} nats in"
        f" {record.config.epochs} epochs (guessing: {guessing(record):.4f})"
        for _, _, record in runs
    ]
    curves = {
        "training loss in nats": [
            Curve(row.label, series(record, "loss")) for _, row, record in runs
        ]
    }
    return Finding(
        "asl-rate", claim, f"ASL alphabet, first 10 classes: {'; '.join(parts)}.", draw(curves)
    )


def guessing(record: Record) -> float:
    """Cross-entropy of a model that gives every class the same probability, in nats."""
    return float(np.log(len(record.result["classification"]["by_class"])))


def reflections(records: Sequence[Record], scale: Scale) -> Finding:
    """Mukherjee and Sarkar's augmentations with and without transpose and flips."""
    claim = (
        "Mirrored and transposed hand signs are other signs: reflections among the augmentations"
        " cost accuracy."
    )
    runs = {
        row.label: record
        for _, row, record in rows_with_runs(records, ["asl_augmentations"], scale)
    }
    if not {UPRIGHT, ALL} <= runs.keys():
        return Finding("asl-augmentations", claim)
    parts = [
        f"{label} {100 * record.result['test_accuracy']:.2f} % (training images"
        f" {100 * record.result['train_accuracy']:.2f} %, macro F1"
        f" {record.result['test_macro_f1']:.4f})"
        for label, record in runs.items()
    ]
    upright, mirrored = (
        runs[label].result["classification"]["by_class"] for label in (UPRIGHT, ALL)
    )
    lost = {name: upright[name]["recall"] - mirrored[name]["recall"] for name in upright}
    worst = sorted((name for name in lost if lost[name] > 0), key=lambda name: -lost[name])[
        :MOST_NAMED
    ]
    named = ", ".join(
        f"{name} ({upright[name]['recall']:.0%} → {mirrored[name]['recall']:.0%})" for name in worst
    )
    images = next(iter(upright.values()))["images"]
    learning = [
        label for label, record in runs.items() if record.result["train_accuracy"] < LEARNED
    ]
    still = (
        f" Below {LEARNED:.0%} on training images, and so not fully trained: {', '.join(learning)}."
        if learning
        else ""
    )
    text = (
        "ResNet 6, first 10 classes, test accuracy by the augmentations of training:"
        f" {'; '.join(parts)}.{still} Signs that reflections cost most, by the share of their"
        f" {images} test images that is recognised: {named or 'none'}."
    )
    curves = {
        "test accuracy in %": [
            Curve(label, series(record, "test_accuracy", 100)) for label, record in runs.items()
        ],
        "training loss in nats": [
            Curve(label, series(record, "loss")) for label, record in runs.items()
        ],
    }
    return Finding("asl-augmentations", claim, text, draw(curves))


def confusions(records: Sequence[Record], scale: Scale) -> list[tuple[str, str, bytes]]:
    """Name, text and PNG of each model's confusion matrix, of all signs and of ten."""
    found = []
    for table, row, record in rows_with_runs(records, ["asl_10", "asl_29"], scale):
        scores = record.result["classification"]
        title = f"{table.title}: {row.label}"
        png = confusion_matrix.draw(np.array(scores["confusion"]), list(scores["by_class"]), title)
        found.append(
            (f"{table.name}-{row.label.split(',')[0].lower().replace(' ', '-')}", title, png)
        )
    return found
