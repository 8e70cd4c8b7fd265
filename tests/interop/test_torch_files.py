"""Files of PyTorch, read without PyTorch: the same numbers, nothing run, damage noticed."""

from __future__ import annotations

import argparse
import collections
import io
import os
import pathlib
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from jaxode.interop import (  # noqa: E402
    InteropError,
    pickle_machine,
    read_weight_file,
    read_weights,
    torch_files,
)
from jaxode.interop.pickle_machine import read_pickle  # noqa: E402


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.pth"


def refused(path, content=None):
    """The one line with which a file is refused."""
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InteropError) as caught:
        read_weights(path)
    line = str(caught.value)
    assert line.isprintable()
    assert line.startswith(str(path))
    return line


def numbers():
    return torch.arange(6.0).reshape(2, 3)


TENSORS = {
    "transposed": lambda: numbers().T,
    "a part": lambda: numbers()[:, 1:],
    "a parameter": lambda: torch.nn.Parameter(numbers()),
    "expanded": lambda: torch.ones(1).expand(4, 5),
    "sparse": lambda: numbers().to_sparse(),
    "not coalesced": lambda: torch.sparse_coo_tensor([[0, 0]], [1.0, 2.0], (2,)),
    "empty": lambda: torch.zeros(0, 3),
    "a scalar": lambda: torch.tensor(2.5),
    "negated": lambda: torch.complex(numbers(), numbers()).conj().imag,
    "float64": lambda: numbers().double(),
    "float16": lambda: numbers().half(),
    "bfloat16": lambda: numbers().bfloat16(),
    "float8": lambda: numbers().to(torch.float8_e4m3fn),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # of PyTorch's, for sparse tensors and its old format
@pytest.mark.parametrize("old", [False, True], ids=["zip", "old"])
@pytest.mark.parametrize("kind", TENSORS)
def test_tensors_of_every_kind_have_their_numbers(path, kind, old):
    tensor = TENSORS[kind]()
    torch.save({"w": tensor, "tied": tensor}, path, _use_new_zipfile_serialization=not old)
    found = read_weights(path)
    dense = (tensor.to_dense() if tensor.is_sparse else tensor).detach()
    for name in ("w", "tied"):
        assert found[name].dtype.name == str(dense.dtype).removeprefix("torch.")
        np.testing.assert_array_equal(found[name].astype(float), dense.double().numpy())
        found[name][...] = 0  # each has memory of its own


def module():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))


BARE = ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"]

CHECKPOINTS = {
    "state_dict": (lambda m: m.state_dict(), []),
    "a training's": (
        lambda m: {
            "epoch": 3,
            "model_state_dict": m.state_dict(),
            "optimizer_state_dict": torch.optim.Adam(m.parameters()).state_dict(),
            "best": np.float64(0.5),
            "folder": pathlib.Path("runs"),
            "device": torch.device("cpu"),
        },
        ["weights are those under model_state_dict; left out: epoch, optimizer_state_dict, best,"
         " folder, device"],
    ),
    "DataParallel's": (
        lambda m: {"state_dict": torch.nn.DataParallel(m).state_dict()},
        ["names lose their module."],
    ),
    "torch.compile's in DataParallel": (
        lambda m: {f"module._orig_mod.{name}": value for name, value in m.state_dict().items()},
        ["names lose their module. and _orig_mod."],
    ),
    "a compiled layer": (
        lambda m: {name.replace(".", "._orig_mod.", 1): v for name, v in m.state_dict().items()},
        ["names lose their _orig_mod."],
    ),
    "Lightning's": (
        lambda m: {
            "state_dict": {f"model.{name}": value for name, value in m.state_dict().items()},
            "hyper_parameters": collections.OrderedDict(lr=0.1),
        },
        ["weights are those under state_dict; left out: hyper_parameters",
         "names lose their model."],
    ),
    "an own key": (
        lambda m: {"student": m.state_dict(), "step": 1},
        ["weights are those under student; left out: step"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_the_state_dict_is_found_and_what_is_left_out_is_said(path, kind):
    save, notes = CHECKPOINTS[kind]
    torch.save(save(module()), path)
    found = read_weight_file(path)
    assert list(found.weights) == BARE
    *said, counters = found.notes
    assert said == notes
    assert counters.startswith("left out: ")
    assert counters.endswith("num_batches_tracked")
    np.testing.assert_array_equal(found.weights["0.weight"], module()[0].weight.detach().numpy())
    tarred = path.with_suffix(".pth.tar")
    path.rename(tarred)
    assert list(read_weights(tarred)) == BARE


def test_args_are_read_as_plain_values(path):
    flags = {
        "tol": 1e-3,
        "network": "odenet",
        "gpu": None,
        "seeds": {1, 2},
        "size": torch.Size([2]),
    }
    torch.save({"state_dict": {"w": torch.ones(1)}, "args": argparse.Namespace(**flags)}, path)
    found = read_weight_file(path)
    assert found.notes == ()
    assert {name: found.flags[name] for name in ("tol", "network", "gpu")} == {
        "tol": 1e-3, "network": "odenet", "gpu": None,
    }  # fmt: skip


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


@pytest.mark.parametrize("old", [False, True], ids=["zip", "old"])
@pytest.mark.parametrize("place", ["state_dict", "args", "optimizer"])
def test_a_program_is_refused_and_not_run(path, tmp_path, place, old):
    content = {"state_dict": {"w": torch.ones(1)}, place: Trap(tmp_path / "sprung")}
    torch.save(content, path, _use_new_zipfile_serialization=not old)
    assert "is not a file of weights alone, for it refers to " in refused(path)
    assert not (tmp_path / "sprung").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "sprung").exists()  # the trap works


REFUSED = {
    "a module": (lambda p: torch.save(module(), p), "save the model's state_dict()"),
    "TorchScript": (lambda p: torch.jit.save(torch.jit.script(module()), p), "is a TorchScript"),
    "a list": (lambda p: torch.save([1], p), "must hold a state_dict, got list"),
    "no weights": (lambda p: torch.save({"epoch": 1}, p), "must hold a state_dict, got epoch"),
    "numbers": (lambda p: torch.save({"w": torch.ones(1), "n": 2}, p), "got int under 'n'"),
    "integers": (lambda p: torch.save({"w": torch.ones(1).int()}, p), "got int32 under 'w'"),
    "complex": (lambda p: torch.save({"w": torch.ones(1) * 1j}, p), "got complex64 under 'w'"),
    "meta": (lambda p: torch.save({"w": torch.ones(1, device="meta")}, p), "the device meta"),
    "a csr matrix": (
        lambda p: torch.save({"w": torch.eye(2).to_sparse_csr()}, p),
        "in the format torch.sparse_csr: store .to_dense() of it",
    ),
    "quantized": (
        lambda p: torch.save({"w": torch.quantize_per_tensor(torch.ones(1), 1, 0, torch.qint8)}, p),
        "it refers to torch",
    ),
    "an expanded terabyte": (
        lambda p: torch.save({"w": torch.ones(1).expand(2**20, 2**20)}, p),
        "at most 4294967296 bytes of numbers, got more by 'w'",
    ),
    "two of one name": (
        lambda p: torch.save({"a._orig_mod.b": torch.ones(1), "a.b": torch.ones(1)}, p),
        "two tensors have the same name without _orig_mod.",
    ),
    "text": (lambda p: p.write_text("no weights"), "is no .pth file of arrays"),
    "nothing": (lambda p: p.touch(), "is no .pth file of arrays"),
    "a plain pickle": (lambda p: p.write_bytes(pickle.dumps({"w": 1})), "not one of torch.save"),
    "a tar": (lambda p: tarfile.open(p, "w").close() or p.write_bytes(tarred()), "before 0.1.10"),
    "another zip": (lambda p: np.savez(p.open("wb"), w=np.ones(1)), "without a data.pkl"),
}  # fmt: skip


def tarred():
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    return target.getvalue()


@pytest.mark.filterwarnings("ignore")  # of PyTorch's, on what will change
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_state_dict_is_one_clear_line(path, kind):
    write, message = REFUSED[kind]
    write(path)
    assert message in refused(path)


def sound(old=False, **options):
    target = io.BytesIO()
    content = {"a": torch.full((50,), 0.1), "b": torch.full((60,), 0.2)}
    torch.save(content, target, _use_new_zipfile_serialization=not old, **options)
    return target.getvalue()


@pytest.mark.parametrize("old", [False, True], ids=["zip", "old"])
def test_a_truncated_file_is_one_clear_line(path, old):
    whole = sound(old)
    for length in range(0, len(whole), 31):
        refused(path, whole[:length])


def test_flipped_bytes_in_a_zip_change_no_number_in_silence(path):
    """Every byte in turn: torch.load takes nearly all that lie among the numbers."""
    whole = sound()
    path.write_bytes(whole)
    expected = read_weights(path)
    noticed = taken_by_torch = 0
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            found = read_weights(path)
        except InteropError:
            noticed += 1
            continue
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array)
    start = whole.index(np.full(50, 0.1, np.float32).tobytes())
    for place in range(start, start + 200, 20):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        assert "is damaged: Bad CRC-32" in refused(path)
        taken_by_torch += len(torch.load(path, weights_only=True)) == 2
    assert noticed > 50
    assert taken_by_torch == 10


def test_a_file_without_checksums_is_read(path):
    torch.serialization.set_crc32_options(False)
    try:
        path.write_bytes(sound())
    finally:
        torch.serialization.set_crc32_options(True)
    assert read_weights(path)["a"][0] == np.float32(0.1)


def test_numbers_of_the_other_byte_order_are_read(path):
    """As a big-endian machine writes them."""
    whole, target = zipfile.ZipFile(io.BytesIO(sound())), io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in whole.namelist():
            content = whole.read(name)
            if name.endswith("byteorder"):
                content = b"big"
            if "/data/" in name:
                content = np.frombuffer(content, "<f4").astype(">f4").tobytes()
            archive.writestr(name, content)
    path.write_bytes(target.getvalue())
    np.testing.assert_array_equal(read_weights(path)["b"], np.full(60, 0.2, np.float32))


def test_sizes_are_bounded(path, monkeypatch):
    path.write_bytes(sound())
    for name, value, message in (
        ("MOST_BYTES", 1000, "bytes, more than 1000"),
        ("MOST_MEMBERS", 3, "members, more than 3"),
        ("MOST_PICKLED", 100, "bytes, more than 100"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(torch_files, name, value)
            assert message in refused(path)
    with monkeypatch.context() as patched:
        patched.setattr(pickle_machine, "MOST_OPCODES", 5)
        assert "it has more than 5 steps" in refused(path)
    os.remove(path)
    os.mkfifo(path)
    with pytest.raises(OSError, match="regular file"):
        read_weights(path)


@pytest.mark.parametrize("protocol", range(6))
def test_the_pickle_machine_knows_every_protocol(protocol):
    value = {"a": [1, -2, 2**70, 2.5], "b": (None, True, False, ()), "é": "ü", "c": [(1, 2, 3, 4)]}
    value["again"] = value["a"]
    found = read_pickle(io.BytesIO(pickle.dumps(value, protocol)), {})
    assert found == value
    assert found["again"] is found["a"]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (b"\x80\x02}" + b"(" + b")" + b"\x85" * 400_000 + b"K\x01u.", "a key must be a name"),
        (b"R.", "more from the stack"),
        (b"(R.", "more from the stack"),
        (b")b.", ""),
        (b"K\x01K\x02R.", "calls what is no function"),
        (b"K\x01)e.", ""),
        (b"]K\x01b.", "sets attributes"),
        (b"h\x05.", ""),
        (b"\x80\x02}q", ""),
        (b"", ""),
        (b"\x82\x01.", "is no step of a file of weights"),
        (b"Pid\n.", "is no step"),
        (b"K\x01Q.", "refers to numbers outside"),
    ],
)
def test_a_broken_pickle_is_one_error(steps, message):
    with pytest.raises(ValueError, match=f"it is no whole pickle: .*{message}"):
        read_pickle(io.BytesIO(steps), {})
