"""Records of runs that were never run, for tests of what is made of records."""

import numpy as np

from jaxode import metrics
from scripts.tables.protocols import settings
from scripts.tables.records import Record
from scripts.tables.rows import TABLES


def made(name, label, scale="cpu", seed=0, accuracy=0.99, *, seconds=312.4, nfe=26.0, **more):
    """A record as a run of this row would leave it, whose first epoch was disturbed."""
    config = settings(TABLES[name], TABLES[name].row(label), scale, seed)
    solves = config.model.ode_blocks > 0
    images = TABLES[name].images.get(scale, 70_000)
    history = [
        {
            "epoch": epoch,
            "test_accuracy": accuracy,
            "nfe_forward": nfe if solves else None,
            "nfe_forward_train": 20.0 + epoch if solves else None,
            "train_seconds": seconds * (9 if epoch == 1 else 1),
            "eval_seconds": 5.0 if epoch < config.epochs else 30.0,
            "loss": 2.0,
            "test_loss": 2.0,
            "images_per_second": 100.0,
            "compile_seconds": 0.0,
            "train_accuracy": None if epoch < config.epochs else 0.995,
        }
        for epoch in range(1, config.epochs + 1)
    ]
    result = {
        "status": "complete",
        "test_accuracy": accuracy,
        "train_accuracy": 0.995,
        "test_macro_f1": 0.9876,
        "parameters": 208266,
        "nfe_forward": nfe if solves else None,
        "classification": {},
        "train_images": images - images // 5,
        "test_images": images // 5,
        "device": "cpu: some",
        "cores": 2,
        "commit": "abcdef0123456",
        "date": "2026-11-21",
        "versions": {"python": "3.11", "jax": "0.10.2", "flax": "0.12", "diffrax": "0.7.2"},
        **more,
    }
    return Record(config, result, history)


def signs(name, label, recall, losses=(2.0, 1.0)):
    """A record of hand signs, of classes recognised by these shares, in ten images each."""
    names = [chr(65 + k) for k in range(len(recall))]
    counts = np.diag([round(10 * share) for share in recall])
    counts[:, -1] += 10 - counts.sum(1)
    record = made(name, label, accuracy=float(np.mean(recall)))
    record.result["classification"] = metrics.report(counts, tuple(names))
    for number, entry in enumerate(record.history):
        entry["loss"] = losses[0] + (losses[1] - losses[0]) * number / (len(record.history) - 1)
    return record
