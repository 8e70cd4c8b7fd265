"""Operations of a call, counted by hand and by XLA."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from scripts.bench import arithmetic
from scripts.bench.cases import Case
from scripts.bench.jax_side import build
from scripts.bench.sides import Outcome, pose

SMALL = Case("test", batch=2, width=16)


def outcome(forward=20, backward=None, accepted=3):
    return Outcome(np.zeros(0), nfe_forward=forward, nfe_backward=backward, accepted=accepted)


def test_a_field_of_six_pixels_a_side_by_hand():
    layer = arithmetic.field(SMALL)
    assert layer.operations == 2 * 2 * 36 * 9 * 16 * 16
    assert layer.native == pytest.approx(
        16 / 36
    )  # whole tiles: nine of 16 products for 36 outputs of 9 taps
    colour = arithmetic.field(replace(SMALL, channels=3))
    assert colour.native == pytest.approx(16 * 16 / (9 * 49))  # seven pixels are four tiles of two


@pytest.mark.parametrize("channels", [1, 3])
def test_inference_of_a_resnet_is_what_xla_counts(channels):
    """Of its own convolutions, less the products with the padding's zeros, and with norms, sums and
    the head.
    """
    case = replace(SMALL, model="resnet", blocks=2, work="inference", channels=channels)
    problem = pose(case)
    model = build(case, problem, "plain")
    counted = (
        jax.jit(lambda images: model(images)[0])
        .lower(problem.images)
        .compile()
        .cost_analysis()["flops"]
    )
    whole, done = arithmetic.operations(case, Outcome(np.zeros(0)), None)
    assert whole == done
    assert 0.9 * whole <= counted <= 1.1 * whole


@pytest.mark.parametrize(
    ("gradient", "backward", "evaluations"),
    [
        ("tape", 20, 20 + 2 * 19),
        ("replay", 19, 20 + 2 * 19 + 19),
        ("backsolve", 30, 20 + 90),
        ("backsolve", None, None),
    ],
)
def test_a_training_step_counts_a_pullback_twice(gradient, backward, evaluations):
    case = replace(SMALL, gradient=gradient)
    found = arithmetic.operations(case, outcome(backward=backward), "native")
    if evaluations is None:
        assert found is None
        return
    first, second, third = arithmetic.stem(case)
    block = arithmetic.field(case)
    whole = evaluations * block.operations + 3 * (
        first.operations + second.operations + third.operations
    )
    assert found[0] == pytest.approx(2 * whole)
    assert found[1] < 0.6 * found[0]


def test_the_ceiling_is_a_speed():
    assert 1e8 < arithmetic.ceiling() < 1e14
