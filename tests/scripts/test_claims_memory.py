"""What the claims say of memory and of files: plans of compiled programs, peaks of processes, bytes
on disk.
"""

from __future__ import annotations

import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxode.config import ModelConfig, SolveConfig
from jaxode.models import MLP
from scripts.claims import memory, resident, size, steps
from scripts.claims.steps import Plan, planned
from scripts.claims.subject import Request


def test_memory_by_steps_and_what_a_step_adds(monkeypatch):
    asked = []

    def plan(model, solve, batch):
        asked.append((model, solve, batch))
        return Plan(10**6 * solve.max_steps**2, 0, 0)

    monkeypatch.setattr(memory, "planned", plan)
    found = memory.measure(
        Request(), batch=3, width=4, steps=(2, 4, 64), kinds=("tape", memory.EVERY_STEP, "ResNet")
    )
    assert found["curves"]["tape"] == {"mb": [4, 16, 4096], "mb_a_step": 68}
    assert found["curves"]["ResNet"]["mb"][2] is None
    assert [(m.model, m.blocks) for m, _, _ in asked[-2:]] == [("resnet", 2), ("resnet", 4)]
    solves = [solve for _, solve, _ in asked[:6]]
    assert [(s.step_size, s.max_steps, s.tape_steps) for s in solves] == [
        (1 / 2, 2, 8),
        (1 / 4, 4, 8),
        (1 / 64, 64, 8),
        (1 / 2, 2, 2),
        (1 / 4, 4, 4),
        (1 / 64, 64, 64),
    ]
    assert {(model.width, batch) for model, _, batch in asked} == {(4, 3)}


def test_a_plan_separates_arguments_from_temporary_memory():
    few, many = (planned(ModelConfig("mlp"), SolveConfig(), batch) for batch in (8, 64))
    assert many.arguments - few.arguments == 56 * (4 * 28 * 28 + 4)
    assert many.temporary - few.temporary >= 56 * 4 * 300  # hidden units
    assert 0 <= few.outputs - 4 * (238_510 + 1) < 100  # and a table of where they are
    assert few.outputs == many.outputs


def test_files_hold_their_parameters_and_little_else():
    pytest.importorskip("torch")
    found = size.file_bytes(ModelConfig("mlp"))
    assert found["parameters"] == 238_510
    assert 4 * 238_510 < found[".safetensors"] < 4 * 238_510 + 1000
    assert 4 * 238_510 < found[".pt"] < 4 * 238_510 + 10_000


def test_size_asks_for_every_process_and_plan(monkeypatch):
    asked = []
    monkeypatch.setattr(size, "planned", lambda model, solve, batch: Plan(batch, 1, 2))
    monkeypatch.setattr(size, "file_bytes", lambda model: {"parameters": model.blocks})
    found = size.measure(
        Request(), batch=5, process=lambda **given: asked.append(given) or {"done": 1}
    )
    assert found["files"] == {"ODENet": {"parameters": 1}, "ResNet 8": {"parameters": 8}}
    assert found["plans"]["direct"] == {"temporary": 5, "arguments": 1, "outputs": 2}
    assert [(one["side"], one["gradient"]) for one in asked] == [
        ("jaxode", "backsolve"), ("jaxode", "tape"), ("torch", "backsolve"), ("torch", "tape")
    ]  # fmt: skip


def test_a_process_prints_its_peak(monkeypatch):
    pytest.importorskip("torchdiffeq")
    monkeypatch.setattr(
        steps, "model_of", lambda model, solve: MLP(784, 10, rngs=nnx.Rngs(0), dtype=jnp.float32)
    )
    asked = {"gradient": "tape", "batch": 2, "width": 4, "steps": 1}
    for found in (resident.with_jaxode(asked), resident.with_torch(asked)):
        peaks = list(found.values())
        assert 10**7 < peaks[0] <= peaks[-1] < 10**11
        assert peaks == sorted(peaks)


def test_a_peak_is_not_that_of_the_process_before():
    ballast = np.ones(40_000_000)
    words = "from scripts.claims.resident import peak; print(peak())"
    done = subprocess.run(
        [sys.executable, "-c", words], cwd=resident.ROOT, capture_output=True, text=True, check=True
    )
    assert 5 * 10**6 < int(done.stdout) < resident.peak() - ballast.nbytes / 2


def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match="ended with 1: KeyError: 'numpy'"):
        resident.measured(side="numpy")
