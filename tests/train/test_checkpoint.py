"""Checkpoints: exact, whole or absent, and never trusted when damaged."""

import errno
import json
import resource
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from jaxode.train import checkpoint
from jaxode.train.checkpoint import Checkpoints, checkpoint_name
from jaxode.train.errors import CheckpointError


def state(value):
    return {
        "w": jnp.linspace(0.1, 1.7, 60).reshape(3, 20) * value,
        "none": jnp.zeros((0,), jnp.int32),
        "step": jnp.asarray(7 * value, jnp.int32),
    }


def saved(path, count=2):
    checkpoints = Checkpoints(path)
    for number in range(1, count + 1):
        checkpoints.save(checkpoint_name(number, 10 * number), state(number), {"history": [number, 0.1]})
    return checkpoints


def loaded(path):
    said = []
    return Checkpoints(path).load(state(0), said.append), said


def assert_holds(found, number):
    for name, value in state(number).items():
        assert found.state[name].dtype == value.dtype
        assert np.array_equal(found.state[name], value)
    assert found.meta["history"] == [number, 0.1]


def test_the_newest_comes_back_bit_by_bit(tmp_path):
    saved(tmp_path)
    found, said = loaded(tmp_path)
    assert_holds(found, 2)
    assert said == []
    assert loaded(tmp_path / "empty") == (None, [])


def test_the_last_two_and_the_best_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    names = [checkpoint_name(number, 10 * number) for number in range(1, 6)]
    for name in names:
        checkpoints.save(name, state(1), {}, best=names[1])
    assert checkpoints.names() == [names[1], names[3], names[4]]


def damages(folder):
    """Every way of damaging every file of a checkpoint, as (what, function)."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        size = path.stat().st_size
        for place in sorted({0, size // 3, size // 2, size - 1}) if size else []:
            yield f"{path.name} byte {place}", lambda p=path, at=place: flip(p, at)
        yield f"{path.name} cut", lambda p=path: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2])
        yield f"{path.name} gone", lambda p=path: p.unlink()


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 0x55
    path.write_bytes(content)


def test_no_damage_of_the_newest_goes_unseen(tmp_path):
    """Whatever happens to any of its files, the checkpoint before is loaded instead, and a line says so."""
    saved(tmp_path / "good")
    newest = checkpoint_name(2, 20)
    for index in range(len(list(damages(tmp_path / "good" / newest)))):
        copy = tmp_path / "copy"
        shutil.copytree(tmp_path / "good", copy)
        what, damage = list(damages(copy / newest))[index]
        damage()
        found, said = loaded(copy)
        assert len(said) == 1, what
        assert newest in said[0]
        assert "\n" not in said[0]
        assert_holds(found, 1)
        shutil.rmtree(copy)


def test_changed_meta_data_are_seen(tmp_path):
    saved(tmp_path)
    path = tmp_path / checkpoint_name(2, 20) / "meta.json"
    outer = json.loads(path.read_text())
    outer["content"]["history"] = [2, 0.2]
    path.write_text(json.dumps(outer))
    found, said = loaded(tmp_path)
    assert_holds(found, 1)
    assert "digest" in said[0]


def test_a_damaged_one_does_not_count_as_kept(tmp_path):
    checkpoints = saved(tmp_path, 3)
    flip(tmp_path / checkpoint_name(3, 30) / "meta.json", 40)
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.load(state(0), lambda text: None).name == checkpoint_name(2, 20)
    checkpoints.save(checkpoint_name(2, 25), state(3), {"history": [3, 0.1]})
    assert checkpoints.names() == [checkpoint_name(2, 20), checkpoint_name(2, 25)]


def test_a_damaged_one_is_written_anew(tmp_path):
    checkpoints = saved(tmp_path, 3)
    flip(tmp_path / checkpoint_name(3, 30) / "meta.json", 40)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.load(state(0), lambda text: None)
    checkpoints.save(checkpoint_name(3, 30), state(3), {"history": [3, 0.1]})
    assert checkpoints.names() == [checkpoint_name(2, 20), checkpoint_name(3, 30)]
    found, said = loaded(tmp_path)
    assert_holds(found, 3)
    assert said == []


def test_if_all_are_damaged_one_error_says_so(tmp_path):
    saved(tmp_path)
    for folder in tmp_path.iterdir():
        (folder / "meta.json").unlink()
    with pytest.raises(CheckpointError, match=r"no checkpoint in .* is readable"):
        loaded(tmp_path)


def assert_fails_cleanly(checkpoints, reason, capfd):
    with pytest.raises(CheckpointError) as caught:
        checkpoints.save(checkpoint_name(2, 20), state(2), {"history": [2, 0.1]})
    assert str(checkpoints.directory) in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in checkpoints.directory.iterdir()] == [checkpoint_name(1, 10)]
    assert capfd.readouterr().err == ""


def test_a_full_disk_leaves_the_earlier_ones(tmp_path, monkeypatch, capfd):
    checkpoints = saved(tmp_path / "checkpoints", 1)

    def full(path, size):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(checkpoint, "reserve", full)
    assert_fails_cleanly(checkpoints, "No space left on device", capfd)
    monkeypatch.undo()
    checkpoints.save(checkpoint_name(2, 20), state(2), {"history": [2, 0.1]})
    assert_holds(loaded(tmp_path / "checkpoints")[0], 2)


def test_an_error_inside_orbax_is_told_in_one_line(tmp_path, monkeypatch, capfd):
    checkpoints = saved(tmp_path / "checkpoints", 1)

    def broken(self, directory, state):
        directory.mkdir()
        (directory / "half").write_text("half")
        raise ValueError("RESOURCE_EXHAUSTED: could not write\nand many more lines")

    monkeypatch.setattr(checkpoint.ocp.Checkpointer, "save", broken)
    assert_fails_cleanly(checkpoints, "RESOURCE_EXHAUSTED: could not write", capfd)


def test_files_that_may_not_grow(tmp_path, capfd):
    """A real refusal of the system."""
    checkpoints = saved(tmp_path / "checkpoints", 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        with pytest.raises(CheckpointError, match="File too large"):
            checkpoints.save(checkpoint_name(2, 20), state(2), {"history": [2, 0.1]})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in checkpoints.directory.iterdir()] == [checkpoint_name(1, 10)]
    assert_holds(loaded(tmp_path / "checkpoints")[0], 1)
    assert capfd.readouterr().err == ""
