"""Streams that are closed, full, broken, or of an encoding without the characters: no run is lost,
no message fails.
"""

import json
import os
import subprocess
import sys

import pytest
from commands import SMALL, finished, surroundings

from jaxode.checks import ConfigError
from jaxode.cli import environment as checks

ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": None}


def closed(*numbers):
    return "\n".join(f"os.close({number})" for number in numbers)


def test_without_any_stream_a_run_is_trained_also_into_a_name_beyond_ascii(tmp_path):
    out = tmp_path / "läuft−"
    code, *_ = finished("experiments.mnist", *SMALL, "--out", out, before=closed(0, 1, 2))
    assert code == 0
    assert json.loads((out / "result.json").read_text(encoding="utf-8"))["status"] == "complete"
    # Nothing that was said has gone into a file that took the number of a stream.
    assert {path.name for path in out.iterdir()} >= {
        "config.json",
        "metrics.jsonl",
        "images.npz",
        "checkpoints",
    }
    code, printed, err = finished("experiments.mnist", "--resume", out, before=closed(2))
    assert (code, err) == (0, "")
    assert "is complete" in printed


def test_a_full_disk_behind_stdout_is_one_line_and_costs_no_results(tmp_path):
    with open("/dev/full", "w") as full:
        code, _, err = finished(
            "experiments.mnist", *SMALL, "--quiet", "--out", tmp_path / "run", stdout=full
        )
    assert code == 0
    assert (
        err == "python -m experiments.mnist: stdout could not be written: No space left on device\n"
    )
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "complete"


def test_help_that_nobody_could_read_has_failed():
    with open("/dev/full", "w") as full:
        code, _, err = finished("experiments.mnist", "--help", stdout=full)
    assert code == 1
    assert "No space left" in err


PRINTS = """
import sys
from jaxode.cli import streams
streams.repair()
for number in range(50_000):
    print(number)
print("said", file=sys.stderr)
"""


@pytest.mark.parametrize("reads", [True, False])
def test_a_reader_may_leave_and_a_pipe_may_be_slow(reads):
    read, write = os.pipe()
    os.set_blocking(write, False)
    process = subprocess.Popen(
        [sys.executable, "-c", PRINTS],
        env=surroundings(),
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write)
    with os.fdopen(read) as pipe:
        first = pipe.readline()
        rest = pipe.read().splitlines() if reads else []
    _, err = process.communicate(timeout=60)
    assert (first, process.returncode, err) == ("0\n", 0, "said\n")
    assert rest[-1:] == (["49999"] if reads else [])


@pytest.mark.parametrize("variables", [ASCII, {"PYTHONIOENCODING": "ascii"}])
def test_help_prints_in_any_encoding(variables):
    code, out, err = finished("experiments.crossing", "--help", env=surroundings(**variables))
    assert (code, err) == (0, "")
    assert "map \\u22121 to 1" in out


@pytest.mark.parametrize("flag", ["--out", "--resume", "--data-dir"])
def test_a_path_that_the_locale_lacks_is_refused_before_anything_is_made(flag, tmp_path):
    code, _, err = finished(
        "experiments.mnist", *SMALL, flag, tmp_path / "é", env=surroundings(**ASCII)
    )
    (line,) = err.splitlines()
    assert code == 2
    assert f"{flag} is not in ASCII, and the locale's encoding is ascii: set PYTHONUTF8=1" in line
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_not_utf8_on_the_disk_is_refused(tmp_path):
    checks.require_unicode("--out", tmp_path / "é")
    with pytest.raises(ConfigError, match="must be a path in UTF-8"):
        checks.require_unicode("--out", tmp_path / os.fsdecode(b"\xe9"))
