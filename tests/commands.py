"""Commands in processes of their own, with a stand-in for JAX where they are to be met before it is
there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SMALL = (
    "--data sample --model mlp --limit-train 40 --limit-test 10 --batch-size 16 --epochs 1".split()  # noqa: SIM905
)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def surroundings(**changes):
    """This process's variables with the checkout first on the path, and changes; None takes a
    variable away.
    """
    path = os.pathsep.join([*(changes.pop("first", [])), str(ROOT)])
    merged = {**os.environ, "PYTHONPATH": path, **changes}
    return {name: value for name, value in merged.items() if value is not None}


LAUNCHER = """
import os, resource, signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
exec(sys.argv[1])
os.execv(sys.executable, [sys.executable, "-m", *sys.argv[2:]])
"""
"""Not a preexec_fn: JAX warns of every fork of a process that it is in."""


def start(module, *argv, env=None, before="", **options):
    """Starts `python -m module` in place of a process that first runs the lines `before`.

    Signals are not ignored, as they might be by whoever started the tests.
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    command = [sys.executable, "-c", LAUNCHER, before, module, *map(str, argv)]
    return subprocess.Popen(command, env=env or surroundings(), encoding="utf-8", **pipes)


def finished(*argv, **options):
    """Exit code, stdout and stderr of a command."""
    process = start(*argv, **options)
    out, err = process.communicate(timeout=100)
    return process.returncode, out, err


def instead_of_jax(folder, body):
    """A folder for the path in which `import jax` says so by a file `begun`, and does what the body
    says.
    """
    package = folder / "stand-in" / "jax"
    package.mkdir(parents=True)
    text = f"import pathlib\npathlib.Path({str(folder / 'begun')!r}).touch()\n{body}\n"
    (package / "__init__.py").write_text(text, encoding="utf-8")
    return str(package.parent)


def wait_for(process, path):
    """Wait until a file is there; the process must not end before."""
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
