"""The archive's .ts files: what is read, and how a wrong one is answered."""

import numpy as np
import pytest

from jaxode.checks import ConfigError
from jaxode.data import DataError, text_lines
from jaxode.data.series import read_ts, read_ts_pair

HEADER = """#A comment: with a colon
@problemName Steps
@timeStamps false
@missing false
@univariate false
@dimensions 2
@equalLength false
@classLabel true up down
@data
"""

STAMPED = "@timestamps true\n@classLabel true a b\n@data\n"


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def read(tmp_path):
    return lambda text: read_ts(written(tmp_path / "steps.ts", text))


def test_series_of_unequal_lengths(read):
    series = read(HEADER + "1,2.5,-3e-1:4,5,6:up\n\n# between\n7, ?:NaN,10 : down\r\n")
    assert series.times.tolist() == [[0, 1, 2], [0, 1, 1]]
    np.testing.assert_allclose(series.values[0].T, [[1, 2.5, -0.3], [4, 5, 6]])
    assert series.values[1].T.tolist() == [[7, 0, 0], [0, 10, 0]]
    assert series.mask[1].T.tolist() == [[True, False, False], [False, True, False]]
    assert series.labels.tolist() == [0, 1]
    assert series.class_names == ("up", "down")


def test_time_stamps_are_united_over_the_dimensions(read):
    series = read(STAMPED + "(0.5,1),(2,?):(0.5,3),(4,5):b\n(1,2):():a\n")
    assert series.times.tolist() == [[0.5, 2, 4], [1, 1, 1]]
    assert series.values[0].T.tolist() == [[1, 0, 0], [3, 0, 5]]
    assert series.mask[0].T.tolist() == [[True, False, False], [True, False, True]]
    assert series.mask[1].T.tolist() == [[True, False, False], [False, False, False]]
    assert series.labels.tolist() == [1, 0]


def test_one_dimension_without_classes(read):
    series = read("@univariate true\n@classLabel false\n@data\n1,2\n3,4,5\n")
    assert series.values.shape == (2, 3, 1)
    assert series.labels is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,2:3,4:sideways", "the class must be one of the header's, got 'sideways'"),
        ("1,2:3,4", "the class must be one"),
        ("up", "the class must be one|must have 2 dimensions|finite number"),
        ("1,2:3:up", "dimension 2 has 1 values and the first 2"),
        ("1,2:up", "must have 2 dimensions, found 1"),
        ("1,2:3,4:5,6:up", "must have 2 dimensions, found 3"),
        ("1,x:3,4:up", "finite number, got 'x'"),
        ("1,:3,4:up", "finite number, got ''"),
        ("1,inf:3,4:up", "finite number, got 'inf'"),
        ("1,1_0:3,4:up", "finite number, got '1_0'"),
        ("1,\uff11:3,4:up", "finite number"),
        ("(0,1),(1,2):(0,3),(1,4):up", "finite number"),
    ],
)
def test_a_malformed_series_is_named_by_its_line(read, row, message):
    with pytest.raises(DataError, match=rf"steps\.ts, line 11: .*({message})"):
        read(HEADER + "1,2:3,4:up\n" + row + "\n")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("(0,1),(0,2):a", "times must rise, got 0 after 0"),
        ("(0,1),(1):a", r"pairs \(time,value\), got '1'"),
        ("(0,1,2):a", "pairs"),
        ("0,1:a", "pairs"),
        ("(x,1):a", "finite number, got 'x'"),
        ("(2024-01-01,1):a", "finite number"),
        ("():():a", "no point"),
    ],
)
def test_a_malformed_pair_is_named_by_its_line(read, row, message):
    with pytest.raises(DataError, match=f"line 4: .*{message}"):
        read(STAMPED + row + "\n")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("@classLabel true a b\n", "must end with @data"),
        ("", "must end with @data"),
        ("1,2:a\n@data\n", "line 1: a tag such as @classLabel must come first"),
        ("@classLabels true a\n@data\n", "line 1: unknown tag '@classLabels': did you mean @class"),
        ("@missing maybe\n@data\n", "line 1: '@missing' must be true or false, got 'maybe'"),
        ("@missing\n@data\n", "must be true or false"),
        ("@missing true\n@MISSING true\n@data\n", "line 2: '@MISSING' is there twice"),
        ("@dimensions 0\n@data\n", "whole number of 1 or more"),
        ("@dimensions \u0663\n@data\n", "whole number of 1 or more"),
        ("@classLabel true\n@data\n", "different names of classes"),
        ("@classLabel true a a\n@data\n", "different names of classes"),
        ("@classLabel false a\n@data\n", "different names of classes"),
        ("@targetLabel true\n@data\n", "not supported"),
        ("@univariate true\n@dimensions 2\n@data\n", "@univariate true and @dimensions 2"),
        ("@equalLength false\n@seriesLength 4\n@data\n", "@equalLength false and @seriesLength 4"),
        ("@dimension 2\n@dimensions 2\n@data\n", "both"),
        ("@data\n", "no series follow @data"),
        ("@data 1,2:a\n3,4:a\n", "line 1: nothing may follow @data on its line"),
    ],
)
def test_a_wrong_header_is_answered(read, header, message):
    with pytest.raises(DataError, match=message):
        read(header)


