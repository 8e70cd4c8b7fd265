"""Checkpoints: exact, whole or absent, and never trusted when damaged."""

import contextlib
import errno
import json
import os
import resource
import shutil
from statistics import median

import jax.numpy as jnp
import numpy as np
import pytest
from runs import as_format_3, bytes_written

from jaxode.errors import CheckpointError
from jaxode.runs import checkpoint_storage
from jaxode.runs.checkpoint import Checkpoints
from jaxode.runs.checkpoint_folder import checkpoint_name
from jaxode.runs.checkpoint_meta import sealed, unsealed


def state(value):
    return {
        "w": jnp.linspace(0.1, 1.7, 60).reshape(3, 20) * value,
        "none": jnp.zeros((0,), jnp.int32),
        "step": jnp.asarray(7 * value, jnp.int32),
    }


def meta(number):
    """Of a run after so many epochs."""
    return {"history": [{"epoch": epoch, "loss": 0.1 / epoch} for epoch in range(1, number + 1)]}


def saved(path, count=2):
    checkpoints = Checkpoints(path)
    for number in range(1, count + 1):
        checkpoints.save(checkpoint_name(number, 10 * number), state(number), meta(number))
    return checkpoints


def loaded(path):
    warnings = []
    return Checkpoints(path).load(state(0), warnings.append), warnings


def assert_holds(found, number):
    for name, value in state(number).items():
        assert found.state[name].dtype == value.dtype
        assert np.array_equal(found.state[name], value)
    assert found.meta["history"] == meta(number)["history"]


def test_the_newest_comes_back_bit_by_bit(tmp_path):
    saved(tmp_path)
    found, warnings = loaded(tmp_path)
    assert_holds(found, 2)
    assert warnings == []
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
        yield (
            f"{path.name} cut",
            lambda p=path: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]),
        )
        yield f"{path.name} gone", lambda p=path: p.unlink()


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 0x55
    path.write_bytes(content)


def test_no_damage_of_the_newest_goes_unseen(tmp_path):
    """Whatever happens to any of its files, the checkpoint before is loaded instead, and a line
    says so.
    """
    saved(tmp_path / "good")
    newest = checkpoint_name(2, 20)
    for index in range(len(list(damages(tmp_path / "good" / newest)))):
        copy = tmp_path / "copy"
        shutil.copytree(tmp_path / "good", copy)
        what, damage = list(damages(copy / newest))[index]
        damage()
        found, warnings = loaded(copy)
        assert len(warnings) == 1, what
        assert newest in warnings[0]
        assert "\n" not in warnings[0]
        assert_holds(found, 1)
        shutil.rmtree(copy)


def test_changed_meta_data_are_seen(tmp_path):
    saved(tmp_path)
    path = tmp_path / checkpoint_name(2, 20) / "meta.json"
    outer = json.loads(path.read_text())
    outer["content"]["history"]["epochs"] = 1
    path.write_text(json.dumps(outer))
    found, warnings = loaded(tmp_path)
    assert_holds(found, 1)
    assert "digest" in warnings[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 5}, "format is 5, this program reads 3 and 4"),
        ({"format": True}, "meta.json: format must be an integer, got a boolean"),
        ({"history": None}, "meta.json: history must be an object, got null"),
        (
            {"history": {"epochs": -1, "sha256": ""}},
            "epochs of the history must be at least 0, got -1",
        ),
        ({"history": {"epochs": 2}}, "meta.json: history: sha256 is missing"),
        (
            {"history": {"epochs": 2, "sha256": "0"}},
            "its history of 2 epochs is neither in history.jsonl nor in metrics",
        ),
        ({"files_sha256": []}, "meta.json: files_sha256 must be an object, got a list"),
        (
            {"files_sha256": {"../../x": "0"}},
            "files_sha256 must be digests of the checkpoint's files, got '../../x'",
        ),
        ({"state_sha256": None}, "meta.json: state_sha256 must be a string, got null"),
    ],
)
def test_meta_data_of_wrong_types_are_named(tmp_path, changes, message):
    """With a digest that fits: nobody but another program writes them."""
    saved(tmp_path)
    path = tmp_path / checkpoint_name(2, 20) / "meta.json"
    path.write_text(sealed({**unsealed(path.read_text()), **changes}))
    found, warned = loaded(tmp_path)
    assert_holds(found, 1)
    assert message in warned[0]
    assert "\n" not in warned[0]


def test_of_its_files_no_more_is_read_than_there_can_be(tmp_path):
    saved(tmp_path)
    (tmp_path / checkpoint_name(2, 20) / "meta.json").unlink()
    os.mkfifo(tmp_path / checkpoint_name(2, 20) / "meta.json")
    found, warnings = loaded(tmp_path)
    assert_holds(found, 1)
    assert len(warnings) == 1
    data = max(
        (tmp_path / checkpoint_name(1, 10) / "state" / "d").iterdir(),
        key=lambda path: path.stat().st_size,
    )
    os.truncate(data, 1 << 42)  # of which the disk holds nothing
    with pytest.raises(CheckpointError, match="no checkpoint"):
        loaded(tmp_path)


