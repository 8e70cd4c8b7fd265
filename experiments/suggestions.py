"""Which flag was meant by one that does not exist: by its meaning first, then by its spelling."""

from __future__ import annotations

from collections.abc import Iterable

from jaxode.checks import closest

MEANT = {
    "tolerance": "rtol", "tol": "rtol", "rel-tol": "rtol", "relative-tolerance": "rtol", "reltol": "rtol",
    "abs-tol": "atol", "absolute-tolerance": "atol", "abstol": "atol",
    "adjoint-rtol": "backward-rtol", "adjoint-atol": "backward-atol", "adjoint-norm": "backward-norm",
    "learning-rate": "lr", "learningrate": "lr", "rate": "lr", "eta": "lr", "alpha": "lr",
    "batch": "batch-size", "bs": "batch-size", "b": "batch-size", "minibatch": "batch-size",
    "num-epochs": "epochs", "n-epochs": "epochs", "nepochs": "epochs", "max-epochs": "epochs",
    "iterations": "epochs", "passes": "epochs",
    "method": "solver", "integrator": "solver", "ode-solver": "solver",
    "adjoint": "gradient backsolve", "use-adjoint": "gradient backsolve", "backprop": "gradient tape",
    "h": "step-size", "dt": "step-size", "dt0": "step-size", "stepsize": "step-size", "max-num-steps": "max-steps",
    "gpu": "devices", "gpus": "devices", "num-gpus": "devices", "ngpus": "devices", "num-devices": "devices",
    "grad-accumulation": "accumulate", "gradient-accumulation": "accumulate", "grad-accum": "accumulate",
    "output": "out", "output-dir": "out", "outdir": "out", "o": "out", "save": "out", "save-dir": "out",
    "logdir": "out", "log-dir": "out", "results": "out", "save-path": "out",
    "dataset": "data", "data-path": "data-dir", "data-root": "data-dir", "dataset-dir": "data-dir", "root": "data-dir",
    "network": "model", "net": "model", "arch": "model", "architecture": "model",
    "layers": "blocks", "num-blocks": "blocks", "depth": "blocks", "channels": "width", "hidden": "width",
    "features": "width", "filters": "width", "dims": "augment-dims", "augmentation": "augment",
    "optim": "optimizer", "optimiser": "optimizer", "opt": "optimizer", "wd": "weight-decay", "l2": "weight-decay",
    "scheduler": "schedule", "lr-schedule": "schedule", "decay": "weight-decay",
    "dtype": "precision", "fp16": "precision float16", "bf16": "precision bfloat16", "float64": "precision float64",
    "random-seed": "seed", "manual-seed": "seed", "rng": "seed",
    "continue": "resume", "restart": "resume", "checkpoint": "resume", "load": "resume", "restore": "resume",
    "silent": "quiet", "q": "quiet", "summary": "describe", "dry-run": "describe", "world-size": "processes",
    "rank": "process-id", "nprocs": "processes", "master": "coordinator", "per-example": "per-sample",
    "num-classes": "classes", "n-classes": "classes", "train-size": "limit-train", "test-size": "test-share",
}  # fmt: skip
"""What people call a setting who know it from elsewhere, and the flag for it here, with its value
if that is meant.
"""


def suggestion(word: str, flags: Iterable[str]) -> str | None:
    """The flag that an unknown one most likely meant, with its value if that is meant too."""
    names = [flag[2:] for flag in flags if flag.startswith("--")]
    found = closest(word.lstrip("-").replace("_", "-"), names, MEANT)
    return f"--{found}" if found else None