def test_lengths_that_the_header_announces_are_checked(read):
    with pytest.raises(DataError, match="line 4: must have 3 points, found 2"):
        read("@seriesLength 3\n@data\n1,2,3\n1,2\n")
    with pytest.raises(DataError, match="line 4: must have 2 points, found 3"):
        read("@equalLength true\n@data\n1,2\n1,2,3\n")


def test_what_is_no_text_or_too_long_is_named(tmp_path, monkeypatch, read):
    path = tmp_path / "bad.ts"
    path.write_bytes(b"@data\n1,2\n\xff\xfe\n")
    with pytest.raises(DataError, match=r"bad\.ts, line 3: .*decode"):
        read_ts(path)
    monkeypatch.setattr(text_lines, "LONGEST_LINE", 10)
    with pytest.raises(DataError, match="line 2: longer than 10 bytes"):
        read("@data\n1,2,3,4,5,6,7\n")
    with pytest.raises(ConfigError, match="cannot read"):
        read_ts(tmp_path / "none.ts")
    with pytest.raises(ConfigError, match="cannot read"):
        read_ts(tmp_path)


def test_numbers_beyond_float32_are_named_by_the_file(read):
    with pytest.raises(DataError, match=r"steps\.ts: series 0: a value is not finite"):
        read("@data\n1e300\n")


def pair(folder, train, test):
    for name, text in (("S_TRAIN.ts", train), ("S_TEST.ts", test)):
        written(folder / name, text)
    return folder


def test_a_pair_has_the_classes_of_the_first_header(tmp_path):
    train = "@classLabel true a b\n@data\n1:a\n2:b\n"
    test = "@classLabel true b a\n@data\n3:b\n4:a\n5:a\n"
    splits = read_ts_pair(pair(tmp_path, train, test))
    assert splits.train.labels.tolist() == [0, 1]
    assert splits.test.labels.tolist() == [1, 0, 0]
    assert splits.test.class_names == ("a", "b")


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ("@classLabel true a c\n@data\n1:a\n", "same classes"),
        ("@classLabel true a b\n@data\n1:2:a\n", "same channels, found 1 and 2"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(tmp_path, test, message):
    with pytest.raises(DataError, match=message):
        read_ts_pair(pair(tmp_path, "@classLabel true a b\n@data\n1:a\n", test))


def test_a_folder_must_hold_one_pair(tmp_path):
    with pytest.raises(ConfigError, match="found no pair"):
        read_ts_pair(tmp_path)
    pair(tmp_path, "@data\n1\n", "@data\n1\n")
    for name in ("T_TRAIN.ts", "T_TEST.ts"):
        written(tmp_path / name, "@data\n1\n")
    with pytest.raises(ConfigError, match="found S, T"):
        read_ts_pair(tmp_path)
    with pytest.raises(ConfigError, match="cannot read"):
        read_ts_pair(tmp_path / "nowhere")


def test_the_real_vowels(real_data):
    train, test, _ = read_ts_pair(real_data / "japanese_vowels")
    assert train.values.shape == (270, 26, 12)
    assert test.values.shape == (370, 29, 12)
    assert min(train.lengths.min(), test.lengths.min()) == 7
    assert np.bincount(train.labels).tolist() == [30] * 9
    assert np.bincount(test.labels).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    assert train.values[0, 0, :2].tolist() == pytest.approx([1.860936, -0.207383])
    assert train.mask.sum() == 12 * train.lengths.sum()
