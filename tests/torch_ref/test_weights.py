"""Files of PyTorch: what is refused, in one line and before it does harm, and that what is harmless
is read.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import os
import pickle
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch_ref import files, weights  # noqa: E402
from torch_ref.inputs import read_batches  # noqa: E402
from torch_ref.model import build  # noqa: E402
from torch_ref.weights import WeightsError, read  # noqa: E402


class Stored:
    """Pickled as a reference to the numbers in data/0."""


class Rebuilt:
    """Pickled as a call that rebuilds a tensor on those numbers."""

    def __init__(self, size, stride, offset=0):
        self.arguments = (Stored(), offset, size, stride, False, collections.OrderedDict())

    def __reduce__(self):
        return torch._utils._rebuild_tensor_v2, self.arguments


def packed(content, numbers=4, record=bytes(16), method=zipfile.ZIP_STORED):
    """A file of PyTorch whose pickle is of `content`, or these bytes; data/0 is `record`."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, given):
            return (
                ("storage", torch.FloatStorage, "0", "cpu", numbers)
                if isinstance(given, Stored)
                else None
            )

    stream, target = io.BytesIO(), io.BytesIO()
    if isinstance(content, bytes):
        stream.write(content)
    else:
        Pickler(stream, 2).dump(content)
    members = {
        "data.pkl": stream.getvalue(),
        "byteorder": b"little",
        "version": b"3\n",
        "data/0": record,
    }
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(f"m/{name}", data)
    return target.getvalue()


def refused(path, content, message):
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message) as caught:
        read(path)
    assert str(caught.value).isprintable()


QUIET_NAN, MINUS_INFINITY = b"\0\0\xc0\x7f" * 4, b"\0\0\x80\xff" * 4


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.pt"


@pytest.mark.parametrize("old", [False, True])
def test_both_formats_are_read(path, old):
    content = {
        "a": torch.arange(6.0).reshape(2, 3).T,
        "b": torch.nn.Parameter(torch.ones(2, dtype=torch.float64)),
    }
    state = {"state_dict": content, "args": argparse.Namespace(tol=1e-3)}
    torch.save(state, path, _use_new_zipfile_serialization=not old)
    found = read(path)
    assert list(found) == ["a", "b"]
    assert all(type(value) is torch.Tensor and not value.requires_grad for value in found.values())
    torch.testing.assert_close(found["a"], content["a"], rtol=0, atol=0)


def test_what_is_built_by_hand_is_read(path):
    path.write_bytes(packed({"w": Rebuilt((2, 2), (2, 1))}))
    torch.testing.assert_close(read(path)["w"], torch.zeros(2, 2), rtol=0, atol=0)


def nested(levels, tail):
    """A pickle of a dict with a tuple in a tuple, and so on, as its key or value."""
    return b"\x80\x02}(" + tail % (b")" + b"\x85" * levels) + b"u."


@pytest.mark.parametrize("tail", [b"%sK\x01", b"K\x01%s"], ids=["key", "value"])
def test_a_pickle_nested_too_deeply_is_refused(path, tail):
    """As a key, 300,000 levels would end the process: Python hashes it by recursion."""
    refused(
        path,
        packed(nested(400_000, tail)),
        r"model\.pt cannot be read: it is nested more than 100 levels deep$",
    )
    refused(
        path, b"\x80\x02]." + nested(400_000, tail), "nested more than 100 levels deep$"
    )  # as before PyTorch 1.6


@pytest.mark.parametrize(
    "text",
    [
        b"(" * 5 + b"t" * 6 + b".",
        b"h\x05.",
        b"",
        b"\x80\x02}q",
        b"no pickle",
        b"\x80\x02X\xff\xff\xff\x7f.",
    ],
    ids=["marks", "memo", "empty", "cut", "text", "long"],
)
def test_a_broken_pickle_is_one_line(path, text):
    refused(path, packed(text), r"model\.pt cannot be read: it is no whole pickle: ")


@pytest.mark.parametrize("levels", [100, 101])
def test_depth_is_counted_by_level_and_not_by_length(levels):
    deep = io.BytesIO(b"]" * (levels + 1) + b"a" * levels + b".")  # lists in a list
    long = io.BytesIO(b"]" + b"]a" * 500 + b"(" + b"]" * 500 + b"e.")  # one list of a thousand
    files._examine_pickle(long)
    with (
        contextlib.nullcontext()
        if levels == 100
        else pytest.raises(files.FileError, match="levels deep")
    ):
        files._examine_pickle(deep)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            packed({"w": Rebuilt((2**40,), (0,))}),
            "must hold tensors of at most 4294967296 bytes, got more by 'w'$",
        ),
        (packed({"w": Rebuilt((2**62, 2**62), (0, 0))}), "is no file of PyTorch's: numel: integer"),
        (packed({"w": Rebuilt((-4,), (1,))}), "is no file of PyTorch's: "),
        (packed({"w": Rebuilt((4,), (1,), -3)}), "is no file of PyTorch's: "),
        (
            packed({"w": Rebuilt((10**9,), (1,))}, numbers=10**9),
            "is no file of PyTorch's: record size",
        ),
        (packed({"w": 1}), "must hold floating-point tensors by name, got int under 'w'$"),
        (
            packed({1: Rebuilt((4,), (1,))}),
            "must hold floating-point tensors by name, got torch.float32 under 1$",
        ),
        (
            packed({"a\nb": Rebuilt((4,), (1,))}),
            r"must hold tensors by printable names, got 'a\\nb'$",
        ),
        (packed({"a" * 2000: Rebuilt((4,), (1,))}), "must hold tensors by printable names"),
        (
            packed({"w": Rebuilt((4,), (1,))}, record=QUIET_NAN),
            "must hold finite numbers, got NaN or infinity",
        ),
        (
            packed({"w": Rebuilt((4,), (1,))}, record=MINUS_INFINITY),
            "must hold finite numbers, got NaN or infinity",
        ),
        (
            packed({"w": Rebuilt((4,), (1,))}, method=zipfile.ZIP_BZIP2),
            "must be stored or deflated",
        ),
    ],
    ids=[
        "repeated",
        "overflow",
        "negative",
        "offset",
        "record",
        "int",
        "name",
        "line",
        "long",
        "nan",
        "inf",
        "bzip2",
    ],
)
def test_what_is_no_weight_is_named(path, content, message):
    refused(path, content, rf"model\.pt .*{message}")


def test_tensors_of_other_kinds_are_refused(path):
    for value in (torch.eye(2).to_sparse(), torch.zeros(2, device="meta")):
        torch.save({"w": value}, path)
        with pytest.raises(
            WeightsError, match=r"must hold dense tensors in memory, got another under 'w'$"
        ):
            read(path)
    torch.save({"w": torch.tensor([0.5, 2]).to(torch.float8_e4m3fn)}, path)
    assert read(path)["w"].float().tolist() == [0.5, 2]


def test_sizes_are_bounded(path, monkeypatch):
    content = packed({"w": Rebuilt((4,), (1,))}, record=bytes(16))
    path.write_bytes(content)
    assert read(path)
    monkeypatch.setattr(files, "MOST_HEADER", 200)
    refused(path, content, "its list of members takes .* bytes, more than 200$")
    monkeypatch.setattr(files, "MOST_HEADER", 300)
    refused(
        path,
        packed(b"\x80\x02X" + (900).to_bytes(4, "little") + b"a" * 900 + b"."),
        r"data\.pkl has \d+ bytes, more than 300$",
    )
    monkeypatch.setattr(files, "MOST_MEMBERS", 3)
    refused(path, content, "it has 4 members, more than 3$")
    monkeypatch.undo()
    monkeypatch.setattr(files, "MOST_OPCODES", 5)
    refused(path, content, "it is a pickle of more than 5 steps$")
    monkeypatch.undo()
    monkeypatch.setattr(files, "MOST_BYTES", 2000)
    zeros = packed({"w": Rebuilt((1000,), (1,))}, 1000, bytes(4000), zipfile.ZIP_DEFLATED)
    assert len(zeros) < 2000
    refused(path, zeros, r"cannot be read: it unpacks to \d+ bytes, more than 2000$")
    monkeypatch.setattr(weights, "MOST_BYTES", 15)
    refused(path, content, "must hold tensors of at most 15 bytes, got more by 'w'$")


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "folder.pt").mkdir()
    (tmp_path / "zeros.pt").symlink_to("/dev/zero")
    for name in ("pipe", "folder", "zeros"):
        with pytest.raises(WeightsError, match=f"{name}.pt cannot be read: it is no regular file$"):
            read(tmp_path / f"{name}.pt")
    (tmp_path / "large.pt").touch()
    os.truncate(tmp_path / "large.pt", 2**33)
    with pytest.raises(
        WeightsError,
        match=r"large\.pt cannot be read: it has 8589934592 bytes, more than 4294967296$",
    ):
        read(tmp_path / "large.pt")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.pt")


def test_batches_are_examined_too(tmp_path):
    path = tmp_path / "batches.npz"
    np.savez(path, images=np.zeros((1, 2, 4, 4, 1), np.float32), labels=np.zeros((1, 2), np.int64))
    ((images, labels),) = read_batches(path, torch.float32)
    assert (images.shape, labels.tolist()) == ((2, 1, 4, 4), [0, 0])
    np.savez(path, images=np.zeros((1, 2, 4, 4, 1), np.float32))
    with pytest.raises(ValueError, match=r"must be a .npz file of the arrays images and labels$"):
        read_batches(path, torch.float32)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(
        ValueError,
        match=r"must be a .npz file of the arrays images and labels: it is no regular file$",
    ):
        read_batches(path, torch.float32)


def test_a_changed_byte_among_the_numbers_is_seen(tmp_path):
    """The zip has a checksum of every tensor, which torch.load does not compare."""
    path = tmp_path / "model.pt"
    torch.save({"a": torch.full((1000,), 0.1)}, path)
    content = path.read_bytes()
    place = content.index(np.full(1000, 0.1, np.float32).tobytes()) + 2000
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    with pytest.raises(WeightsError, match="cannot be unpacked: Bad CRC-32"):
        read(path)


def test_a_file_without_checksums_is_read(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"a": torch.ones(3)}, tmp_path / "model.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(read(tmp_path / "model.pt")["a"], torch.ones(3))


@pytest.mark.parametrize("kind", ["odenet", "resnet"])
@pytest.mark.parametrize("blocks", [0, 1, 3])
@pytest.mark.parametrize("convolutions", [3, 4])
@pytest.mark.parametrize("downsampling", ["conv", "res"])
def test_the_layout_of_a_model_is_that_it_was_built_with(kind, blocks, convolutions, downsampling):
    model = build(
        kind, blocks, channels=3, classes=7, width=4, convolutions=convolutions,
        downsampling=downsampling,
    )  # fmt: skip
    found = weights.layout(model.state_dict())
    expected = kind if blocks else "resnet"
    assert found == weights.Layout(expected, blocks, 4, 3, 7, 0, convolutions, downsampling)


def test_a_gap_among_the_blocks_of_stride_2_is_named():
    model = build("odenet", 1, channels=1, classes=2, width=4, downsampling="res").state_dict()
    for name in [name for name in model if name.startswith("1.")]:
        del model[name]
    with pytest.raises(WeightsError, match="layers 1 to 2 must be residual blocks of stride 2"):
        weights.layout(model)
