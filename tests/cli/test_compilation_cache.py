"""The second process loads what the first compiled; whatever forbids that, nothing fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from jaxode.cli.compilation_cache import unusable

PROGRAM = """
import json, jax, jax.numpy as jnp
from jaxode.cli.compilation_cache import enable
events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
enable()
jax.jit(lambda x: [jnp.sort(x * k, k % 2) for k in range(9)])(jnp.ones((9, 9)))
hits = events.count("/jax/compilation_cache/cache_hits")
print(json.dumps({"hits": hits, "dir": jax.config.jax_compilation_cache_dir}))
"""


def start(home, **variables):
    """What PROGRAM says and the files below the home directory after it."""
    plain = {
        key: value for key, value in os.environ.items() if not key.startswith(("JAX_", "XDG_"))
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env=plain | {"HOME": str(home)} | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout), sorted(
        str(path.relative_to(home)) for path in home.rglob("*-cache")
    )


def test_the_second_process_compiles_nothing_anew(tmp_path):
    first, files = start(tmp_path)
    second, same = start(tmp_path)
    assert first["hits"] == 0
    assert second["hits"] == len(files) > 0
    assert same == files
    assert all(file.startswith(".cache/jaxode/xla/") for file in files)


@pytest.mark.parametrize("case", ["xdg", "relative", "own", "off", "file", "own file", "slow"])
def test_what_users_choose_or_lack(case, tmp_path):
    (tmp_path / "file").touch()
    place = str(tmp_path / "place")
    variables, expected = {
        "xdg": ({"XDG_CACHE_HOME": place}, place + "/jaxode/xla"),
        "relative": ({"XDG_CACHE_HOME": "place"}, str(tmp_path / ".cache/jaxode/xla")),
        "own file": ({"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "file")}, None),
        "own": ({"JAX_COMPILATION_CACHE_DIR": place}, place),
        "off": ({"JAX_ENABLE_COMPILATION_CACHE": "false"}, None),
        "file": ({"XDG_CACHE_HOME": str(tmp_path / "file")}, None),
        "slow": (
            {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1000"},
            str(tmp_path / ".cache/jaxode/xla"),
        ),
    }[case]
    report, files = start(tmp_path, **variables)
    assert report["dir"] == expected
    assert bool(files) == (case in ("xdg", "relative", "own"))


def test_damaged_entries_are_compiled_anew_without_a_warning(tmp_path):
    _, files = start(tmp_path)
    for number, name in enumerate(files):
        content = (tmp_path / name).read_bytes()
        broken = content[:40] if number % 2 else content[:-8] + bytes(8)
        (tmp_path / name).write_bytes(broken)
    again, _ = start(tmp_path)
    assert again["hits"] == 0


def test_a_directory_of_the_users_that_is_a_file_is_noted(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").touch()
    assert unusable(tmp_path / "place") is None
    assert (
        unusable(tmp_path / "file" / "below") == f"{tmp_path / 'file' / 'below'}: Not a directory"
    )


def test_every_run_enables_the_cache(cache_requests, tmp_path, capsys):
    from experiments import mnist

    before = len(cache_requests)
    mnist.main(
        ["--data", "full", "--data-dir", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    )
    capsys.readouterr()
    assert len(cache_requests) == before + 1
