"""What gradients need of memory, read off XLA's plan for the compiled program, which no machine's
load changes.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jaxlib.version import __version_info__

from jaxode.config import SolveConfig
from jaxode.nn import native
from jaxode.ode import allocation, odeint

WIDTH, BATCH = 16, 64
STATE = 4 * BATCH * WIDTH
"""Bytes of one state."""
SLACK = 64
"""Bytes an accepted step may take besides states: its time."""


@pytest.fixture(params=["native", "xla"])
def allocator(request, monkeypatch):
    """Who makes the arrays that a solve fills: the native kernels, or XLA where there are none."""
    if request.param == "native" and not native.load():
        pytest.skip(native.unavailable_reason())
    if request.param == "xla":
        monkeypatch.setattr(allocation, "_ALLOCATORS", {})


def temporary(**settings: Any) -> int:
    """Bytes of temporary memory of a gradient."""

    def loss(z0, weights):
        return jnp.sum(
            odeint(lambda t, z, w: jnp.tanh(z @ w), z0, weights, SolveConfig(**settings))[0]
        )

    shapes = (
        jax.ShapeDtypeStruct((BATCH, WIDTH), jnp.float32),
        jax.ShapeDtypeStruct((WIDTH, WIDTH), jnp.float32),
    )
    memory: Any = jax.jit(jax.grad(loss, (0, 1))).lower(*shapes).compile().memory_analysis()
    return memory.temp_size_in_bytes


def slope(setting: str, low: int, high: int, **settings: Any) -> float:
    """States a unit of a setting."""
    sizes = [temporary(**{setting: value}, **settings) for value in (low, high)]
    return (sizes[1] - sizes[0]) / (high - low) / STATE


def test_backsolve_is_constant_in_the_steps():
    assert temporary(gradient="backsolve", max_steps=64) == temporary(
        gradient="backsolve", max_steps=512
    )


@pytest.mark.parametrize("stepping", ["diffrax", "torchdiffeq"])
def test_replay_keeps_one_state_a_step(stepping, allocator):
    found = slope("max_steps", 64, 512, gradient="replay", stepping=stepping)
    assert 1 <= found <= 1 + SLACK / STATE


def test_tape_keeps_one_state_a_segment(allocator):
    found = slope("max_steps", 64, 512, gradient="tape", tape_steps=8)
    assert 1 / 8 <= found <= 1 / 8 + SLACK / STATE


@pytest.mark.parametrize(("solver", "evaluations"), [("bosh3", 3), ("dopri5", 6)])
def test_a_taped_step_keeps_what_its_evaluations_leave(solver, evaluations, allocator):
    """Here each leaves two arrays as large as the state: the field's argument and its product with
    the weights.
    """
    found = slope("tape_steps", 8, 16, gradient="tape", solver=solver, max_steps=16)
    assert found == pytest.approx(2 * evaluations, abs=0.6)


def test_direct_needs_more_than_a_tape_of_every_step():
    """1.95 times as much by the plan of jaxlib 0.10, 1.23 times by that of 0.12."""
    most, taped = (
        temporary(gradient="direct", max_steps=16),
        temporary(gradient="tape", tape_steps=16, max_steps=16),
    )
    assert most > (1.5 if __version_info__ < (0, 11) else 1.2) * taped
