"""The iceberg challenge's file: what is read from it, and what is said about one that is not as it should be."""

from __future__ import annotations

import json
import re
import tracemalloc

import numpy as np
import pytest

from jaxode.data.bands import PIXELS, read_bands
from jaxode.data.specs import DataError


def row(**changes):
    """A row as in Kaggle's file, with changes; a key changed to `...` is left out."""
    bands = {"band_1": [-27.5 + k for k in range(PIXELS)], "band_2": [-30.25] * PIXELS}
    whole = {"id": "dfd5f913"} | bands | {"inc_angle": 43.9239, "is_iceberg": 0} | changes
    return {key: value for key, value in whole.items() if value is not ...}


def band(place, value):
    return [*[0.5] * place, value, *[0.5] * (PIXELS - place - 1)]


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "train.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_planes_and_labels_are_read_in_order(written):
    path = written([row(), row(inc_angle="na", is_iceberg=1), row(band_2=band(76, 3), inc_angle=30)])
    images, labels = read_bands(path)
    assert (images.shape, images.dtype, labels.dtype) == ((3, 75, 75, 3), np.float32, np.int32)
    assert labels.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(images[0, ..., 0], np.arange(PIXELS).reshape(75, 75) - 27.5)
    assert np.all(images[0, ..., 1] == -30.25)
    assert images[2, 1, 1, 1] == 3
    angles = [np.unique(image[..., 2]) for image in images]
    np.testing.assert_array_equal(np.stack(angles)[:, 0], np.float32([43.9239, np.nan, 30]))


def test_the_text_is_never_held(written):
    text = json.dumps([row()] * 3).replace("}, {", "}," + " " * 8_000_000 + "{")
    path = written(text)
    tracemalloc.start()
    try:
        read_bands(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < len(text) / 4


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row(band_1=..., inc_angle=...), "row 2 of train.json has no band_1, inc_angle"),
        (row(is_iceberg=...), "row 2 of train.json has no is_iceberg: Kaggle's test.json has no labels, train.json"),
        (
            row(band_1=[0.5] * 5624),
            "band_1 of row 2 of train.json must be a list of 5625 numbers, found a list of 5624",
        ),
        (row(band_2=None), "band_2 of row 2 of train.json must be a list of 5625 numbers, found null"),
        (row(band_2={"a": 1}), "band_2 of row 2 of train.json must be a list of 5625 numbers, found an object of 1"),
        (row(band_2="0.5" * 1875), "band_2 of row 2 of train.json must be a list of 5625 numbers, found '0.50.5"),
        (row(band_1=band(17, None)), "element 17 of band_1 of row 2 of train.json must be a number, found null"),
        (row(band_1=band(5624, "a")), "element 5624 of band_1 of row 2 of train.json must be a number, found 'a'"),
        (row(band_2=band(0, True)), "element 0 of band_2 of row 2 of train.json must be a number, found true"),
        (row(band_2=band(3, [1.0])), "element 3 of band_2 of row 2 of train.json must be a number, found a list of 1"),
        (row(band_2=band(9, -1e39)), "element 9 of band_2 of row 2 of train.json must be finite in float32, found -1e"),
        (row(band_1=band(4, float("nan"))), "train.json is truncated or no valid JSON after row 1: "),
        (row(inc_angle="NA"), "inc_angle of row 2 of train.json must be a number of degrees from 0 to 90 or"),
        (row(inc_angle=None), 'from 0 to 90 or "na", found null'),
        (row(inc_angle=True), 'from 0 to 90 or "na", found true'),
        (row(inc_angle=90.5), 'from 0 to 90 or "na", found 90.5'),
        (row(inc_angle=-0.5), 'from 0 to 90 or "na", found -0.5'),
        (row(is_iceberg=True), "is_iceberg of row 2 of train.json must be 0 or 1, found true"),
        (row(is_iceberg=2), "is_iceberg of row 2 of train.json must be 0 or 1, found 2"),
        (row(is_iceberg=1.0), "is_iceberg of row 2 of train.json must be 0 or 1, found 1.0"),
        ([row()], "row 2 of train.json must be an object, found a list of 1"),
        (None, "row 2 of train.json must be an object, found null"),
    ],
    ids=range(22),
)
def test_a_row_that_is_wrong_is_named(written, bad, message):
    with pytest.raises(DataError, match="^[^\n]*" + re.escape(message) + "[^\n]*$"):
        read_bands(written([row(), row(), bad, row()]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is truncated or no valid JSON before the end of row 0: "),
        (json.dumps([row(), row()])[:-9], "is truncated or no valid JSON after row 0: "),
        (json.dumps([row(), row()]) + "x", "is truncated or no valid JSON after row 1: "),
        ("[]", "holds an empty list: get it from https:"),
        (json.dumps(row()), "must be a JSON list, but begins with b'{\"id\":': get it from https:"),
    ],
    ids=["empty", "truncated", "more", "no-rows", "no-list"],
)
def test_a_file_that_is_no_list_of_rows_is_named(written, content, message):
    with pytest.raises(DataError, match="^train.json " + re.escape(message) + "[^\n]*$"):
        read_bands(written(content))


def test_a_file_that_is_not_there_says_where_it_comes_from(tmp_path):
    with pytest.raises(DataError, match=r"there is no .*train\.json: .*statoil-iceberg-classifier-challenge"):
        read_bands(tmp_path / "train.json")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_bands(tmp_path)
