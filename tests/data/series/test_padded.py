"""Padded series: what they may be, and the methods that make others of them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxode.checks import ConfigError
from jaxode.data import DataError
from jaxode.data.series import PaddedSeries, concatenate, pad


def drawn(seed=0, count=12, longest=20, channels=3):
    """Series of different lengths with missing values, labels and names."""
    rng = np.random.default_rng(seed)
    records = []
    for length in rng.integers(1, longest + 1, count):
        times = np.sort(rng.choice(1000, length, replace=False)) / 16
        mask = rng.random((length, channels)) < 0.7
        records.append((times, rng.normal(3, 2, (length, channels)), mask))
    labels = rng.integers(0, 3, count)
    names = [f"r{k}" for k in range(count)]
    return pad(records, labels, class_names=["a", "b", "c"], record_names=names)


@st.composite
def records(draw):
    channels = draw(st.integers(1, 3))
    made = []
    for _ in range(draw(st.integers(1, 5))):
        times = sorted(draw(st.sets(st.integers(-500, 500), min_size=1, max_size=6)))
        shape = (len(times), channels)
        floats = st.floats(-1e6, 1e6, width=32)
        cells = draw(st.lists(st.tuples(floats, st.booleans()), min_size=shape[0] * shape[1]))
        cells = cells[: shape[0] * shape[1]]
        values = np.array([cell[0] for cell in cells], np.float32).reshape(shape)
        mask = np.array([cell[1] for cell in cells]).reshape(shape)
        made.append((np.array(times, np.float32), values, mask))
    return made


@settings(max_examples=60, deadline=None)
@given(records(), st.data())
def test_what_is_padded_comes_back_row_by_row(made, data):
    series = pad(made)
    rows = data.draw(st.lists(st.integers(0, len(made) - 1), min_size=1, max_size=6))
    taken = series.take(rows)
    assert len(taken) == len(rows)
    for k, row in enumerate(rows):
        times, values, mask = made[row]
        length = len(times)
        assert taken.lengths[k] == length
        np.testing.assert_array_equal(taken.times[k, :length], times)
        assert (taken.times[k, length:] == times[-1]).all()
        np.testing.assert_array_equal(taken.mask[k, :length], mask)
        np.testing.assert_array_equal(taken.values[k, :length], np.where(mask, values, 0))
        assert not taken.mask[k, length:].any()


NAN = float("nan")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (([0, 1, 1], [[1], [2], [3]]), "times do not rise strictly"),
        (([0, 2, 1], [[1], [2], [3]]), "times do not rise strictly"),
        (([1e8, 1e8 + 1], [[1], [2]]), "times do not rise strictly"),  # as float32
        (([0, NAN], [[1], [2]]), "a time is not finite"),
        (([0, 1], [[1], [NAN]]), "a value is not finite"),
        (([0, 1], [[1], [1e300]]), "a value is not finite"),
        (([0, 1], [[1], [2]], [[True], [1.0]]), "mask must be bool"),
        (([0, 1], [[1], [2]], [[True]]), "mask must be bool"),
        (([0, 1], [1, 2]), r"values must be \[2, D\]"),
        (([0, 1], [[1]]), r"values must be \[2, D\]"),
        (([0, 1], [[1, 2], [3]]), "must be numbers"),
        (([0, 1], [["x"], ["y"]]), "must be numbers"),
        (([], []), "L ≥ 1"),
        (([0, 1],), "must be times and values"),
        (([0, 1], [[1, 2], [3, 4]]), "2 channels, and series 0 has 1"),
    ],
)
def test_a_wrong_record_is_named(record, message):
    with pytest.raises(DataError, match=rf"series 1( \(bad\))?: .*{message}"):
        pad([([0], [[1]]), record], record_names=["good", "bad"])


def test_a_value_that_was_not_observed_may_be_anything():
    series = pad([([0, 1], [[NAN], [2]], [[False], [True]])])
    assert series.values.tolist() == [[[0], [2]]]


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ([0], (), "2 whole numbers"),
        ([0.0, 1.0], (), "2 whole numbers"),
        ([0, -1], (), "from 0"),
        ([0, 2], ("a", "b"), "series 1: label not from 0 to 1"),
        ([0, 1], ("a", "a"), "must differ"),
        (None, ("a",), "both be given"),
    ],
)
def test_wrong_labels_are_refused(labels, names, message):
    with pytest.raises(DataError, match=message):
        pad([([0], [[1]]), ([0], [[1]])], labels, class_names=names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": np.zeros((2, 2))}, "times must be float32"),
        ({"times": np.zeros(2, np.float32)}, r"times must be \[N, T\]"),
        ({"times": np.array([[0, 1], [2, 3]], np.float32)}, "series 1: padding does not repeat"),
        ({"lengths": np.array([2, 0], np.int32)}, "series 1: length not 1 to 2"),
        ({"mask": np.ones((2, 2, 1), bool)}, "series 1: padding is marked as observed"),
        ({"values": np.ones((2, 2, 1), np.float32)}, "series 1: a value that was not observed"),
        ({"channels": ()}, r"values must be float32 \[2, 2, 0\]"),
        ({"record_names": ("one",)}, "record_names must be 2 names"),
    ],
)
def test_arrays_that_are_no_padded_series_are_refused(change, message):
    series = pad([([0, 1], [[1], [2]]), ([5], [[3]])])
    with pytest.raises(DataError, match=message):
        replace(series, **change)


def points_of(series, row):
    """Times of a series and its values, by time."""
    length = series.lengths[row]
    return {
        float(time): (values.tolist(), mask.tolist())
        for time, values, mask in zip(
            series.times[row, :length], series.values[row], series.mask[row], strict=False
        )
    }


def test_dropped_points_are_a_fraction_of_every_series():
    series = drawn()
    dropped = series.drop_points(0.3, seed=5)
    lengths = series.lengths
    expected = np.minimum(lengths, np.maximum(2, lengths - (3 * lengths) // 10))
    np.testing.assert_array_equal(dropped.lengths, expected)
    assert dropped.points == expected.max()
    for row in range(len(series)):
        assert points_of(dropped, row).items() <= points_of(series, row).items()
    assert dropped.record_names == series.record_names
    assert series.drop_points(0.0, seed=5).lengths.tolist() == lengths.tolist()


def test_a_draw_is_a_function_of_the_seed_and_falls_on_every_point_alike():
    series = pad([(np.arange(10), np.ones((10, 1)))] * 4000)
    one, same, other = (series.drop_points(0.7, seed).times for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    counts = np.bincount(one.astype(int).ravel(), minlength=10)
    assert np.abs(counts - 1200).max() < 5 * np.sqrt(1200)


def test_subsampled_times_are_observed_ones():
    series = drawn(count=30)
    thinned = series.subsample(4, seed=2)
    observed = series.mask.any(2).sum(1)
    np.testing.assert_array_equal(thinned.lengths, np.clip(observed, 1, 4))
    for row in np.flatnonzero(observed):
        assert thinned.mask[row, : thinned.lengths[row]].any(1).all()
        assert points_of(thinned, row).items() <= points_of(series, row).items()


def test_a_series_without_any_observation_keeps_its_first_point():
    series = pad([([3, 4], [[1], [2]], np.zeros((2, 1), bool))])
    assert series.subsample(1, seed=0).times.tolist() == [[3]]


def test_standardised_values_have_mean_0_and_deviation_1_where_observed():
    series = drawn(count=60)
    found = series.observed_statistics()
    for channel in range(3):
        seen = series.values[..., channel][series.mask[..., channel]].astype(float)
        assert found.mean[channel] == pytest.approx(seen.mean())
        assert found.count[channel] == len(seen)
    after = series.standardised(found.mean, found.std)
    again = after.observed_statistics()
    np.testing.assert_allclose(again.mean, 0, atol=1e-6)
    np.testing.assert_allclose(again.std, 1, atol=1e-6)
    assert (after.values[~after.mask] == 0).all()
    scaled = series.scaled(found.minimum, found.maximum).observed_statistics()
    assert scaled.minimum.tolist() == [0, 0, 0]
    assert scaled.maximum.tolist() == [1, 1, 1]


def test_constant_and_unobserved_channels_divide_by_one():
    mask = [[True, False], [True, False]]
    series = pad([([0, 1], [[5, 0], [5, 0]], mask)])
    found = series.observed_statistics()
    assert (found.std.tolist(), found.count.tolist()) == ([0, 1], [2, 0])
    for after in (
        series.standardised(found.mean, found.std),
        series.scaled(found.minimum, found.maximum),
    ):
        assert (after.values == 0).all()


def test_padding_may_be_more_and_less():
    series = drawn()
    more = series.padded_to(30)
    assert more.times.shape == (12, 30)
    less = more.padded_to(int(series.lengths.max()))
    for name in ("times", "values", "mask", "lengths"):
        np.testing.assert_array_equal(getattr(less, name), getattr(series, name))
    with pytest.raises(ConfigError, match=f"from {series.lengths.max()}"):
        series.padded_to(int(series.lengths.max()) - 1)


def test_concatenated_parts_are_all_series_in_order():
    series = drawn()
    parts = [series.take([3, 1]), drawn(1, longest=4).take([0]), series.take([2])]
    whole = concatenate(parts)
    assert whole.record_names == ("r3", "r1", "r0", "r2")
    assert points_of(whole, 1) == points_of(series, 1)
    assert whole.labels.tolist() == [*parts[0].labels, *parts[1].labels, *parts[2].labels]
    with pytest.raises(DataError, match="same channels and classes"):
        concatenate([series, drawn(channels=2)])
    with pytest.raises(DataError, match="at least one part"):
        concatenate([])


def test_times_in_another_unit():
    series = pad([([0, 24, 48], [[1], [2], [3]])])
    assert series.times_divided(48).times.tolist() == [[0, 0.5, 1]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.take([]), "rows must be"),
        (lambda s: s.take([12]), "from 0 to 11"),
        (lambda s: s.take([-1]), "from 0 to 11"),
        (lambda s: s.take([0.5]), "rows must be"),
        (lambda s: s.take([[0]]), "rows must be"),
        (lambda s: s.drop_points(1.0, 0), "fraction must be"),
        (lambda s: s.drop_points(0.5, -1), "seed must be"),
        (lambda s: s.subsample(0, 0), "count must be"),
        (lambda s: s.standardised([0, 0, 0], [1, 1]), "std must be 3 finite numbers"),
        (lambda s: s.standardised([0, 0, 0], [1, 1, -1]), "0 or more"),
        (lambda s: s.standardised([0, 0, NAN], [1, 1, 1]), "3 finite numbers"),
        (lambda s: s.standardised("abc", [1, 1, 1]), "3 finite numbers"),
        (lambda s: s.affine([0, 0, 0], [1, 0, 1]), "other than 0"),
        (lambda s: s.scaled([0, 0, 0], [1, -1, 1]), "at least the minimum"),
        (lambda s: s.times_divided(0), "unit must be"),
    ],
)
def test_a_wrong_argument_is_answered(call, message):
    with pytest.raises(ConfigError, match=message):
        call(drawn())


def test_no_record_is_no_series():
    with pytest.raises(DataError, match="at least one record"):
        pad([])
    assert isinstance(drawn(), PaddedSeries)
