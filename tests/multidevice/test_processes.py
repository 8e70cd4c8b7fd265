"""Two real processes: one run, of which one writes, checkpoints for any number, and a soon end when
one dies.
"""

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jaxode.distributed.initialize import connect_processes
from jaxode.distributed.membership import Membership
from jaxode.distributed.timeout import Timeout
from jaxode.distributed.watchdog import Watchdog
from jaxode.runs.summary import TIMINGS

BASE = shlex.split(
    "--data sample --precision float64 --schedule constant --parallel pmap --devices 2"
    " --batch-size 20"
)
MLP = shlex.split("--model mlp --limit-train 390 --limit-test 30 --lr 0.01")
SECONDS = 60
"""Far more than the end of a process takes after the other's death."""


def free_port():
    with socket.socket() as found:
        found.bind(("", 0))
        return found.getsockname()[1]


def task(job, number, processes):
    """The variables that SLURM sets for a task; each has one of the devices that it finds."""
    facts = {
        "JOB_ID": job,
        "NTASKS": processes,
        "STEP_NUM_TASKS": processes,
        "PROCID": number,
        "LOCALID": 0,
    }
    facts |= {"STEP_NODELIST": "localhost", "STEP_NUM_NODES": 1}
    return {f"SLURM_{name}": str(value) for name, value in facts.items()}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Where the processes find their secret."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def start(cache):
    """Starts an experiment in one process or in two, or some processes of it."""
    running = []

    def begin(*argv, processes=1, slurm=False, numbers=None, port=None):
        several = ["--coordinator", f"localhost:{port or free_port()}", "--processes", processes]
        job = str(os.getpid() + len(running))  # of which the launcher's port is made
        numbers = range(processes) if numbers is None else numbers
        for number in numbers:
            which = [*several, "--process-id", number] if processes > 1 and not slurm else []
            process = subprocess.Popen(
                [sys.executable, "-m", "experiments.mnist", *map(str, [*argv, *which])],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={
                    **os.environ,
                    "XDG_CACHE_HOME": cache,
                    **(task(job, number, processes) if slurm else {}),
                },
            )
            running.append(process)
        return running[-len(numbers) :]

    yield begin
    for process in running:
        with contextlib.suppress(OSError):
            process.kill()
        process.communicate()


def ended(processes, code=0):
    """Standard error of each process, all of which have ended with this code."""
    found = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [code] * len(processes), found
    return [err for _, err in found]


def listening(process):
    """Addresses at which a process listens, in hexadecimal digits, with their ports."""
    links = []
    for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed in the meantime
            links.append(os.readlink(descriptor))
    rows = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return {row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in links}


def metrics(out):
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMINGS} for line in lines]


