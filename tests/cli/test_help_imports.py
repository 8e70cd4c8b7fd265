"""Help comes at once: no command imports a slow library before it is asked to work."""

from __future__ import annotations

import subprocess
import sys

from commands import surroundings

CODE = """
import contextlib, io, sys
from jaxode.cli.main import COMMANDS, _run

lines = ("", "train", "train mnist", "train tfds:mnist", *COMMANDS)
for words in map(str.split, lines):
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
        _run([*words, "--help"])
    assert "usage: jaxode" in shown.getvalue(), words
print(*sorted(set(sys.argv[1:]) & set(sys.modules)))
"""

SLOW = (
    "PIL", "array_record", "diffrax", "equinox", "flax", "jax", "matplotlib", "optax", "orbax",
    "pooch", "requests", "safetensors", "tensorflow_datasets", "torch", "tqdm",
)  # fmt: skip


def test_no_help_imports_a_slow_library():
    command = [sys.executable, "-c", CODE, *SLOW]
    done = subprocess.run(command, env=surroundings(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr
