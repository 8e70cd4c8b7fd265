"""Real processes, really killed: what is left is whole, and a resume ends with the same bits."""

import json
import shlex
import signal
import subprocess
import sys
import time

from experiments import mnist
from jaxode.runs.checkpoint_meta import unsealed
from jaxode.runs.summary import TIMINGS

BASE = shlex.split("--data sample --quiet --schedule step")
MLP = shlex.split("--model mlp --limit-train 2000 --limit-test 100 --batch-size 20 --epochs 5000")
ODENET = shlex.split(
    "--model odenet --width 2 --limit-train 120 --limit-test 40 --batch-size 20 --epochs 3"
    " --rtol 1e-1 --atol 1e-1"
)


def start(*argv):
    """Starts an experiment in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.mnist", *map(str, argv)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process, condition):
    """Wait until the condition holds; the process must not end before."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


def saved(out):
    folder = out / "checkpoints"
    return sorted(path.name for path in folder.glob("epoch-*")) if folder.is_dir() else []


def ending(out):
    """Metrics without timings, and the digest of the last state."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    meta = unsealed((out / "checkpoints" / saved(out)[-1] / "meta.json").read_text())
    return [{k: v for k, v in line.items() if k not in TIMINGS} for line in lines], meta[
        "state_sha256"
    ]


def test_a_killed_run_ends_as_if_nothing_had_happened(no_pictures, tmp_path):
    """The whole run and the resume are in this process, where imports cost nothing."""
    assert mnist.main([*BASE, *ODENET, "--out", str(tmp_path / "whole")]) == 0
    out = tmp_path / "killed"
    process = start(*BASE, *ODENET, "--out", out)
    wait_for(process, lambda: saved(out))
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert mnist.main(["--resume", str(out), "--quiet"]) == 0
    assert ending(out) == ending(tmp_path / "whole")
    assert json.loads((out / "result.json").read_text())["status"] == "complete"
    assert {path.name.partition("-")[0] for path in (out / "checkpoints").iterdir()} == {
        "epoch",
        "history.jsonl",
    }


def test_a_first_signal_saves_and_prints_how_to_go_on(tmp_path):
    """Of SIGTERM, `tests/multidevice/test_processes.py` shows it."""
    signum = signal.SIGINT
    process = start(*BASE, *MLP, "--out", tmp_path / "run")
    wait_for(process, lambda: saved(tmp_path / "run"))
    process.send_signal(signum)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    first, last = err.splitlines()
    assert signal.Signals(signum).name in first
    assert last == f"go on with: python -m experiments.mnist --resume {tmp_path / 'run'}"
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "stopped"
    assert result["epochs"] >= 1
