"""Limits of the system and variables of the environment are answered in one line, before a library
ends the process.
"""

import signal
import threading

import pytest
from commands import SMALL, finished, instead_of_jax, surroundings

from experiments import mnist
from jaxode.checks import ConfigError
from jaxode.cli import environment as checks
from jaxode.cli import resource_limits


def limited(name, value):
    return f"resource.setrlimit(resource.{name}, ({value}, {value}))"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("RLIMIT_AS", 500_000 << 10, "address space (ulimit -v) must be at least"),
        ("RLIMIT_AS", 2_000_000 << 10, "got 2000000"),
        ("RLIMIT_NOFILE", 10, "open files (ulimit -n) must be at least 64, got 10"),
    ],
)
@pytest.mark.parametrize("module", ["experiments.mnist", "scripts.report"])
def test_too_low_a_limit_is_refused(module, name, value, message, tmp_path):
    code, out, err = finished(module, "--out", tmp_path / "out", before=limited(name, value))
    (line,) = err.splitlines()
    assert (code, out) == (2, "")
    assert line.startswith(f"python -m {module}: error: ")
    assert message in line
    assert not (tmp_path / "out").exists()


def test_the_end_of_cpu_time_is_announced(tmp_path):
    env = surroundings(first=[instead_of_jax(tmp_path, "while True:\n    pass")])
    code, _, err = finished("experiments.mnist", env=env, before=limited("RLIMIT_CPU", 2))
    assert code == 128 + signal.SIGXCPU
    assert (
        err
        == "python -m experiments.mnist: stopped by SIGXCPU: the limit on CPU time (ulimit -t) is"
        " reached\n"
    )


def test_too_few_threads_are_refused(monkeypatch):
    begin, begun = threading.Thread.start, []

    def start(thread):
        if len(begun) == 5:
            raise RuntimeError("can't start new thread")
        begun.append(begin(thread))

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(
        ConfigError, match=r"\(ulimit -u, or the container's\) must leave room for \d+, got 5$"
    ):
        resource_limits.check()


def test_an_error_behind_a_limit_names_it(monkeypatch):
    monkeypatch.setattr(
        resource_limits, "soft", lambda name: 100 if name == "RLIMIT_FSIZE" else None
    )
    assert (
        resource_limits.explained("x: File too large")
        == "x: File too large (the limit on the size of files is ulimit -f)"
    )
    assert resource_limits.explained("x: Too many open files") == "x: Too many open files"


@pytest.mark.parametrize(
    ("name", "value"), [("JAX_ENABLE_X64", "maybe"), ("JAX_DEFAULT_MATMUL_PRECISION", "most")]
)
def test_a_variable_that_jax_refuses(name, value):
    code, _, err = finished("experiments.mnist", *SMALL, env=surroundings(**{name: value}))
    (line,) = err.splitlines()
    assert code == 2
    assert "JAX cannot be imported: " in line
    assert value in line


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--no_such_flag=1", "Unknown flag in XLA_FLAGS: --no_such_flag=1"),
        ("--xla_force_host_platform_device_count=abc", "Couldn't interpret value abc"),
        ("nothing", 'Could not open file "nothing"'),
    ],
)
def test_flags_that_would_end_the_process(flags, message, monkeypatch, capsys):
    monkeypatch.setenv("XLA_FLAGS", flags)
    assert mnist.main(SMALL) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert checks.flags_refused("--xla_cpu_enable_fast_math=false") is None


@pytest.mark.parametrize(
    "error", [RuntimeError("Unable to initialize\nbackend 'foo'"), AssertionError()]
)
def test_a_platform_that_is_not_there(error, monkeypatch, capsys, tmp_path):
    def devices():
        raise error

    monkeypatch.setattr("jax.devices", devices)
    monkeypatch.setenv("JAX_PLATFORMS", "foo")
    assert mnist.main([*SMALL, "--out", str(tmp_path / "run")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "JAX_PLATFORMS must name platforms that are there, got 'foo': " in line
    assert not (tmp_path / "run").exists()
