"""A user's folder: .ts files or arrays, checked."""

import numpy as np
import pytest

from jaxode.checks import ConfigError
from jaxode.data import DataError
from jaxode.data.series import read_folder

NAN = float("nan")


def arrays():
    return {"times": [0.0, 0.5, 2.0], "values": np.arange(12.0).reshape(2, 3, 2), "labels": [3, 8]}


def written(folder, train=None, test=None):
    for name, changes in (("train.npz", train), ("test.npz", test)):
        found = arrays() | (changes or {})
        np.savez(folder / name, **{key: one for key, one in found.items() if one is not None})
    return folder


def test_arrays_of_shared_times(tmp_path):
    train, test, validation = read_folder(written(tmp_path, None, {"labels": [8, 5]}))
    assert train.times.tolist() == [[0, 0.5, 2]] * 2
    np.testing.assert_array_equal(train.values, arrays()["values"])
    assert train.mask.all()
    assert train.class_names == test.class_names == ("3", "5", "8")
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 2], [2, 1])
    assert train.channels == ("0", "1")
    assert validation is None


def test_padding_is_repeated_or_nan_and_nan_is_not_observed(tmp_path):
    values = np.array([[[1.0], [NAN], [3.0]], [[4.0], [5.0], [NAN]]])
    for end in (7.0, NAN):
        times = np.array([[0.0, 1.0, 2.0], [6.0, 7.0, end]])
        train = read_folder(
            written(tmp_path, {"times": times, "values": values[..., [0, 0]]})
        ).train
        assert train.lengths.tolist() == [3, 2]
        assert train.times.tolist() == [[0, 1, 2], [6, 7, 7]]
        assert train.mask[..., 0].tolist() == [[True, False, True], [True, True, False]]
        assert train.values[..., 1].tolist() == [[1, 0, 3], [4, 5, 0]]


def test_a_mask_of_points_or_of_values(tmp_path):
    points = np.array([[1, 0, 1], [1, 1, 1]])
    cells = np.repeat(points[..., None], 2, axis=2).astype(bool)
    one = read_folder(written(tmp_path, {"mask": points})).train
    other = read_folder(written(tmp_path, {"mask": cells})).train
    np.testing.assert_array_equal(one.mask, cells)
    np.testing.assert_array_equal(other.mask, cells)
    assert (one.values[0, 1] == 0).all()


def test_classes_by_name(tmp_path):
    words = {"labels": ["no", "yes"]}
    assert read_folder(written(tmp_path, words, words)).train.class_names == ("no", "yes")
    given = {"class_names": ["yes", "no"], "channels": ["x", "y"]}
    split = read_folder(written(tmp_path, words | given, words))
    assert split.train.labels.tolist() == [1, 0]
    assert split.test.class_names == ("yes", "no")
    assert split.test.channels == ("x", "y")
    numbers = {"labels": [1, 0]}
    assert read_folder(written(tmp_path, numbers | given, numbers)).test.labels.tolist() == [1, 0]
    none = {"labels": None}
    assert read_folder(written(tmp_path, none, none)).train.labels is None


def test_ts_files(tmp_path):
    for name in ("S_TRAIN.ts", "S_TEST.ts"):
        (tmp_path / name).write_text("@classLabel true a b\n@data\n1,2:a\n")
    assert read_folder(tmp_path).train.values.ravel().tolist() == [1, 2]
    np.savez(tmp_path / "train.npz")
    with pytest.raises(ConfigError, match=r"holds .ts files and train\.npz: which"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": None}, "must hold times and values: no times"),
        ({"label": [0, 1]}, "unknown array 'label': did you mean labels"),
        ({"weights": [0, 1]}, "unknown array 'weights'; known are times, values"),
        ({"times": ["a", "b", "c"]}, "times must be numbers, got <U1"),
        ({"times": [0.0, 1.0]}, r"times must be \[2, 3\] or \[3\]"),
        ({"times": [0.0, 2.0, 1.0]}, "series 0: times do not rise strictly"),
        ({"times": [[0, 1, 2], [0, NAN, 2]]}, "series 1: a time is not finite"),
        ({"times": [[0, 1, 2], [NAN] * 3]}, "series 1: no time but NaN"),
        ({"times": [0, 1, float("inf")]}, "series 0: a time is not finite"),
        ({"values": np.ones((2, 3))}, r"values must be \[N, T, D\]"),
        ({"values": np.ones((2, 0, 1))}, r"values must be \[N, T, D\]"),
        ({"values": np.ones((2, 3, 1), complex)}, "no array|must be numbers"),
        ({"values": np.full((2, 3, 2), np.inf)}, "series 0: a value is not finite"),
        ({"values": np.ones((2, 3, 2), object)}, "no array"),
        ({"mask": np.full((2, 3), 2)}, "mask must be true or false"),
        ({"mask": np.ones((2, 2))}, "mask must be"),
        ({"mask": np.ones((2, 3)), "times": [0, 1, 1]}, "series 0: times must rise strictly where"),
        ({"mask": np.ones((2, 3)), "values": np.full((2, 3, 2), NAN)}, "value is not finite"),
        ({"labels": [0, 1, 2]}, "labels must be one for each of 2 series"),
        ({"labels": [0.5, 1.0]}, "labels must be whole numbers"),
        ({"channels": ["x"]}, "channels must be 2 words, got 1"),
        ({"labels": [0, 2], "class_names": ["a", "b"]}, "series 1: the label must be one of"),
        ({"labels": ["a", "c"], "class_names": ["a", "b"]}, "series 1: the label must be one of"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, message):
    with pytest.raises(DataError, match=rf"train\.npz.*({message})"):
        read_folder(written(tmp_path, change, {"labels": change.get("labels", [3, 8])}))


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ({"labels": None}, "both files must have labels"),
        ({"labels": ["a", "b"]}, "words in both files, or numbers in both"),
        ({"values": np.ones((2, 3, 1))}, "same channels, found 2 and 1"),
        ({"channels": ["x", "z"]}, "channels must be the same"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(tmp_path, test, message):
    with pytest.raises(DataError, match=message):
        read_folder(written(tmp_path, {"channels": ["x", "y"]} if "channels" in test else {}, test))


def test_missing_and_damaged_files_are_answered(tmp_path):
    with pytest.raises(ConfigError, match=r"no train\.npz, test\.npz"):
        read_folder(tmp_path)
    with pytest.raises(ConfigError, match="cannot read"):
        read_folder(tmp_path / "nowhere")
    written(tmp_path)
    whole = (tmp_path / "test.npz").read_bytes()
    (tmp_path / "test.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"test\.npz is no whole zip"):
        read_folder(tmp_path)
    (tmp_path / "test.npz").unlink()
    with pytest.raises(ConfigError, match=r"no test\.npz"):
        read_folder(tmp_path)


def test_a_header_that_announces_more_than_there_is_allocates_nothing(tmp_path):
    import io
    import zipfile

    written(tmp_path)
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6, 3)}
    )
    with zipfile.ZipFile(tmp_path / "train.npz", "w") as archive:
        archive.writestr("values.npy", stream.getvalue())
    with pytest.raises(DataError, match=r"train\.npz: 'values' is no array: it announces"):
        read_folder(tmp_path)


def test_arrays_by_columns_and_of_another_byte_order_are_read(tmp_path):
    values = np.asfortranarray(arrays()["values"].astype(">f8"))
    train = read_folder(written(tmp_path, {"values": values})).train
    np.testing.assert_array_equal(train.values, arrays()["values"])
