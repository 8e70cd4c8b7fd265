"""Weight files: what is refused, in one line and before it does harm; NaN is named."""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from jaxode.data import archives  # noqa: E402
from jaxode.interop import InteropError, read_weight_file, read_weights, write_weights  # noqa: E402
from jaxode.interop import npz as npz_files  # noqa: E402
from jaxode.interop.weight_files import WRITERS  # noqa: E402

REFUSED = (InteropError, OSError)
ENDINGS = tuple(WRITERS)


def npy(array, **changes):
    """A .npy file, its header changed."""
    target = io.BytesIO()
    head = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape} | changes
    np.lib.format.write_array_header_1_0(target, head)
    return target.getvalue() + array.tobytes()


def npz(*members, method=zipfile.ZIP_STORED):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return target.getvalue()


def tensors(head, numbers=bytes(16)):
    """A .safetensors file."""
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + numbers


WHOLE = npy(np.ones(4, np.float32))


def described(shape=(4,), dtype="F32", ends=(0, 16)):
    return {"dtype": dtype, "shape": shape, "data_offsets": ends}


def refused(path, content, message):
    path.write_bytes(content)
    with pytest.raises(InteropError, match=message) as caught:
        read_weights(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            npz(("w.npy", npy(np.ones(4, np.float32), shape=(2**60,)))),
            r"it announces \(1152921504606846976,\)",
        ),
        (
            npz(("w.npy", npy(np.ones(4, np.float32), shape=(2**33,)))),
            r"it announces \(8589934592,\) of",
        ),
        (
            npz(("w.npy", npy(np.ones(4, np.float32), shape=(-4, -1)))),
            r"it announces \(-4, -1\) of float32",
        ),
        (
            npz(("w.npy", npy(np.ones(4, np.float32), shape=(3,)))),
            r"it announces \(3,\) of float32 and has 16 bytes$",
        ),
        (
            npz(("w.npy", npy(np.ones(2, np.int64), descr="|O"))),
            "'w' is no array: it is of object$",
        ),
        (npz(("w.npy", npy(np.ones(2, np.int64), descr="<U2"))), "'w' is no array: it is of <U2$"),
        (
            npz(("w.npy", npy(np.ones(2, np.int64), descr=[("a", "<f4")]))),
            r"'w' is no array: it is of \[",
        ),
        (
            npz(("w.npy", npy(np.ones(2, np.int64)))),
            "must hold floating-point arrays, got int64 under 'w'$",
        ),
        (
            npz(("w.npy", npy(np.float32([1, np.nan])))),
            "must hold finite numbers: 'w' has 1 NaN of 2 numbers$",
        ),
        (npz(("w.npy", b"no array")), "'w' is no array: "),
        (npz(("w.npy", WHOLE[:5])), "'w' is no array: "),
        (npz(("w.npy", b"\x93NUMPY\2\0\xff\xff\xff\xff")), "'w' is no array: "),
        (
            npz(("w.npy", b"\x93NUMPY\3\0" + WHOLE[8:])),
            r"'w' is no array: its version is \(3, 0\)$",
        ),
        (npz(("w.npy", b"\x93NUMPY\1\0\xf0\x55" + b"(" * 0x55F0)), "'w' is no array: "),
        (npz(("w.npy", WHOLE), ("w", WHOLE)), "'w' is in it twice$"),
        (npz(("w\n.npy", WHOLE)), r"must hold arrays by printable names, got 'w\\n'$"),
        (
            npz(("w.npy", WHOLE), method=zipfile.ZIP_BZIP2),
            "'w' is no array: it must be stored or deflated, and is packed by method 12$",
        ),
        (
            npz(("w.npy", WHOLE)).replace(WHOLE[-4:], b"abcd"),
            "'w' is no array: Bad CRC-32",
        ),
        (WHOLE, "is no .npz file of arrays: .* is no whole zip: "),
        (npz(("w.npy", WHOLE))[:-9], "is no whole zip: "),
        (b"", "is no whole zip: "),
    ],
    ids=[
        "2**60",
        "2**33",
        "negative",
        "fewer",
        "object",
        "text",
        "record",
        "int",
        "nan",
        "none",
        "cut",
        "header",
        "version",
        "brackets",
        "twice",
        "newline",
        "bzip2",
        "checksum",
        "npy",
        "truncated",
        "empty",
    ],
)
def test_an_npz_that_is_none_is_one_line(tmp_path, content, message):
    refused(tmp_path / "model.npz", content, message)


