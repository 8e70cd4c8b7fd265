"""The directory of a run: one process has it, and only its maker removes it."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxode.checks import ConfigError
from jaxode.runs import directory_lock
from jaxode.runs.directory_lock import lock_new_run_directory, lock_run_directory

TOGETHER = """
import importlib.util, sys, threading, time
from pathlib import Path
spec = importlib.util.spec_from_file_location("directory_lock", sys.argv[1])
directory_lock = sys.modules["directory_lock"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(directory_lock)
assert "jax" not in sys.modules
begin = threading.Barrier(int(sys.argv[5]) + 1)
wanted, found, done = Path(sys.argv[3]), [], threading.Event()

def one():
    begin.wait()
    try:
        with getattr(directory_lock, sys.argv[2])(wanted) as path:
            found.append(str(path))
            if sys.argv[4] == "keep":
                (path / "config.json").write_text("{}")
            done.wait()
    except directory_lock.ConfigError as error:
        found.append(str(error))

threads = [threading.Thread(target=one) for _ in range(int(sys.argv[5]))]
for thread in threads:
    thread.start()
print("ready", flush=True)
sys.stdin.readline()
begin.wait()
while len(found) < len(threads):
    time.sleep(0.001)
print("\\n".join(found), flush=True)
sys.stdin.readline()
done.set()
"""


def at_once(kind, path, keep, processes=4, threads=25):
    """What so many claims in several processes end with: a path or an error."""
    argv = [
        sys.executable,
        "-c",
        TOGETHER,
        directory_lock.__file__,
        kind,
        str(path),
        keep,
        str(threads),
    ]
    started = [
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    found = [process.stdout.readline().strip() for process in started for _ in range(threads)]
    for process in started:
        process.communicate("end\n")
    assert [process.returncode for process in started] == [0] * processes
    return found


def test_of_a_hundred_starts_at_once_each_has_a_directory_of_its_own(tmp_path):
    found = at_once("lock_new_run_directory", tmp_path / "runs" / "mlp", "keep")
    names = {"mlp", *(f"mlp-{number}" for number in range(2, 101))}
    assert sorted(found) == sorted(str(tmp_path / "runs" / name) for name in names)
    assert {path.name for path in (tmp_path / "runs").iterdir()} == names


def test_of_a_hundred_starts_into_one_directory_one_is_accepted(tmp_path):
    out = tmp_path / "run"
    found = at_once("lock_run_directory", out, "keep")
    assert found.count(str(out)) == 1
    assert found.count(f"another process is training into {out}") == 99
    assert (out / "config.json").exists()


def test_a_refused_start_leaves_the_directory_to_its_maker(tmp_path):
    out = tmp_path / "run"
    with lock_run_directory(out):
        with pytest.raises(ConfigError, match="another process"), lock_run_directory(out):
            pass
        assert out.is_dir()
        (out / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="already holds a run"), lock_run_directory(out):
        pass
    with lock_run_directory(out, may_hold_run=True):
        pass
    assert (out / "config.json").read_text() == "{}"


def test_only_what_was_made_here_and_is_empty_is_removed(tmp_path):
    given = tmp_path / "given"
    given.mkdir()
    with lock_run_directory(given):
        pass
    assert given.is_dir()
    with lock_run_directory(tmp_path / "made") as made:
        assert made.is_dir()
    assert not made.exists()
    with lock_new_run_directory(given) as second:
        assert second == tmp_path / "given-2"
    assert not second.exists()


def test_a_directory_that_is_replaced_is_no_longer_ours(tmp_path):
    out = tmp_path / "run"
    with lock_run_directory(out):
        out.rename(tmp_path / "moved")
        out.mkdir()
    assert out.is_dir()


def test_a_lock_on_a_removed_directory_is_none(tmp_path, monkeypatch):
    """The maker removes its directory between the moment another opens it and the moment that one
    locks it.
    """
    out, flock, left = tmp_path / "run", fcntl.flock, [True]
    out.mkdir()

    def late(descriptor, operation):
        if left:
            left.pop()
            out.rmdir()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with lock_run_directory(out) as found:
        assert not left
        assert found.is_dir()
    assert not out.exists()  # for it was made here


def test_without_locks_nothing_is_removed(tmp_path, monkeypatch):
    def none(descriptor, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", none)
    with lock_run_directory(tmp_path / "run"), lock_run_directory(tmp_path / "run"):
        pass
    assert (tmp_path / "run").is_dir()


def test_a_place_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "nowhere").symlink_to(tmp_path / "no" / "directory")
    for path in (tmp_path / "file", tmp_path / "file" / "run", tmp_path / "nowhere"):
        with (
            pytest.raises(ConfigError, match=f"cannot write into {path}: "),
            lock_run_directory(path),
        ):
            pass
    with (
        pytest.raises(ConfigError, match="cannot write into"),
        lock_new_run_directory(tmp_path / "file" / "run"),
    ):
        pass

    def full(directory):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(directory_lock, "try_writing", full)
    with (
        pytest.raises(ConfigError, match="No space left on device"),
        lock_run_directory(tmp_path / "new"),
    ):
        pass
    assert not (tmp_path / "new").exists()


def test_nothing_is_left_of_the_trial(tmp_path):
    with lock_run_directory(tmp_path / "run") as out:
        assert os.listdir(out) == []
        directory_lock.try_writing(Path(out))
        assert os.listdir(out) == []
