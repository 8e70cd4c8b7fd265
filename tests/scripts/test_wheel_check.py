"""The check of the wheel fails where it should; the check itself takes a minute and runs in CI."""

from __future__ import annotations

import zipfile

import pytest

from scripts import wheel_check
from scripts.wheel_check import CheckFailed


def wheel_of(*names):
    """A stand-in for pip, which writes a wheel of these files."""

    def run(*words, cwd, env=None):
        with zipfile.ZipFile(cwd.parent / "jaxode-0-py3-none-any.whl", "w") as archive:
            for name in names:
                archive.writestr(name, "")
        return ""

    return run


def test_a_wheel_holds_jaxode_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(wheel_check, "copy_sources", lambda folder: None)
    monkeypatch.setattr(wheel_check, "run", wheel_of("jaxode/nn/x.py", "jaxode-0.dist-info/WHEEL"))
    assert wheel_check.build_wheel(tmp_path).name == "jaxode-0-py3-none-any.whl"
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setattr(wheel_check, "run", wheel_of("jaxode/x.py", "scripts/x.py"))
    with pytest.raises(CheckFailed, match="holds jaxode, scripts"):
        wheel_check.build_wheel(other)


def test_what_is_declared_is_linked_and_nothing_else(tmp_path):
    """Also what a dependency needs in turn, and what an extra of it needs."""
    wheel = tmp_path / "own-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        lines = ["Name: own", "Version: 1", "Requires-Dist: flax>=0.1"]
        lines += ["Requires-Dist: sphinx; extra == 'docs'", "Requires-Dist: flatbuffers"]
        archive.writestr("own-1.dist-info/METADATA", "\n".join(lines))
    (tmp_path / "packages").mkdir()
    wheel_check.link_dependencies(wheel, tmp_path / "packages")
    names = {path.name for path in (tmp_path / "packages").iterdir()}
    assert {"flax", "jax", "jaxlib", "numpy", "optax", "flatbuffers"} <= names
    assert not names & {"torch", "pytest", "diffrax", "sphinx"}
    assert all(path.exists() for path in (tmp_path / "packages").iterdir())


PREDICTED = "a  7  0.9\nb  1  0.8\nc  0  0.7\n"


@pytest.mark.parametrize(
    ("of_weights", "of_program", "message"),
    [
        (PREDICTED, "[7 1 0]\n", None),
        (PREDICTED, "[7 1 1]\n", "must predict 7 1 0, got .7 1 1."),
        ("a  7  0.9\n", "[7 1 0]\n", "predictions must be three and equal"),
    ],
)
def test_what_is_installed_must_agree(tmp_path, monkeypatch, of_weights, of_program, message):
    def run(*words, cwd, env=None):
        assert "PYTHONPATH" not in env
        text = " ".join(map(str, words))
        if "predict" in text:
            return of_weights if "safetensors" in text else PREDICTED
        return of_program if "program.call" in text else ""

    monkeypatch.setenv("PYTHONPATH", "here")
    monkeypatch.setattr(wheel_check, "run", run)
    if message is None:
        wheel_check.use(tmp_path, tmp_path, every=True)
    else:
        with pytest.raises(CheckFailed, match=message):
            wheel_check.use(tmp_path, tmp_path, every=True)


def test_a_failed_command_is_shown(tmp_path):
    with pytest.raises(CheckFailed, match="exit code 3"):
        wheel_check.run("sh", "-c", "exit 3", cwd=tmp_path)
    assert wheel_check.run("sh", "-c", "echo yes", cwd=tmp_path) == "yes\n"