def test_an_npz_is_bounded_by_what_it_unpacks_to(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    content = bytearray(npz(("w.npy", WHOLE), ("v.npy", WHOLE)))
    for place in (content.index(b"PK\1\2"), content.rindex(b"PK\1\2")):
        struct.pack_into("<I", content, place + 24, 2**31 + 1)
    refused(path, bytes(content), r"it unpacks to 4294967298 bytes, more than 4294967296$")
    whole = npz(("w.npy", WHOLE), ("v.npy", WHOLE))
    monkeypatch.setattr(archives._Source, "most", 50)
    refused(path, whole, "the list of its members takes 102 bytes, more than 50$")
    monkeypatch.undo()
    monkeypatch.setattr(npz_files, "MOST_MEMBERS", 1)
    refused(path, whole, "it has 2 members, more than 1$")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            struct.pack("<Q", 2**60),
            "its header takes 1152921504606846976 bytes, more than 4194304$",
        ),
        (
            tensors(b'{"w": %s, "w": %s}' % ((json.dumps(described()).encode(),) * 2)),
            "'w' is in it twice$",
        ),
        (tensors({"w": described((2**60,))}), "is no .safetensors file of arrays: "),
        (tensors({"w": described((2**40, 2**40))}), "is no .safetensors file of arrays: "),
        (tensors({"w": described((-4,))}), "is no .safetensors file of arrays: "),
        (tensors({"w": described(ends=(16, 0))}), "is no .safetensors file of arrays: "),
        (tensors({"w": described(), "v": described()}), "is no .safetensors file of arrays: "),
        (
            tensors({"w": described(dtype="I32")}),
            "must hold floating-point arrays, got int32 under 'w'$",
        ),
        (tensors({"w": described(dtype="F99")}), "is no .safetensors file of arrays: "),
        (
            tensors({"w": described()}, b"\0\0\x80\x7f" * 4),
            "must hold finite numbers: 'w' has 4 infinite of 4 numbers$",
        ),
        (tensors(b"[" * 10**6), "is no .safetensors file of arrays: "),
        (tensors(b"1" * 10**5), "is no .safetensors file of arrays: "),
        (tensors(b"\xff\xfe"), "is no .safetensors file of arrays: "),
        (b"", "is no .safetensors file of arrays: "),
    ],
    ids=[
        "length",
        "twice",
        "2**60",
        "overflow",
        "negative",
        "ends",
        "overlap",
        "int",
        "dtype",
        "inf",
        "brackets",
        "digits",
        "utf-8",
        "empty",
    ],
)
def test_safetensors_that_are_none_are_one_line(tmp_path, content, message):
    refused(tmp_path / "model.safetensors", content, message)


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, ending):
    os.mkfifo(tmp_path / f"pipe{ending}")
    (tmp_path / f"folder{ending}").mkdir()
    (tmp_path / f"large{ending}").touch()
    os.truncate(tmp_path / f"large{ending}", 2**33)
    for name, message in (
        ("pipe", "o(t a)? regular file"),
        ("folder", "no regular file|Is a directory"),
        ("large", "bytes, more than|no whole zip"),
    ):
        with pytest.raises(REFUSED, match=message):
            read_weights(tmp_path / f"{name}{ending}")


def test_any_names_memory_and_order_of_bytes_go_round(tmp_path):
    """Names that np.savez keeps for itself, memory that tensors share, arrays of columns and of the
    other order.
    """
    base = np.arange(6, dtype=np.float32)
    weights = {
        "file": base,
        "allow_pickle": base[2:],
        "w": base.reshape(2, 3).T,
        "b": np.array(2, jnp.bfloat16),
        "e": np.array([0.5, -2]).astype(jnp.float8_e4m3fn),
    }
    for ending in ENDINGS:
        write_weights(tmp_path / f"model{ending}", weights)
        found = read_weights(tmp_path / f"model{ending}")
        assert found.keys() == weights.keys()
        for name, array in weights.items():
            assert found[name].dtype == (array.dtype if ending != ".npz" else np.float32)
            np.testing.assert_array_equal(found[name].astype(float), array.astype(float))
    assert torch.load(tmp_path / "model.pt")["b"].dtype == torch.bfloat16
    arrays = {
        "c": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "e": np.arange(3, dtype=">f4"),
        "z": np.float64(3),
    }
    np.savez_compressed(tmp_path / "other.npz", **arrays)
    found = read_weights(tmp_path / "other.npz")
    assert all(np.array_equal(found[name], value) for name, value in arrays.items())
    assert np.array_equal(np.load(tmp_path / "model.npz")["file"], np.arange(6, dtype=np.float32))


SOUND = {
    ".npz": npz(("w.npy", WHOLE), method=zipfile.ZIP_DEFLATED),
    ".safetensors": tensors({"w": described()}),
}
SAVED = io.BytesIO()
torch.save({"w": torch.ones(4)}, SAVED)
SOUND[".pt"] = SAVED.getvalue()
OLD = io.BytesIO()
torch.save({"w": torch.ones(4)}, OLD, _use_new_zipfile_serialization=False)
SOUND[".pth"] = OLD.getvalue()


@given(
    st.sampled_from(sorted(SOUND)),
    st.lists(st.tuples(st.integers(0, 10**5), st.binary(max_size=2)), max_size=3),
)
@settings(max_examples=300, deadline=None)
def test_damaged_files_are_read_or_refused(tmp_path_factory, ending, changes):
    content = bytearray(SOUND[ending])
    for place, new in changes:
        place %= len(content)
        content[place : place + 1] = new
    path = tmp_path_factory.getbasetemp() / f"damaged{ending}"
    path.write_bytes(content)
    with contextlib.suppress(*REFUSED):
        read_weights(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_array_that_is_not_finite_is_named(tmp_path, ending):
    weights = {f"{number}.bias": np.full(1500, np.nan, np.float32) for number in range(5)}
    weights["4.bias"][:3] = [np.inf, -np.inf, 0]
    weights["0.bias"][0] = np.inf
    path = tmp_path / f"model{ending}"
    write_weights(path, weights)
    message = (
        f"{path} must hold finite numbers: '0.bias' has 1,499 NaN and 1 infinite of 1,500 numbers,"
        " '1.bias' has 1,500 NaN of 1,500 numbers, '2.bias' has 1,500 NaN of 1,500 numbers, and 2"
        " more arrays"
    )
    with pytest.raises(InteropError) as caught:
        read_weights(path)
    assert str(caught.value) == message


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_prefixes_go_and_counters_are_left_out_in_every_format(tmp_path, ending):
    from safetensors.numpy import save_file

    arrays = {
        "module.norm.weight": np.ones(2, np.float32),
        "module.norm.num_batches_tracked": np.array(7),
    }
    path = tmp_path / f"model{ending}"
    np.savez(path, **arrays) if ending == ".npz" else save_file(arrays, path)
    found = read_weight_file(path)
    assert list(found.weights) == ["norm.weight"]
    assert found.notes == (
        "names lose their module.",
        "left out: module.norm.num_batches_tracked",
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_settings_are_stored_and_other_programs_pass_over_them(tmp_path, ending):
    path = tmp_path / f"model{ending}"
    weights = {"module.w": np.arange(3, dtype=np.float32)}
    write_weights(path, weights, '{"a": 1}')
    found = read_weight_file(path)
    assert found.settings == '{"a": 1}'
    (array,) = found.weights.values()
    np.testing.assert_array_equal(array, [0, 1, 2])
    if ending == ".npz":
        np.testing.assert_array_equal(np.load(path)["module.w"], [0, 1, 2])
    if ending in (".pt", ".pth"):
        for mapped in (False, True):
            loaded = torch.load(path, weights_only=True, mmap=mapped)
            assert {name: value.tolist() for name, value in loaded.items()} == {
                "module.w": [0, 1, 2]
            }