def assert_close(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert a[name] == pytest.approx(b[name], abs=1e-10), name


def wait_for(processes, condition):
    while not condition():
        assert all(process.poll() is None for process in processes), [
            p.communicate() for p in processes
        ]
        time.sleep(0.01)


def epochs_done(out):
    with contextlib.suppress(OSError, ValueError):
        return len((out / "metrics.jsonl").read_text().splitlines())
    return 0


def test_checkpoints_of_two_processes_resume_on_one_and_the_reverse(start, tmp_path):
    """Both runs are the same; each epoch is compared between one process and two."""
    two_one, one_two = tmp_path / "two-one", tmp_path / "one-two"
    errors = ended(start(*BASE, *MLP, "--epochs", 1, "--out", two_one, processes=2))
    assert "epoch 1/1" in errors[0]
    assert "epoch" not in errors[1]  # one process reports
    ended(start(*BASE, *MLP, "--epochs", 1, "--out", one_two))
    ended(start("--resume", two_one, "--epochs", 2))
    ended(start("--resume", one_two, "--epochs", 2, processes=2))
    assert_close(metrics(two_one), metrics(one_two))
    for out, processes in ((two_one, 1), (one_two, 2)):
        result = json.loads((out / "result.json").read_text())
        assert (result["processes"], result["devices"], result["status"]) == (
            processes,
            2 * processes,
            "complete",
        )


@pytest.mark.parametrize("victim", [0, 1])
def test_the_other_ends_soon_and_clearly_when_one_is_killed_and_the_run_goes_on(
    start, tmp_path, victim
):
    out = tmp_path / "out"
    processes = start(*BASE, *MLP, "--epochs", 5000, "--out", out, processes=2)
    wait_for(processes, lambda: epochs_done(out) >= 2)
    found = [listening(process) for process in processes]
    assert all(found)  # those of Gloo
    assert all(address.split(":")[0] == "0100007F" for each in found for address in each), found
    processes[victim].kill()
    _, err = processes[1 - victim].communicate(timeout=SECONDS)
    assert processes[1 - victim].returncode == 1
    line = f"error: process {victim} has died: go on with --resume"
    assert [text for text in err.splitlines() if text.startswith(line)], err
    assert "Traceback" not in err
    result = json.loads((out / "result.json").read_text())
    assert (result["status"], result["error"]) == ("failed", f"process {victim} has died")
    done = epochs_done(out)
    resumed = start("--resume", out, "--epochs", 5001) if victim == 1 else []
    for process in resumed:
        wait_for(resumed, lambda: epochs_done(out) > done + 1)
        process.send_signal(signal.SIGTERM)
    ended(resumed, 128 + signal.SIGTERM)


def test_a_signal_to_one_process_stops_both_in_order_under_slurm_too(start, tmp_path):
    out = tmp_path / "out"
    processes = start(
        *BASE, *MLP, "--epochs", 5000, "--devices", 1, "--out", out, processes=2, slurm=True
    )
    wait_for(processes, lambda: epochs_done(out) >= 1)
    processes[1].send_signal(signal.SIGTERM)
    errors = ended(processes, 128 + signal.SIGTERM)
    assert "go on with" in errors[0]
    result = json.loads((out / "result.json").read_text())
    assert (result["status"], result["processes"], result["devices"]) == ("stopped", 2, 2)


def test_processes_that_disagree_or_cannot_write_all_say_so(start, tmp_path):
    (tmp_path / "file").write_text("")
    error, other = ended(
        start(*BASE, *MLP, "--epochs", 1, "--out", tmp_path / "file" / "out", processes=2), 2
    )
    assert "cannot write into" in error
    assert "cannot write into" in other


@pytest.fixture
def partner(cache, monkeypatch):
    """Starts process 0 and plays process 1 until all are connected; returns the process and the
    connections.
    """
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))

    def begin(start, tmp_path, *argv):
        port = free_port()
        (process,) = start(
            *BASE, *MLP, *argv, "--out", tmp_path / "out", processes=2, numbers=[0], port=port
        )
        with ThreadPoolExecutor(1) as pool:
            member = Membership("localhost", port, 1, 2)
            return process, pool.submit(
                connect_processes, member, None, Timeout.after(SECONDS)
            ).result()

    return begin


def test_a_death_while_jax_starts_ends_the_others_with_the_line(start, partner, tmp_path):
    process, connections = partner(start, tmp_path)
    connections.close()  # as the system does for a process that is dead
    assert ended([process], 1) == ["error: process 1 has died\n"]
    assert not (tmp_path / "out").exists()


def test_a_partner_with_which_jax_does_not_start_in_time_ends_all_with_the_line(
    start, partner, tmp_path
):
    process, connections = partner(start, tmp_path, "--join-timeout", 5)
    losses = []
    watchdog = Watchdog(1, connections.channels, lambda *loss: losses.append(loss))
    (error,) = ended([process], 1)
    assert error == "error: JAX has not started in all processes within 5 s\n"
    assert watchdog.lost.wait(10)
    assert losses == [(0, "process 0 has ended: JAX has not started in all processes within 5 s")]
    connections.close()


def test_a_partner_that_never_comes_is_one_line_within_the_timeout(start, tmp_path):
    begin = time.monotonic()
    (error,) = ended(start("--join-timeout", 1, processes=2, numbers=[0]), 1)
    assert "process 1 did not connect to localhost:" in error
    assert error.endswith(
        " within 1 s; only this machine reaches 127.0.0.1, the address of localhost\n"
    )
    assert len(error.splitlines()) == 1
    assert time.monotonic() - begin < SECONDS
