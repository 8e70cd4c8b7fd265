"""The compiled loops: padding, chunks, totals, and the first thing that goes wrong."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix
from stubs import averaging, builder, image_set, run_config

from jaxode.checks import ConfigError
from jaxode.config import ModelConfig, ParallelConfig
from jaxode.data.augment import evaluation_views, training_views
from jaxode.train.compiled_steps import CompiledSteps
from jaxode.train.device_batches import BatchIndices
from jaxode.train.microbatch import forward
from jaxode.train.scaling import initial_scale
from jaxode.train.state import Totals


def compiled(config=None, data=None, build=None):
    steps = CompiledSteps(config or run_config(), data or image_set(), build or builder())
    state = steps.first_state()
    steps.compile(state)
    return steps, state


@pytest.fixture(scope="module")
def ours():
    steps, state = compiled()
    return steps, jax.device_get(state)  # training takes the state away, so each test gets a copy


def passed(steps, learned, images):
    """What the model makes of images, whose labels are zero."""
    weight, label = np.ones(len(images), np.float32), np.zeros(len(images), np.int32)
    batch = {"image": images, "label": label, "weight": weight}
    return forward(steps.work.graphdef, learned, steps.task, batch, weight.sum())


def logits_of(steps, learned, images):
    return passed(steps, learned, images).outputs


def fresh(ours):
    steps, state = ours
    return steps, jax.tree.map(jnp.array, state)


def trained(steps, state, stops, epoch=0):
    key, order = steps.epoch(epoch)
    for stop in stops:
        state = steps.train(state, key, order, stop)
    return jax.device_get(state)


def assert_same_bits(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_where_the_chunks_are_cut_changes_no_bit(ours):
    whole = trained(*fresh(ours), [5])
    assert_same_bits(whole, trained(*fresh(ours), [1, 2, 3, 4, 5]))
    assert_same_bits(whole, trained(*fresh(ours), [2, 2, 5]))
    assert int(whole.step) == 5


def test_every_epoch_has_its_own_order_and_crops(ours):
    first, second = (trained(*fresh(ours), [5], epoch) for epoch in (0, 1))
    assert float(first.totals.loss) != float(second.totals.loss)


def test_an_epoch_counts_every_image_once_and_every_solve(ours):
    totals = trained(*fresh(ours), [5]).totals
    assert (int(totals.images), int(totals.batches), int(totals.bad_batch)) == (70, 5, -1)
    assert totals.nfe.tolist() == [100, 200]
    assert totals.accepted.tolist() == [15, 30]
    assert totals.rejected.tolist() == [0, 5]


@pytest.mark.parametrize("part", ["train", "test"])
def test_evaluation_equals_the_direct_computation(ours, part):
    steps, state = fresh(ours)
    data = image_set()
    images, labels = getattr(data, f"{part}_images"), getattr(data, f"{part}_labels")
    split = steps.feed.evaluation(part)
    found = steps.empty_metrics()
    for stop in range(1, split.count + 1):
        found = steps.evaluate(state.learned, found, split, stop)
    totals = found.totals
    shown = evaluation_views(images, data.spec.mean, data.spec.std)
    logits = np.asarray(logits_of(steps, state.learned, shown), np.float64)
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels]
    assert int(totals.images) == len(labels)
    np.testing.assert_array_equal(
        found.metrics["confusion"], confusion_matrix(labels, logits.argmax(1), labels=range(10))
    )
    np.testing.assert_allclose(float(totals.loss), losses.sum(), rtol=1e-5)
    assert_same_bits(
        found, steps.evaluate(state.learned, steps.empty_metrics(), split, split.count)
    )


def test_padding_has_no_influence(ours):
    """Other images at the places of weight zero give the same bits."""
    steps, state = fresh(ours)
    key, order = steps.epoch(0)
    indices, weights = order.resident.order
    padding = np.asarray(weights) == 0
    assert padding.sum() == 5 * 16 - 70
    moved = jnp.where(padding, 3, indices)
    assert not np.array_equal(moved, indices)
    resident = order.resident._replace(order=BatchIndices(moved, weights))
    other = dataclasses.replace(order, resident=resident)
    one, two = (
        steps.train(jax.tree.map(jnp.array, state), key, rows, 5) for rows in (order, other)
    )
    assert_same_bits(one, two)


def test_statistics_are_of_all_images_of_a_batch_however_it_is_split():
    config = run_config(model=ModelConfig(model="mlp"))
    whole, split = (
        trained(
            *compiled(
                dataclasses.replace(config, parallel=ParallelConfig(accumulate=n)), build=averaging
            ),
            [5],
        )
        for n in (1, 4)
    )
    (one,), (other,) = (jax.tree.leaves(state.statistics) for state in (whole, split))
    assert abs(one) > 0.01
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_evaluation_takes_statistics_as_they_are_and_changes_none():
    steps, state = compiled(run_config(model=ModelConfig(model="mlp")), build=averaging)
    test = steps.feed.evaluation("test")
    before = steps.evaluate(state.learned, steps.empty_metrics(), test, test.count)
    moved = state.learned._replace(statistics=jax.tree.map(lambda leaf: leaf + 7, state.statistics))
    after = steps.evaluate(moved, steps.empty_metrics(), test, test.count)
    np.testing.assert_allclose(
        before.totals.loss, after.totals.loss, rtol=1e-4
    )  # all logits are higher by as much
    zeros = jnp.zeros((1, 28, 28, 1))
    assert_same_bits(passed(steps, moved, zeros).statistics, moved.statistics)
    np.testing.assert_allclose(
        logits_of(steps, moved, zeros), logits_of(steps, state.learned, zeros) + 7
    )


def test_an_update_that_float16_skips_leaves_the_statistics(monkeypatch):
    steps, state = compiled(
        run_config(model=ModelConfig(model="mlp"), precision="float16"), build=averaging
    )
    huge = state._replace(scale=state.scale._replace(factor=jnp.float32(jnp.inf)))
    before = jax.device_get(state.statistics)
    after = trained(steps, huge, [1])
    assert int(after.scale.skipped) == 1
    assert_same_bits(before, after.statistics)


def test_the_gradient_of_a_padded_batch_is_that_of_its_images(ours):
    """One batch of 64 places for 9 images trains as one of 9 places."""
    data = image_set(train=9, test=3)
    results = []
    for batch_size in (9, 64):
        steps, state = compiled(run_config(batch_size=batch_size), data)
        # Evaluation views: the keys of training depend on the batch's size.
        views = steps.work.views._replace(training=steps.work.views.evaluation)
        steps.work = steps.work._replace(views=views)
        steps.compile(state)
        results.append(trained(steps, state, [1]))
    np.testing.assert_allclose(results[0].totals.loss, results[1].totals.loss, rtol=1e-6)
    for a, b in zip(
        jax.tree.leaves(results[0].params), jax.tree.leaves(results[1].params), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("fail", "failure", "broken"), [("nan", 0, 1), ("solve", 1, 0)])
def test_the_first_failure_ends_the_loop_and_is_named(fail, failure, broken):
    steps, state = compiled(data=image_set(poisoned=(40,)), build=builder(fail))
    indices, weights = steps.epoch(0)[1].resident.order
    bad = int(np.argwhere((np.asarray(indices) == 40) & (np.asarray(weights) > 0))[0, 0])
    totals = trained(steps, state, [5]).totals
    assert (int(totals.failure), int(totals.broken), int(totals.bad_batch)) == (
        failure,
        broken,
        bad,
    )
    assert int(totals.batches) == bad + 1


def test_an_update_that_is_not_finite_is_noticed_in_its_own_step():
    """Not only by the loss of the next step: at the end of an epoch, there is none before the
    checkpoint.
    """
    steps, state = compiled(run_config().replaced(lr=1e38, weight_decay=1e4))
    totals = trained(steps, state, [1]).totals
    assert np.isfinite(totals.loss)
    assert (int(totals.broken), int(totals.bad_batch)) == (2, 0)


def test_float64_runs_in_float64(x64):
    steps, state = compiled(run_config(precision="float64"))
    state = trained(steps, state, [2])
    assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {np.dtype("float64")}
    assert state.totals.loss.dtype == np.float64


@pytest.mark.parametrize("crop", ["resize", "pad", "none"])
def test_training_sees_the_windows_that_the_settings_name(crop):
    steps, data = (
        CompiledSteps(run_config().replaced(crop=crop), image_set(), builder()),
        image_set(),
    )
    keys, images, facts = (
        jax.random.split(jax.random.key(0), 5),
        data.train_images[:5],
        (data.spec.mean, data.spec.std),
    )
    found = steps.work.views.training({"image": images, "key": keys})["image"]
    np.testing.assert_array_equal(found, training_views(keys, images, *facts, crop=crop))


def test_zero_totals_share_no_buffer():
    """A donated state must not hold one buffer twice."""
    leaves = [leaf for leaf in jax.tree.leaves(Totals.zero(2)) if leaf.size]
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)


HALF = run_config(precision="float16")

TWICE = 2.0**22
"""Scaled by this and by half of it, the stub's gradient is above float16's largest number, 65,504.
"""


def test_only_float16_is_scaled():
    scales = [initial_scale(name) for name in ("float64", "float32", "tf32", "bfloat16", "float16")]
    assert [scale and float(scale.factor) for scale in scales] == [None, None, None, None, 65536.0]


def test_an_update_whose_gradient_overflows_is_left_out(monkeypatch):
    monkeypatch.setattr("jaxode.train.scaling.START", TWICE)
    steps, state = compiled(HALF)
    before = jax.device_get(state)
    after = trained(steps, state, [2])
    assert_same_bits((after.params, after.opt_state), (before.params, before.opt_state))
    assert (float(after.scale.factor), int(after.scale.skipped), int(after.scale.good)) == (
        2.0**20,
        2,
        0,
    )
    assert (int(after.step), int(after.totals.batches), int(after.totals.bad_batch)) == (2, 2, -1)
    later = trained(
        steps, jax.tree.map(jnp.array, after), [4]
    )  # the fifth batch is padded, its slopes are steeper
    assert (float(later.scale.factor), int(later.scale.skipped), int(later.scale.good)) == (
        2.0**20,
        2,
        2,
    )
    assert any(
        np.any(a != b)
        for a, b in zip(*map(jax.tree.leaves, (later.params, before.params)), strict=True)
    )


def test_the_factor_does_not_change_the_update(monkeypatch):
    states = []
    for factor in (2.0**8, 2.0**16):
        monkeypatch.setattr("jaxode.train.scaling.START", factor)
        states.append(trained(*compiled(HALF), [5]))
    assert_same_bits(states[0].params, states[1].params)


def test_what_says_no_precision_is_compiled_for_the_highest():
    """Products in libraries: a GPU would take TF32 for them."""
    seen = []

    def build(*args, **options):
        model = builder()(*args, **options)
        kind = type(model)

        class Watched(kind):
            def __call__(self, images, training=None):
                seen.append(jax.config.jax_default_matmul_precision)
                return super().__call__(images)

        model.__class__ = Watched
        return model

    steps, state = compiled(data=image_set(20, 10), build=build)
    traced = len(seen)
    steps.trace_predictions(state.learned)
    assert len(seen) > traced > 0
    assert set(seen) == {"highest"}


def test_a_batch_that_cannot_be_cut_in_parts_is_refused():
    with pytest.raises(
        ConfigError, match="batch_size must be a multiple of devices x accumulate = 1 x 3, got 16"
    ):
        CompiledSteps(run_config(parallel=ParallelConfig(accumulate=3)), image_set(), builder())
    with pytest.raises(ConfigError, match="devices must be at most 1, as many as cpu has, got 9"):
        CompiledSteps(run_config(parallel=ParallelConfig(devices=9)), image_set(), builder())
