"""The iceberg challenge's file: what is read, the message for a wrong one, and that no file takes
more than it has.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxode.data.json_rows import JSONRows
from jaxode.data.radar_json import PIXELS, read_radar_json
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
    path = written(
        [row(), row(inc_angle="na", is_iceberg=1), row(band_2=band(76, 3), inc_angle=30)]
    )
    images, labels = read_radar_json(path)
    assert (images.shape, images.dtype, labels.dtype) == ((3, 75, 75, 3), np.float32, np.int32)
    assert labels.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(images[0, ..., 0], np.arange(PIXELS).reshape(75, 75) - 27.5)
    assert np.all(images[0, ..., 1] == -30.25)
    assert images[2, 1, 1, 1] == 3
    angles = [np.unique(image[..., 2]) for image in images]
    np.testing.assert_array_equal(np.stack(angles)[:, 0], np.float32([43.9239, np.nan, 30]))


def test_the_text_is_never_stored_whole(written):
    text = json.dumps([row()] * 3).replace(": ", ":" + " " * 400_000)
    path = written(text)
    tracemalloc.start()
    try:
        read_radar_json(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < len(text) / 4


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row(band_1=..., inc_angle=...), "row 2 of train.json has no band_1, inc_angle"),
        (
            row(is_iceberg=...),
            "row 2 of train.json has no is_iceberg: Kaggle's test.json has no labels, train.json",
        ),
        (
            row(band_1=[0.5] * 5624),
            "band_1 of row 2 of train.json must be a list of 5625 numbers, found a list of 5624",
        ),
        (
            row(band_1=[0.5] * 5626),
            "band_1 of row 2 of train.json must be a list of 5625 numbers, found a list of more",
        ),
        (
            row(band_2=None),
            "band_2 of row 2 of train.json must be a list of 5625 numbers, found null",
        ),
        (
            row(band_2={"a": 1}),
            "band_2 of row 2 of train.json must be a list of 5625 numbers, found an object",
        ),
        (
            row(band_2="0.5" * 1875),
            "band_2 of row 2 of train.json must be a list of 5625 numbers, found '0.50.5",
        ),
        (
            row(band_1=band(17, None)),
            "element 17 of band_1 of row 2 of train.json must be a number, found null",
        ),
        (
            row(band_1=band(5624, "a")),
            "element 5624 of band_1 of row 2 of train.json must be a number, found 'a'",
        ),
        (
            row(band_2=band(0, True)),
            "element 0 of band_2 of row 2 of train.json must be a number, found true",
        ),
        (
            row(band_2=band(3, [1.0])),
            "element 3 of band_2 of row 2 of train.json must be a number, found a list",
        ),
        (
            row(band_2=band(9, -1e39)),
            "element 9 of band_2 of row 2 of train.json must be finite in float32, found -1e",
        ),
        (
            row(band_1=band(4, float("nan"))),
            "train.json is truncated or no valid JSON in band_1 of row 2: ",
        ),
        (
            row(inc_angle=[30]),
            (
                'inc_angle of row 2 of train.json must be a number of degrees from 0 to 90 or "na",'
                " found a"
            ),
        ),
        (
            row(inc_angle="NA"),
            "inc_angle of row 2 of train.json must be a number of degrees from 0 to 90 or",
        ),
        (row(inc_angle=None), 'from 0 to 90 or "na", found null'),
        (row(inc_angle=True), 'from 0 to 90 or "na", found true'),
        (row(inc_angle=90.5), 'from 0 to 90 or "na", found 90.5'),
        (row(inc_angle=-0.5), 'from 0 to 90 or "na", found -0.5'),
        (row(is_iceberg=True), "is_iceberg of row 2 of train.json must be 0 or 1, found true"),
        (row(is_iceberg=2), "is_iceberg of row 2 of train.json must be 0 or 1, found 2"),
        (row(is_iceberg=1.0), "is_iceberg of row 2 of train.json must be 0 or 1, found 1.0"),
        ([row()], "row 2 of train.json must be an object, found a list"),
        (None, "row 2 of train.json must be an object, found null"),
    ],
    ids=range(24),
)
def test_a_row_that_is_wrong_is_named(written, bad, message):
    with pytest.raises(DataError, match="^[^\n]*" + re.escape(message) + "[^\n]*$"):
        read_radar_json(written([row(), row(), bad, row()]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is truncated or no valid JSON before row 0: "),
        ("7z\xbc\xaf", "must be a JSON list, found 7: get it from https:"),
        (
            "PK\x03\x04",
            (
                "is truncated or no valid JSON before row 0: lexical error: invalid char in json"
                " text.: get it"
            ),
        ),
        (json.dumps([row(), row()])[:-9], "is truncated or no valid JSON in row 1: "),
        (json.dumps([row(), row()])[:-1], "is truncated or no valid JSON after row 1: "),
        (json.dumps([row(), row()]) + "x", "is truncated or no valid JSON after row 1: "),
        ("[]", "holds an empty list: get it from https:"),
        (json.dumps(row()), "must be a JSON list, found an object: get it from https:"),
    ],
    ids=["empty", "7z", "zip", "truncated", "open", "more", "no-rows", "no-list"],
)
def test_a_file_that_is_no_list_of_rows_is_named(written, content, message):
    with pytest.raises(DataError, match="^train.json " + re.escape(message) + "[^\n]*$"):
        read_radar_json(written(content))


def test_a_file_that_is_not_there_says_where_it_comes_from(tmp_path):
    with pytest.raises(
        DataError, match=r"there is no .*train\.json: .*statoil-iceberg-classifier-challenge"
    ):
        read_radar_json(tmp_path / "train.json")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_radar_json(tmp_path)


def raw(**changes):
    """A file of a good row and one whose values are replaced by these texts; a value of two texts
    replaces the key.
    """
    whole = {key: json.dumps(value) for key, value in row().items()} | changes
    pairs = (text if isinstance(text, tuple) else (f'"{key}"', text) for key, text in whole.items())
    second = "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
    return f"[{json.dumps(row())}, {second}]".encode("latin-1")


def numbers(text):
    return "[" + f"{text}, " * (PIXELS - 1) + "0.5]"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            raw(band_2=numbers("1e400")),
            "in band_2 of row 1: parse error: numeric (floating point) overflow",
        ),
        (raw(band_2=numbers("1e99999999999")), "in band_2 of row 1: parse error: numeric"),
        (raw(band_2=numbers("1" * 20)), "in band_2 of row 1: parse error: integer overflow"),
        (raw(band_1="[0.5, Infinity]"), "in band_1 of row 1: lexical error"),
        (raw(inc_angle="NaN"), "in inc_angle of row 1: lexical error"),
        (raw(inc_angle="1e400"), "in inc_angle of row 1: parse error"),
        (raw(id='"\xff"'), "in id of row 1: lexical error: invalid bytes in UTF8 string"),
        (raw(id='"\xed\xa0\x80"'), "in id of row 1: "),
        (raw(id=('"\xff"', "1")), "in row 1: lexical error: invalid bytes"),
        (
            raw(inc_angle='"\\ud800"'),
            'inc_angle of row 1 of train.json must be a number of degrees from 0 to 90 or "na"',
        ),
        (
            raw(inc_angle='"' + "a" * 5000 + '"'),
            "inc_angle of row 1 of train.json must have at most 1000 characters",
        ),
        (
            raw(id='"' + "a" * 5000 + '"'),
            "id of row 1 of train.json must have at most 1000 characters, found 5000",
        ),
        (
            raw(id=(f'"{"a" * 5000}"', "1")),
            "a key of row 1 of train.json must have at most 1000 characters, found 5000",
        ),
        (
            raw(id=('"band_1"', "1")),
            "band_1 of row 1 of train.json must be a list of 5625 numbers, found 1",
        ),
        (
            raw(id=('"inc_angle"', "1")),
            "row 1 of train.json must have each key once, found 'inc_angle' twice",
        ),
        (
            raw(id=('"is_iceberg"', "0")),
            "row 1 of train.json must have each key once, found 'is_iceberg' twice",
        ),
        (raw(**{f"k{k}": "1" for k in range(28)}), "row 1 of train.json must have at most 32 keys"),
        (
            raw(id="[" * 9 + "]" * 9),
            "id of row 1 of train.json must be at most 8 lists or objects deep",
        ),
        (
            raw(id='{"a":' * 9 + "1" + "}" * 9),
            "id of row 1 of train.json must be at most 8 lists or objects deep",
        ),
        (
            raw(id="[" + "1," * 20_000 + "1]"),
            "id of row 1 of train.json must have at most 20000 parts",
        ),
        (
            raw(band_1="[" * 50_000),
            "element 0 of band_1 of row 1 of train.json must be a number, found a list",
        ),
        (
            raw(id='"' + "a" * 2_000_000 + '"'),
            "train.json has a part of more than 1048576 bytes in id of row 1",
        ),
        (
            raw(inc_angle="1" * 2_000_000),
            "train.json has a part of more than 1048576 bytes in inc_angle of row 1",
        ),
        (b"[" + b" " * 2_000_000, "train.json has a part of more than 1048576 bytes before row 0"),
    ],
    ids=range(24),
)
def test_a_part_out_of_bounds_is_named_with_its_row_and_key(tmp_path, content, message):
    path = tmp_path / "train.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match="^[^\n]*" + re.escape(message) + "[^\n]*$"):
        read_radar_json(path)


def test_small_values_of_other_keys_are_passed_over(tmp_path):
    path = tmp_path / "train.json"
    path.write_bytes(
        raw(id='{"a": [[], {"b": null}]}', more="[1, [2, true]]", text=json.dumps("\ud800"))
    )
    assert len(read_radar_json(path)[1]) == 2


def test_the_number_of_rows_is_bounded(written, monkeypatch):
    monkeypatch.setattr("jaxode.data.json_rows.MOST_ROWS", 2)
    assert len(read_radar_json(written([row()] * 2))[1]) == 2
    with pytest.raises(DataError, match=r"^train\.json must have at most 2 rows, found more$"):
        read_radar_json(written([row()] * 3))


@pytest.mark.parametrize(
    "text",
    ["[" * 300_000, "[{" + '"a":[' * 100_000, '[{"a":' * 100_000],
    ids=["list", "key", "both"],
)
def test_depth_takes_no_memory(written, text):
    path = written(text)
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            read_radar_json(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * 2**20


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*row(), "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()), st.booleans())
@settings(max_examples=150, deadline=None)
def test_no_bytes_do_more_than_be_refused(content, within):
    """Alone or as the value of a row's key."""
    text = b'[{"id": "a", "band_1": ' + content + b', "x": 1}]' if within else content
    rows = JSONRows(io.BytesIO(text), "train.json", "")
    with contextlib.suppress(DataError):
        for _ in rows:
            for key in rows.keys():  # noqa: SIM118
                rows.numbers(2) if key.startswith("band") else rows.skip()


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "train.json")
    with pytest.raises(DataError, match=r"train\.json cannot be read: Not a regular file$"):
        read_radar_json(tmp_path / "train.json")
