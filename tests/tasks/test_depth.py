"""The task of depth: its losses and errors, whichever way a batch is divided."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxode.checks import ConfigError
from jaxode.losses import berhu
from jaxode.tasks import DepthEstimation

RNG = np.random.default_rng(0)
DEPTH = RNG.uniform(1, 9, (4, 6, 8)).astype(np.float32)
KNOWN = RNG.random(DEPTH.shape) < 0.7
FOUND = jnp.asarray(np.log(DEPTH) + RNG.normal(0, 0.4, DEPTH.shape), jnp.float32)
BATCH = {
    "image": FOUND,  # the model below returns it
    "depth": jnp.asarray(np.where(KNOWN, DEPTH, 0)),
    "mask": jnp.asarray(KNOWN, jnp.float32),
    "weight": jnp.array([1.0, 1.0, 1.0, 0.0]),
}


def part(rows):
    return {name: array[rows] for name, array in BATCH.items()}


@pytest.mark.parametrize("loss", ["berhu", "scale_invariant"])
def test_losses_and_errors_of_parts_add_up_and_padding_counts_for_nothing(loss):
    task = DepthEstimation(loss)

    @jax.jit
    def work(batch):
        share, found = task.loss(lambda x: x, batch, jnp.float32(3))
        return share, task.metrics(found, batch)

    whole, sums = work(BATCH)
    parts = [work(part(np.s_[i : i + 2])) for i in (0, 2)]
    assert float(parts[0][0] + parts[1][0]) == pytest.approx(float(whole), rel=1e-6)
    for name, value in sums.items():
        added = float(parts[0][1][name]) + float(parts[1][1][name])
        assert added == pytest.approx(float(value), rel=1e-5)
    assert sums["pixels"] == KNOWN[:3].sum()
    spoiled = BATCH | {"image": BATCH["image"].at[3].set(9.0)}
    again, others = work(spoiled)
    assert (again, others["rel"]) == (whole, sums["rel"])


def test_pixels_of_all_pictures_count_alike():
    """A picture with few known pixels weighs little, and nothing is read where depth is unknown."""
    task = DepthEstimation()
    found_sums, each = jax.jit(lambda x, y: (task.metrics(x, y), task.predictions(x, y)))(
        FOUND, BATCH
    )
    sums = {name: np.asarray(value) for name, value in found_sums.items()}
    scores = task.summarize(sums)
    truth, found = DEPTH[:3][KNOWN[:3]].astype(float), np.exp(np.asarray(FOUND))[:3][KNOWN[:3]]
    assert scores["rel"] == pytest.approx((abs(found - truth) / truth).mean(), rel=1e-5)
    assert scores["rms"] == pytest.approx(np.sqrt(((found - truth) ** 2).mean()), rel=1e-5)
    share = np.asarray(each["pixels"])[:3] / KNOWN[:3].sum()
    assert share @ np.asarray(each["rel"])[:3] == pytest.approx(scores["rel"], rel=1e-5)
    stored = {name: np.asarray(value) for name, value in each.items()}
    assert task.is_stored(stored)
    assert task.belong(stored, {"depth": DEPTH})
    assert not task.belong(stored, {"depth": DEPTH[:2]})


def test_a_picture_without_depth_is_zero_and_has_no_gradient():
    batch = {**part(np.s_[:1]), "mask": jnp.zeros((1, 6, 8))}

    def both(found):
        shown = {**batch, "image": found}
        tasks = DepthEstimation("berhu"), DepthEstimation("scale_invariant")
        return sum(task.loss(lambda x: x, shown, jnp.float32(1))[0] for task in tasks)

    value, slope = jax.jit(jax.value_and_grad(both))(FOUND[:1])
    assert value == 0
    assert not slope.any()


def test_berhu_bends_at_a_fifth_of_the_largest_error():
    errors = jnp.array([[0.0, 0.19, -0.21, 1.0]])
    each = [0, 0.19, (0.21**2 + 0.04) / 0.4, 1.04 / 0.4]
    assert float(berhu(errors, jnp.ones((1, 4)))[0]) == pytest.approx(np.mean(each), rel=1e-6)


def test_what_picks_the_best_epoch():
    assert DepthEstimation(monitor="test_delta1").mode == "max"
    assert DepthEstimation().mode == "min"
    with pytest.raises(ConfigError, match="loss must be"):
        DepthEstimation("l2")
