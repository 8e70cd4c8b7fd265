"""A signal at any moment is one line and exit code 128 + signal, and leaves no half file."""

import json
import os
import signal
import subprocess
import sys

import pytest
from commands import SIGNALS, SMALL, instead_of_jax, start, surroundings, wait_for

from experiments import mnist
from jaxode.cli.signals import Interrupted, Signals
from scripts import report

WAITS = "import time\ntime.sleep(60)"


@pytest.mark.parametrize("signum", SIGNALS)
@pytest.mark.parametrize("module", ["experiments.mnist", "experiments.primer", "scripts.report"])
def test_during_the_imports(module, signum, tmp_path):
    env = surroundings(first=[instead_of_jax(tmp_path, WAITS)])
    process = start(module, "--out", tmp_path / "out", env=env)
    wait_for(process, tmp_path / "begun")
    process.send_signal(signum)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signum
    assert (out, err) == ("", f"python -m {module}: stopped by {signal.Signals(signum).name}\n")
    assert not (tmp_path / "out").exists()


def test_nohup_is_heeded(tmp_path):
    env = surroundings(first=[instead_of_jax(tmp_path, WAITS)])
    process = start(
        "experiments.mnist", env=env, before="signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    )
    wait_for(process, tmp_path / "begun")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert "stopped by SIGTERM" in process.communicate(timeout=30)[1]


@pytest.mark.parametrize("signum", SIGNALS)
def test_while_images_are_loaded(signum, tmp_path, capsys, monkeypatch):
    before = signal.getsignal(signum)
    monkeypatch.setattr("jaxode.data.load", lambda *_, **__: os.kill(os.getpid(), signum))
    assert mnist.main([*SMALL, "--out", str(tmp_path / "run")]) == 128 + signum
    name = signal.Signals(signum).name
    assert (
        capsys.readouterr().err
        == f"python -m experiments.mnist: stopped by {name}: nothing was trained\n"
    )
    assert not (tmp_path / "run").exists()
    assert signal.getsignal(signum) == before


def test_a_library_that_makes_another_error_of_it(tmp_path, capsys, monkeypatch):
    def load(*_, **__):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            raise ImportError("half imported") from None

    monkeypatch.setattr("jaxode.data.load", load)
    assert mnist.main([*SMALL, "--out", str(tmp_path / "run")]) == 143
    assert capsys.readouterr().err == "python -m experiments.mnist: stopped by SIGTERM\n"


def test_a_script_too(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(report, "collected", lambda runs: os.kill(os.getpid(), signal.SIGHUP))
    assert report.main(["--out", str(tmp_path)]) == 129
    assert capsys.readouterr().err == "python -m scripts.report: stopped by SIGHUP\n"


def test_a_closed_terminal_sends_sighup_twice():
    with Signals("test") as signals:
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)
        assert signals.signum == signal.SIGHUP


BLOCKED = """
import ctypes, os, pathlib, signal, sys, threading
from jaxode.cli.signals import Signals
with Signals("test") as signals, signals.blocked():
    library, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(256)
    library.pthread_mutex_init(mutex, None)
    library.pthread_mutex_lock(mutex)
    threading.Timer(0.3, pathlib.Path(sys.argv[1]).touch).start()
    library.pthread_mutex_lock(mutex)  # never returns, as a rendezvous in C++ does not
"""


def test_in_a_call_that_does_not_return_to_python(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", BLOCKED, str(tmp_path / "begun")],
        env=surroundings(),
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(process, tmp_path / "begun")
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20)[1] == "test: stopped by SIGTERM\n"
    assert process.returncode == 143


COMPILES = """
import os, signal, sys, threading
from experiments import mnist
from jaxode.train.compiled_steps import CompiledSteps
def compile(self, state, wait):
    wait(lambda: (os.kill(os.getpid(), signal.SIGINT), threading.Event().wait(60)))
CompiledSteps.compile = compile
sys.exit(mnist.main(sys.argv[1:]))
"""


def test_while_xla_compiles_the_process_ends_without_it(tmp_path):
    out = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-c", COMPILES, *SMALL, "--out", str(out)],
        env=surroundings(), capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == 130
    lines = done.stderr.splitlines()[1:]
    assert lines == [
        "compiling ...",
        "SIGINT: stopping; nothing has been computed since the last checkpoint",
        f"go on with: python -m experiments.mnist --resume {out}",
    ]
    assert json.loads((out / "result.json").read_text())["status"] == "stopped"
