"""The queue of runs: its order, what it tries again, its lock, and how it is stopped."""

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from jaxode.checks import ConfigError
from jaxode.cli.parser import parse_flags
from jaxode.runs import Progress
from scripts import queued, reproduce
from scripts.tables.rows import TABLES, WORTH


@dataclass
class FakeRun:
    """A run whose process does one epoch at each attempt, or fails."""

    out: Path
    seed: int = 0
    epochs: int = 1
    codes: list[int] = field(default_factory=list)
    """Exit codes of its attempts; 0, an epoch, once they are spent."""
    epochs_done: int = 0
    table = SimpleNamespace(name="mnist")

    @property
    def title(self):
        return self.out.name

    @property
    def complete(self):
        return self.epochs_done >= self.epochs

    def attempt(self):
        code = self.codes.pop(0) if self.codes else 0
        self.epochs_done += code == 0
        return code


@pytest.fixture
def work_off(tmp_path, monkeypatch):
    """A function runs → (names in the order of attempts, how many are not complete)."""

    def carry_out(runs):
        by_name, order = {run.out.name: run for run in runs}, []

        def attempt(words, descriptor):
            name = words[words.index("--run") + 1]
            order.append(name)
            return by_name[name].attempt()

        monkeypatch.setattr(queued, "carried_out", attempt)
        return order, queued.work_off(runs, [], tmp_path, Progress(quiet=True))

    return carry_out


def test_what_fails_is_tried_again_while_anything_advances(work_off, capsys):
    good, unlucky, bad = (
        FakeRun(Path("good"), epochs=2),
        FakeRun(Path("unlucky"), codes=[-9]),
        FakeRun(Path("bad"), codes=[1] * 9),
    )
    order, left = work_off([good, unlucky, bad])
    assert order == ["good", "unlucky", "bad", "good", "unlucky", "bad", "bad"]
    assert left == 1
    first, *_ = [line for line in capsys.readouterr().err.splitlines() if "unlucky" in line]
    assert first == "queue, 2 of 3: unlucky: ended by SIGKILL, 0 epochs are done"


def test_complete_runs_are_left_alone(work_off):
    order, left = work_off([FakeRun(Path("done"), epochs_done=1), FakeRun(Path("new"))])
    assert (order, left) == (["new"], 0)


def test_other_seeds_are_run_of_quick_rows_alone(work_off, tmp_path):
    runs = [FakeRun(tmp_path / f"{name}-seed{seed}", seed) for seed in (3, 4) for name in "abc"]
    for name, seconds in {"a": 20.0, "b": 50.0}.items():
        (tmp_path / f"{name}-seed3").mkdir()
        line = json.dumps({"train_seconds": seconds, "eval_seconds": 15.0})
        (tmp_path / f"{name}-seed3" / "metrics.jsonl").write_text(f"{line}\n")
    order, left = work_off(runs)  # an epoch takes 35 s, 65 s, and an unknown time
    assert order == ["a-seed3", "b-seed3", "c-seed3", "a-seed4"]
    assert left == 0


def test_a_killed_queues_run_keeps_the_lock(tmp_path):
    words = [sys.executable, "-c", "input()"]
    with queued.only_queue(tmp_path) as descriptor:
        with pytest.raises(ConfigError, match="still works in"), queued.only_queue(tmp_path):
            pass
        process = subprocess.Popen(words, pass_fds=(descriptor,), stdin=subprocess.PIPE)
    try:
        with pytest.raises(ConfigError, match="still works in"), queued.only_queue(tmp_path):
            pass
    finally:
        process.communicate(b"\n")
    with queued.only_queue(tmp_path):
        pass


def test_a_stopped_queue_lets_its_run_save(tmp_path, monkeypatch):
    saved, waits, wait = tmp_path / "saved", threading.Event(), subprocess.Popen.wait

    def waiting(process, timeout=None):
        waits.set()
        return wait(process, timeout)

    def stop(number, frame):
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "wait", waiting)
    before = signal.signal(signal.SIGUSR1, stop)  # SIGINT is ignored in a shell's background
    read, write = os.pipe()
    script = f"""
import os, pathlib, signal, sys
def save(number, frame):
    pathlib.Path({str(saved)!r}).write_text(str(number))
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
os.write({write}, b"ready")
signal.pause()
"""
    main = threading.main_thread().ident

    def interrupt():
        os.read(read, 5)
        waits.wait()
        signal.pthread_kill(main, signal.SIGUSR1)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        queued.carried_out([sys.executable, "-c", script], write)
    signal.signal(signal.SIGUSR1, before)
    thread.join()
    os.close(read)
    os.close(write)
    assert saved.read_text() == str(int(signal.SIGTERM))


def test_every_table_has_a_place():
    assert sorted(WORTH) == sorted(TABLES)


def test_one_run_is_chosen_by_its_directory(tmp_path, capsys):
    argv = ["mnist", "--out", str(tmp_path), "--list"]
    assert reproduce.main(argv) == 0
    names = [Path(line.split()[-1]).name for line in capsys.readouterr().out.splitlines()]
    assert len(names) == 2
    assert reproduce.main([*argv, "--run", names[1]]) == 0
    assert capsys.readouterr().out.split()[-1].endswith(names[1])
    assert reproduce.main([*argv, "--run", "none"]) == 2
    assert f"--run must be one of {names[0]}, {names[1]}, got 'none'" in capsys.readouterr().err


def test_a_queue_runs_its_rows_in_processes_of_their_own(tmp_path, capfd):
    argv = ["chen", "--scale", "smoke", "--only", "mlp", "--out", str(tmp_path), "--queue"]
    assert reproduce.main(argv) == 0
    assert "0 of its runs are not complete" in capfd.readouterr().out
    (result,) = tmp_path.glob("*/result.json")
    assert json.loads(result.read_text())["status"] == "complete"


def test_the_command_of_a_run_chooses_that_run_alone(tmp_path):
    values = {"tables": ["all"], "scale": "full", "seeds": [0, 1], "out": tmp_path}
    values |= {"only": None, "run": None}
    flags = ["--scale", "full", "--out", str(tmp_path)]
    for run in reproduce.chosen(values)[::20]:
        words = queued.command(run, flags)
        (found,) = reproduce.chosen(parse_flags(reproduce.build_parser(), words[3:]))
        assert (found.out, found.seed, found.complete) == (run.out, run.seed, False)
