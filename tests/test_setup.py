"""Which native modules an installation builds, and which it takes from the checkout."""

import os
import runpy
from pathlib import Path

import pytest

pytest.importorskip("setuptools.modified")

import setuptools
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parents[1]


@pytest.fixture
def command(monkeypatch, tmp_path):
    """The build command of setup.py in a checkout whose kernels have just been built."""
    given = {}
    with monkeypatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(setuptools, "setup", given.update)
        runpy.run_path(str(ROOT / "setup.py"))
    distribution = setuptools.Distribution({"ext_modules": given["ext_modules"]})
    made = given["cmdclass"]["build_ext"](distribution)
    made.build_lib = str(tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    made.ensure_finalized()
    for extension in made.extensions:
        for name in (*extension.sources, *extension.depends):
            written(tmp_path / name, 1)
        written(tmp_path / in_checkout(made, extension), 2)
    return made


def written(path, time):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(time))
    os.utime(path, (time, time))


def in_checkout(command, extension):
    return command.get_ext_filename(command.get_ext_fullname(extension.name))


@pytest.mark.parametrize(
    ("editable", "newer", "taken"),
    [
        (True, None, True),
        (False, None, False),
        (True, "jaxode/nn/native/cpp/kernels.cc", False),
        (True, "setup.py", False),
    ],
)
def test_an_editable_installation_takes_what_is_newer_than_its_sources(
    editable, newer, taken, command, monkeypatch, tmp_path
):
    built = []
    monkeypatch.setattr(build_ext, "build_extension", lambda self, ext: built.append(ext.name))
    command.editable_mode = editable
    if newer is not None:
        written(tmp_path / newer, 3)
    names = [extension.name for extension in command.extensions]
    for extension in command.extensions:
        command.build_extension(extension)
    assert built == ([] if taken else names)
    for extension in command.extensions:
        there = tmp_path / "out" / in_checkout(command, extension)
        assert there.exists() == taken
