"""What killed processes leave in a run's directory is gone after the next start."""

import json

import pytest

from jaxode.checks import ConfigError
from jaxode.runs import checkpoint_folder
from jaxode.runs.checkpoint_folder import checkpoint_name, names, remove
from jaxode.runs.directory_lock import lock_run_directory
from jaxode.runs.leftovers import sweep, sweep_unless_claimed

NAMES = [checkpoint_name(number, 10 * number) for number in range(1, 5)]


def checkpoint(folder, name, *, meta=True, state=True):
    """A directory that looks like a checkpoint, or like what is left of one."""
    (folder / name / "state" / "d").mkdir(parents=True)
    if state:
        (folder / name / "state" / "d" / "data").write_text("numbers")
    if meta:
        content = {"files_sha256": {"d/data": "0" * 64}}
        (folder / name / "meta.json").write_text(json.dumps({"sha256": "", "content": content}))


@pytest.fixture
def run(tmp_path):
    """A run with two whole checkpoints and everything that a kill can leave."""
    run, folder = tmp_path / "run", tmp_path / "run" / "checkpoints"
    checkpoint(folder, NAMES[0], meta=False)
    checkpoint(folder, NAMES[1], state=False)
    for name in (
        *NAMES[2:],
        "unfinished",
        "unfinished-0123456789abcdef",
        "removed-0123456789abcdef",
    ):
        checkpoint(folder, name)
    for name in (
        ".config.json.unfinished",
        ".result.json.unfinished-0123456789abcdef",
        ".trial-ab_cd012",
    ):
        (run / name).write_text("")
    (folder / ".history.jsonl.unfinished-0123456789abcdef").write_text("")
    (run / "config.json").write_text("{}")
    (folder / "history.jsonl").write_text("")
    return run


def left(run):
    return {
        path.relative_to(run).as_posix() for path in [*run.glob("*"), *run.glob("checkpoints/*")]
    }


WHOLE = {
    "config.json",
    "checkpoints",
    "checkpoints/history.jsonl",
    *(f"checkpoints/{name}" for name in NAMES[2:]),
}


def test_the_next_start_sweeps(run):
    sweep(run)
    assert left(run) == WHOLE


def test_a_complete_run_is_swept_unless_another_process_has_it(run):
    before = left(run)
    with lock_run_directory(run, may_hold_run=True):
        sweep_unless_claimed(run)
    assert left(run) == before
    sweep_unless_claimed(run)
    assert left(run) == WHOLE
    sweep_unless_claimed(run / "config.json")


def test_what_is_not_known_to_be_left_stays(run):
    remaining = {
        ".hidden",
        ".unfinished.json",
        ".notes.txt.unfinished",
        ".trial-run",
        "checkpoints/epoch-notes",
    }
    for name in remaining:
        (run / name).write_text("mine")
    (run / ".trial-abcdefgh").write_bytes(bytes(4097))
    sweep(run)
    assert left(run) == WHOLE | remaining | {".trial-abcdefgh"}


def test_a_symlink_is_removed_and_not_followed(run, tmp_path):
    other = tmp_path / "other"
    checkpoint(other, NAMES[0])
    folder = run / "checkpoints"
    sweep(run)
    for name in ("unfinished", "removed-0123456789abcdef"):
        (folder / name).symlink_to(other)
    (run / ".config.json.unfinished").symlink_to(other / NAMES[0] / "meta.json")
    sweep(run)
    assert left(run) == WHOLE
    assert (other / NAMES[0] / "meta.json").is_file()


def test_no_checkpoint_is_swept_but_those_older_than_a_whole_one(tmp_path):
    folder = tmp_path / "checkpoints"
    checkpoint(folder, NAMES[0])
    checkpoint(folder, NAMES[1], meta=False)
    (folder / NAMES[0] / "meta.json").write_text("damaged")
    (folder / NAMES[1] / "meta.json").mkdir()
    checkpoint(folder, NAMES[2], meta=False)
    sweep(tmp_path)
    assert names(folder) == NAMES[:3]


def test_a_kill_while_one_is_removed_leaves_no_checkpoint_of_that_name(tmp_path, monkeypatch):
    checkpoint(tmp_path, NAMES[0])

    def killed(path, ignore_errors):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint_folder.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        remove(tmp_path / NAMES[0])
    assert names(tmp_path) == []
    monkeypatch.undo()
    checkpoint_folder.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_strange_entries_are_no_checkpoints(tmp_path):
    checkpoint(tmp_path, NAMES[1])
    (tmp_path / NAMES[0]).write_text("a file")
    for name in (
        "epoch-00003",
        "epoch-٠٠٠٠٣-step-0000000030",
        "epoch-00003-step-0000000030-copy",
        "epoch-",
    ):
        (tmp_path / name).mkdir()
    with open(bytes(tmp_path) + b"/epoch-\xff\xfe", "w"):
        pass
    checkpoint(tmp_path, checkpoint_name(100_000, 10**10))
    checkpoint(tmp_path, checkpoint_name(99_999, 5))
    assert names(tmp_path) == [
        NAMES[1],
        checkpoint_name(99_999, 5),
        checkpoint_name(100_000, 10**10),
    ]
    checkpoint_folder.sweep(tmp_path)
    assert len(names(tmp_path)) == 3
    assert names(tmp_path / NAMES[0]) == names(tmp_path / "none") == []


def test_a_directory_that_cannot_be_claimed_is_no_error(tmp_path, monkeypatch):
    def refused(directory):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("jaxode.runs.directory_lock.try_writing", refused)
    with pytest.raises(ConfigError), lock_run_directory(tmp_path):
        pass
    sweep_unless_claimed(tmp_path)
