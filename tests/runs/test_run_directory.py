"""A run on disk, as it is read: what it holds, and how often its files are opened."""

import json
import os
import shutil

import pytest
from runs import go
from stubs import run_config, without_pictures

from jaxode.errors import ResumeError
from jaxode.runs import RunDirectory
from jaxode.tasks import Classification

TASK = Classification(10)
CONFIG = run_config(epochs=3)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    without_pictures(monkeypatch)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        without_pictures(patch)
        return out, go(out, CONFIG)


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole[0], tmp_path / "copy")


@pytest.fixture
def opened(monkeypatch):
    """How often each file below a directory is opened for reading."""
    counts, own = {}, os.open

    def counting(path, flags, *args, **options):
        if flags & os.O_ACCMODE == os.O_RDONLY and not flags & os.O_DIRECTORY:
            counts[os.fspath(path)] = counts.get(os.fspath(path), 0) + 1
        return own(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", counting)

    def below(path):
        inside = {name: count for name, count in counts.items() if name.startswith(str(path))}
        counts.clear()
        return {
            os.path.relpath(name, path): count
            for name, count in inside.items()
            if os.path.isfile(name)
        }

    return below


def test_a_finished_run_is_read(whole):
    out, result = whole
    directory = RunDirectory.open(str(out))
    assert directory.config == CONFIG
    assert directory.result == result
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert directory.history == lines
    assert directory.last_checkpoint == out / "checkpoints" / "epoch-00003-step-0000000015"
    best = result["best_epoch"]
    assert directory.best_checkpoint.name == f"epoch-{best:05d}-step-{5 * best:010d}"
    assert len(directory.predictions(TASK)["index"]) == 23
    assert directory.has_report(TASK)
    assert directory.is_complete(CONFIG, TASK)
    assert not directory.is_complete(run_config(epochs=4), TASK)


@pytest.mark.parametrize(
    "damage",
    [
        lambda out: (out / "result.json").unlink(),
        lambda out: (out / "images.npz").write_bytes(b""),
        lambda out: (out / "confusion.png").unlink(),
        lambda out: os.truncate(out / "metrics.jsonl", 40),
        lambda out: (max(out.glob("checkpoints/*-*")) / "meta.json").write_text("{}"),
        lambda out: os.truncate(max(max(out.glob("checkpoints/*-*")).glob("state/d/*")), 3),
        lambda out: shutil.rmtree(max(out.glob("checkpoints/*-*"))),
    ],
    ids=["result", "predictions", "plot", "metrics", "meta data", "state", "newest checkpoint"],
)
def test_a_run_is_complete_only_while_nothing_is_damaged(copy, damage):
    assert RunDirectory(copy).is_complete(CONFIG, TASK)
    damage(copy)
    assert not RunDirectory(copy).is_complete(CONFIG, TASK)


def test_the_history_has_the_epochs_that_are_in_a_checkpoint(copy):
    with open(copy / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 4, "lo')  # a kill
    assert len(RunDirectory(copy).history) == 3
    shutil.rmtree(copy / "checkpoints")
    with pytest.raises(ResumeError, match=r"metrics\.jsonl, line 4"):
        _ = RunDirectory(copy).history
    os.truncate(copy / "metrics.jsonl", os.path.getsize(copy / "metrics.jsonl") - 16)
    directory = RunDirectory(copy)
    assert [line["epoch"] for line in directory.history] == [1, 2, 3]
    assert directory.last_checkpoint is None
    assert directory.best_checkpoint is None
    assert directory.is_complete(CONFIG, TASK)  # deleted checkpoints are not missed


def test_a_directory_without_a_run_is_refused(tmp_path):
    with pytest.raises(ResumeError, match=r"is no run: it has no config\.json"):
        RunDirectory.open(tmp_path)
    empty = RunDirectory(tmp_path)
    assert (empty.result, empty.history, empty.last_checkpoint) == ({}, [], None)
    assert not empty.is_complete(CONFIG, TASK)


def test_whether_a_run_is_complete_is_read_from_each_file_once(whole, opened):
    opened(whole[0])
    directory = RunDirectory.open(whole[0])
    assert directory.is_complete(directory.config, TASK)
    counts = opened(whole[0])
    assert {"config.json", "result.json", "images.npz", "metrics.jsonl"} <= set(counts)
    assert "checkpoints/history.jsonl" in counts
    assert set(counts.values()) == {1}


@pytest.mark.parametrize("epochs", [3, 4])
def test_a_resume_reads_each_file_once(copy, opened, epochs):
    """Beside the files of a state, which are compared with their digests before Orbax reads them.

    The result is read only if a checkpoint does not say where the run was trained.
    """
    newest = RunDirectory(copy).last_checkpoint.name
    (copy / "confusion.png").unlink()
    opened(copy)
    go(copy, run_config(epochs=epochs))
    counts = opened(copy)
    read = {name: count for name, count in counts.items() if "/state/" not in name}
    once = {"metrics.jsonl", "images.npz", "checkpoints/history.jsonl"}
    once |= {f"checkpoints/{newest}/meta.json"} if epochs == 3 else set()
    assert once <= set(read)
    assert "result.json" not in read
    assert "config.json" not in read
    assert set(read.values()) == {1}
