"""What a run says to type next works in the shell that it was started from."""

from __future__ import annotations

import os
import sys

import pytest

from jaxode.cli.program_name import program_name


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """An environment below the current directory, with the command and not on the path."""
    programs = tmp_path / "my environment" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "jaxode"):
        (programs / name).touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.chdir(tmp_path)
    return programs


def test_it_is_the_name_where_the_shell_finds_it(environment, monkeypatch):
    monkeypatch.setenv("PATH", str(environment))
    assert program_name() == "jaxode"


def test_it_is_the_path_where_another_or_none_is_found(environment, monkeypatch, tmp_path):
    assert program_name() == "'my environment/bin/jaxode'"
    other = tmp_path / "other"
    other.mkdir()
    (other / "jaxode").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(other))
    assert program_name() == "'my environment/bin/jaxode'"
    monkeypatch.chdir(other)
    assert program_name() == f"'{environment / 'jaxode'}'"


def test_it_is_a_module_where_it_is_not_installed(environment):
    (environment / "jaxode").unlink()
    assert program_name() == "'my environment/bin/python' -m jaxode"
