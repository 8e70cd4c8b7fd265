r"""A few training steps in a process of their own, which prints its peak memory as JSON.

    python -m scripts.claims.resident \
        '{"side": "torch", "gradient": "tape", "batch": 128, "width": 64, "steps": 3}'

`side` is jaxode or torch, where `gradient` is backsolve (torchdiffeq's adjoint) or tape (through
the solver's steps).
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
RATE = 0.1


def peak() -> int:
    """Peak memory of this process so far, in bytes."""
    try:
        # Under Linux, a process starts with getrusage's peak of the process that started it.
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
            1 if sys.platform == "darwin" else 1024
        )


def batch_of(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images [B, 28, 28, 1] as normalised ones, and labels."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 28, 28, 1)).astype(np.float32), rng.integers(
        10, size=count
    ).astype(np.int32)


def with_jaxode(request: dict[str, Any]) -> dict[str, Any]:
    """Steps of gradient descent; the peak once all is imported, compiled and done."""
    import jax
    from flax import nnx

    from jaxode.config import ModelConfig, SolveConfig
    from scripts.claims.steps import model_of, step

    model = model_of(ModelConfig(width=request["width"]), SolveConfig(gradient=request["gradient"]))
    graph, params = nnx.split(model, nnx.Param)
    images, labels = (jax.device_put(array) for array in batch_of(request["batch"]))
    found = {"imported": peak()}

    def update(params: Any) -> Any:
        _, gradient = step(graph, params, images, labels)
        return jax.tree.map(lambda p, g: p - RATE * g, params, gradient)

    program = jax.jit(update, donate_argnums=0).lower(params).compile()
    found["compiled"] = peak()
    for _ in range(request["steps"]):
        params = jax.block_until_ready(program(params))
    return {**found, "done": peak()}


def with_torch(request: dict[str, Any]) -> dict[str, Any]:
    """The same with torch_ref, as in Gładzik 2019: nothing is compiled."""
    import torch

    from torch_ref.model import build
    from torch_ref.solve import Settings

    # jaxode's facts would tell the same, but its import is memory that PyTorch does not need.
    settings = Settings(adjoint=request["gradient"] == "backsolve")
    model = build("odenet", 1, channels=1, classes=10, width=request["width"], settings=settings)
    images, labels = batch_of(request["batch"])
    shown, wanted = (
        torch.from_numpy(images.transpose(0, 3, 1, 2).copy()),
        torch.from_numpy(labels).long(),
    )
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    found = {"imported": peak()}
    for _ in range(request["steps"]):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(shown), wanted).backward()
        optimizer.step()
    return {**found, "done": peak()}


def measured(**request: Any) -> dict[str, Any]:
    """The JSON that such a process prints, with the request.

    Args:
      **request: side, gradient, batch, width, steps.

    Raises:
      RuntimeError: the process failed; the message ends with its last line.
    """
    words = [sys.executable, "-m", "scripts.claims.resident", json.dumps(request)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        complaint = (done.stderr.strip().splitlines() or [""])[-1]
        raise RuntimeError(
            f"the process of {json.dumps(request)} ended with {done.returncode}: {complaint}"
        )
    return {**request, **json.loads(done.stdout.splitlines()[-1])}


if __name__ == "__main__":
    wanted = json.loads(sys.argv[1])
    print(json.dumps({"jaxode": with_jaxode, "torch": with_torch}[wanted["side"]](wanted)))
