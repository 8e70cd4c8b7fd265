"""Shared by all tests: where real data is, float64 on demand, silent shape mistakes made loud."""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import os
import shutil
import tempfile
from pathlib import Path

from jaxlib.version import __version_info__

os.environ.setdefault("MPLBACKEND", "Agg")
# Torch's threads wait for each other by spinning: two test processes on two cores would mostly
# wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Most of the time of a test goes into compiling what runs once, and half of that into XLA's newer
# emitters of fusions. Reports of parity and benchmarks are made without these flags, as users'
# programs are.
FLAGS = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
if __version_info__ < (0, 11):  # a flag that XLA no longer knows would end the process
    FLAGS += " --xla_cpu_use_fusion_emitters=false"
os.environ.setdefault("XLA_FLAGS", FLAGS)

# Many programs are compiled by other tests too, in this process, in another worker of pytest-xdist,
# or in a program that a test starts: all share one cache, which the first process makes. A reader
# that meets a half-written entry compiles for itself (see filterwarnings in pyproject.toml).
if "PYTEST_XDIST_WORKER" not in os.environ:
    CACHE = tempfile.mkdtemp(prefix="jaxode-compiled-")
    atexit.register(shutil.rmtree, CACHE, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
# Tracing makes millions of small objects that live on: Python's collector and the places that JAX
# notes of each instruction take a tenth of the tests' time.
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")
gc.set_threshold(200_000, 50, 1000)

import jax  # noqa: E402
import pytest  # noqa: E402

from jaxode.cli import compilation_cache  # noqa: E402

SLOW = frozenset(
    (Path(__file__).parent / "slow_tests.txt").read_text(encoding="utf-8").splitlines()
)
"""Tests of seconds beside quicker ones of the same file; `pytest -m slow` runs them."""

UNKNOWN = pytest.StashKey[set[str]]()
"""Entries of the list that name no test, of the files that are collected whole."""


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what is marked
def pytest_collection_modifyitems(config, items):
    found = {item.nodeid.removeprefix("tests/"): item for item in items}
    for name in SLOW & found.keys():
        found[name].add_marker(pytest.mark.slow)
    if not any("::" in argument for argument in config.args):  # then files are collected whole
        files = {name.partition("::")[0] for name in found}
        config.stash[UNKNOWN] = {name for name in SLOW if name.partition("::")[0] in files}
        config.stash[UNKNOWN] -= found.keys()


@pytest.fixture(scope="session", autouse=True)
def cache_requests():
    """An entry for each time that a command enables the cache of compiled programs.

    The user's own cache directory is left alone.
    """
    requests = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compilation_cache, "enable", lambda: requests.append(True))
        yield requests


@pytest.fixture(scope="session", autouse=True)
def kept_programs():
    """What scripts free between their measurements stays, for later tests run the same programs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "clear_caches", lambda: None)
        yield


@pytest.fixture(scope="module")
def no_pictures():
    """Runs write a word in place of their pictures, which take longer to draw than a small model
    to train.
    """
    from stubs import without_pictures  # after pytest's hook that checks shapes is in place

    with pytest.MonkeyPatch.context() as patch:
        without_pictures(patch)
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A function (model, seed = 0) → directory of a small trained run, to be read only.

    Each is trained once, or by two workers of pytest-xdist if they begin at the same time.
    """
    from trained_runs import make_run

    base = tmp_path_factory.getbasetemp()  # a worker's own; the folder around it is of all
    every = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "trained-runs"
    every.mkdir(exist_ok=True)

    @functools.cache
    def directory(model, seed=0):
        path = every / f"{model}-{seed}"
        if not path.exists():
            own = make_run(tmp_path_factory.mktemp("trained") / path.name, model, seed)
            with contextlib.suppress(OSError):  # another worker was quicker
                own.rename(path)
        return path

    return directory


@pytest.fixture
def x64():
    """Float64 for one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the original data files; the test is skipped, saying so, where there is none."""
    root = Path(__file__).resolve().parents[1]
    for candidate in (os.environ.get("JAXODE_TEST_DATA"), root.parent / "shared" / "data"):
        if candidate and Path(candidate).is_dir():
            return Path(candidate)
    pytest.skip(
        "no original data files: set JAXODE_TEST_DATA to a folder with mnist/*.gz and the like"
    )
