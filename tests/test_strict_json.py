"""JSON that this program did not write is refused in one line that names file and key."""

import json
import os

import pytest

from jaxode.bounded_files import open_regular, read_bounded
from jaxode.strict_json import DEPTH, loads, loads_object, need, read_object, read_objects

DEEP = "[" * 200_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": {"b": 1, "b": 2}}', "key 'b' is listed twice"),
        ('{"a": 1, "c": 0, "a": 1}', "key 'a' is listed twice"),
        ('{"a": {"b": [0, NaN]}}', r"a\.b\[1\] must be a finite number"),
        ('{"a": -Infinity}', "a must be a finite number"),
        ('{"epochs": 1e400}', "epochs must be a finite number"),
        (
            '{"epochs": 100000000000000000000}',
            "epochs must be a finite number, an integer of at most 64 bits",
        ),
        (f'{{"epochs": -1{"0" * 9999}}}', "epochs must be a finite number"),
        ('{"a": "\\ud800"}', r"a must be text, got '\\ud800'"),
        ('{"\\udfff": 1}', r"'\\udfff' must be text"),
        (b'{"a": "\xff"}', ": not UTF-8 from byte 7 on"),
        (b"\xef\xbb\xbf{}", "BOM"),
        ("\ufeff{}", "BOM"),
        ("", "Expecting value"),
        ("{} {}", "Extra data"),
        (DEEP, f"nested more than {DEPTH} deep"),
        ('{"a":' * 100_000, f"nested more than {DEPTH} deep"),
        (f'{{"a": {"[" * DEPTH}1{"]" * DEPTH}}}', f"is nested more than {DEPTH} deep"),
    ],
)
def test_what_this_program_never_writes_is_named(text, expected):
    with pytest.raises(ValueError, match=expected) as caught:
        loads(text, "runs/x.json")
    message = str(caught.value)
    assert message.startswith("runs/x.json")
    assert "\n" not in message
    assert len(message) < 200
    message.encode()


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, None, True, {"b": "ä\n"}], "n": -(2**62), "e": 1e-320},
        {},
        {"a": {}, "b": [[]]},
        {"": "x" * 9999},
    ],
)
def test_what_it_writes_is_read_exactly(value):
    assert loads(json.dumps(value), "x") == value
    assert loads(json.dumps(value, ensure_ascii=False).encode(), "x") == value
    assert list(loads_object(json.dumps(value), "x")) == list(value)


def test_as_deep_as_is_allowed():
    text = f"{'[' * DEPTH}1{']' * DEPTH}"
    assert json.dumps(loads(text, "x")) == text
    with pytest.raises(ValueError, match="deep"):
        loads(f"[{text}]", "x")


@pytest.mark.parametrize(
    ("text", "kind"), [("5", "an integer"), ("[]", "a list"), ("null", "null"), ('""', "a string")]
)
def test_an_object_is_expected(text, kind):
    with pytest.raises(ValueError, match=f"^x: must be an object, got {kind}$"):
        loads_object(text, "x")


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (True, int, "must be an integer, got a boolean"),
        (1.0, int, "must be an integer, got a number"),
        (True, float, "must be a number, got a boolean"),
        (None, dict, "must be an object, got null"),
        ([], str, "must be a string, got a list"),
        (1, bool, "must be a boolean, got an integer"),
    ],
)
def test_a_value_of_another_kind_is_named(value, kind, expected):
    with pytest.raises(ValueError, match=f"^x: key {expected}$"):
        need({"key": value}, "key", kind, "x")
    with pytest.raises(ValueError, match=r"^x: other is missing$"):
        need({"key": value}, "other", kind, "x")


def test_a_value_of_its_kind_is_given():
    content = {"a": 1, "b": 1.5, "c": True, "d": {}}
    assert [need(content, "a", kind, "x") for kind in (int, float)] == [1, 1]
    assert [need(content, *named, "x") for named in (("b", float), ("c", bool), ("d", dict))] == [
        1.5,
        True,
        {},
    ]


def test_lines_are_named_by_their_numbers(tmp_path):
    (tmp_path / "x").write_text('{"a": 1}\n{"a": 2}\n')
    assert read_objects(tmp_path / "x") == [{"a": 1}, {"a": 2}]
    (tmp_path / "x").write_text('{"a": 1}\n{"a": 2')
    with pytest.raises(ValueError, match="x, line 2: "):
        read_objects(tmp_path / "x")


def strange(path):
    """Every kind of thing that is no regular file, in the place of one."""
    os.mkfifo(path / "fifo")
    (path / "folder").mkdir()
    (path / "dangling").symlink_to(path / "nowhere")
    (path / "loop").symlink_to(path / "loop")
    (path / "device").symlink_to("/dev/zero")
    return ["fifo", "folder", "dangling", "loop", "device", "none"]


def test_only_regular_files_are_read(tmp_path):
    for name in strange(tmp_path):
        for reader in (open_regular, read_object, read_objects):
            with pytest.raises(OSError, match=name) as caught:
                reader(tmp_path / name)
            assert caught.value.strerror
            assert str(caught.value.filename) == str(tmp_path / name)


def test_no_more_is_read_than_expected(tmp_path):
    (tmp_path / "x").write_bytes(b"{}" + bytes(8))
    assert len(read_bounded(tmp_path / "x", 10)) == 10
    with pytest.raises(ValueError, match="x has more than 9 bytes"):
        read_bounded(tmp_path / "x", 9)
    os.truncate(tmp_path / "x", 1 << 42)
    with pytest.raises(ValueError, match="has more than 67,108,864 bytes"):
        read_object(tmp_path / "x")