def test_the_history_is_read_from_whichever_file_has_it(tmp_path):
    folder, metrics = tmp_path / "checkpoints", tmp_path / "metrics.jsonl"
    saved(folder, 3)
    content = (folder / "history.jsonl").read_bytes()
    for damaged in (
        None,
        content[:-9],
        content.replace(b"0.1", b"0.2"),
        content[len(content) // 3 :],
    ):
        (folder / "history.jsonl").unlink()
        if damaged is not None:
            (folder / "history.jsonl").write_bytes(damaged)
        metrics.write_bytes(content + b'{"epoch": 4, "half')
        found, warnings = loaded(folder)
        assert_holds(found, 3)
        assert warnings == []
        metrics.unlink()
        (folder / "history.jsonl").write_bytes(damaged or b"")
        assert "its history of 3 epochs is neither in history.jsonl nor" in "".join(
            warnings_of(folder)
        )


def warnings_of(folder):
    """The messages about the newest."""
    warnings = []
    with contextlib.suppress(CheckpointError):
        Checkpoints(folder).load(state(0), warnings.append)
    return warnings[:1]


def test_checkpoints_of_the_format_before_are_read_and_gone_on_from(tmp_path):
    saved(tmp_path, 2)
    as_format_3(tmp_path)
    assert_holds(loaded(tmp_path)[0], 2)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.load(state(0), lambda text: None)
    checkpoints.save(checkpoint_name(3, 30), state(3), meta(3))
    assert_holds(loaded(tmp_path)[0], 3)
    (tmp_path / checkpoint_name(3, 30) / "meta.json").unlink()
    assert_holds(loaded(tmp_path)[0], 2)


def test_a_late_checkpoint_writes_no_more_than_an_early_one(tmp_path):
    def written(epochs, number):
        checkpoints = Checkpoints(tmp_path / f"{epochs}-{number}")
        checkpoints.directory.mkdir()
        checkpoints.keep_history(meta(epochs - 1)["history"])
        before = bytes_written()
        checkpoints.save(checkpoint_name(epochs, 10 * epochs), state(1), meta(epochs))
        return bytes_written() - before

    # The median: the first of a process writes more, and threads of Orbax write some of it later.
    early, late = (median(written(epochs, number) for number in range(5)) for epochs in (20, 2000))
    assert abs(late - early) < 500  # some numbers have more digits
    assert late < 500 * 40


def test_a_damaged_one_does_not_count_as_kept(tmp_path):
    checkpoints = saved(tmp_path, 3)
    flip(tmp_path / checkpoint_name(3, 30) / "meta.json", 40)
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.load(state(0), lambda text: None).name == checkpoint_name(2, 20)
    checkpoints.save(checkpoint_name(2, 25), state(3), meta(3))
    assert checkpoints.names() == [checkpoint_name(2, 20), checkpoint_name(2, 25)]


def test_a_damaged_one_is_written_anew(tmp_path):
    checkpoints = saved(tmp_path, 3)
    flip(tmp_path / checkpoint_name(3, 30) / "meta.json", 40)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.load(state(0), lambda text: None)
    checkpoints.save(checkpoint_name(3, 30), state(3), meta(3))
    assert checkpoints.names() == [checkpoint_name(2, 20), checkpoint_name(3, 30)]
    found, warnings = loaded(tmp_path)
    assert_holds(found, 3)
    assert warnings == []


def test_if_all_are_damaged_one_error_says_so(tmp_path):
    saved(tmp_path)
    for name in Checkpoints(tmp_path).names():
        (tmp_path / name / "meta.json").unlink()
    with pytest.raises(CheckpointError, match=r"no checkpoint in .* is readable"):
        loaded(tmp_path)


def assert_fails_cleanly(checkpoints, reason, capfd):
    with pytest.raises(CheckpointError) as caught:
        checkpoints.save(checkpoint_name(2, 20), state(2), meta(2))
    assert str(checkpoints.directory) in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in checkpoints.directory.iterdir()) == [
        checkpoint_name(1, 10),
        "history.jsonl",
    ]
    assert capfd.readouterr().err == ""


def test_a_full_disk_leaves_the_earlier_ones(tmp_path, monkeypatch, capfd):
    checkpoints = saved(tmp_path / "checkpoints", 1)

    def full(path, size):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(checkpoint_storage, "reserve", full)
    assert_fails_cleanly(checkpoints, "No space left on device", capfd)
    monkeypatch.undo()
    checkpoints.save(checkpoint_name(2, 20), state(2), meta(2))
    assert_holds(loaded(tmp_path / "checkpoints")[0], 2)


def test_an_error_inside_orbax_is_one_line(tmp_path, monkeypatch, capfd):
    checkpoints = saved(tmp_path / "checkpoints", 1)

    def broken(self, directory, state):
        directory.mkdir()
        (directory / "half").write_text("half")
        raise ValueError("RESOURCE_EXHAUSTED: could not write\nand many more lines")

    monkeypatch.setattr(checkpoint_storage.ocp.Checkpointer, "save", broken)
    assert_fails_cleanly(checkpoints, "RESOURCE_EXHAUSTED: could not write", capfd)


def test_files_that_may_not_grow(tmp_path, capfd):
    """A real refusal of the system."""
    checkpoints = saved(tmp_path / "checkpoints", 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        with pytest.raises(CheckpointError, match="File too large"):
            checkpoints.save(checkpoint_name(2, 20), state(2), meta(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(path.name for path in checkpoints.directory.iterdir()) == [
        checkpoint_name(1, 10),
        "history.jsonl",
    ]
    assert_holds(loaded(tmp_path / "checkpoints")[0], 1)
    assert capfd.readouterr().err == ""
