"""The note that the quick kernels are missing: once a user, and only where a run would use them."""

from __future__ import annotations

import jax
import pytest

from jaxode.cli import kernels_note
from jaxode.config import ModelConfig, RunConfig

pytestmark = pytest.mark.skipif(jax.default_backend() != "cpu", reason="the kernels are for a CPU")


@pytest.fixture(autouse=True)
def without_kernels(monkeypatch, tmp_path):
    monkeypatch.delenv("JAXODE_KERNELS", raising=False)
    monkeypatch.setattr(kernels_note.native, "load", lambda: False)
    reason = "no compiler was found; install one"
    monkeypatch.setattr(kernels_note.native, "unavailable_reason", lambda: reason)
    monkeypatch.setattr(
        kernels_note, "default_directory", lambda: tmp_path / "cache" / "compilations"
    )


def printed(capsys, config):
    kernels_note.note_once(config)
    return capsys.readouterr().err


def test_it_is_printed_once_with_a_remedy(capsys):
    assert (
        printed(capsys, RunConfig())
        == "note: training takes two to three times as long as it could: no compiler was found;"
        " install one\n"
    )
    assert printed(capsys, RunConfig()) == ""


@pytest.mark.parametrize(
    "config",
    [
        RunConfig(precision="float64"),
        RunConfig(model=ModelConfig("mlp")),
        RunConfig(kernels="matmul"),
    ],
    ids=["float64", "mlp", "other kernels asked for"],
)
def test_nothing_is_printed_where_a_run_would_not_use_them(capsys, config):
    assert printed(capsys, config) == ""


def test_nothing_is_printed_where_the_variable_chooses(capsys, monkeypatch):
    monkeypatch.setenv("JAXODE_KERNELS", "matmul")
    assert printed(capsys, RunConfig()) == ""


def test_nothing_is_printed_where_they_are(capsys, monkeypatch):
    monkeypatch.setattr(kernels_note.native, "load", lambda: True)
    assert printed(capsys, RunConfig()) == ""


@pytest.mark.parametrize("folder", ["nowhere", "unwritable"])
def test_it_is_printed_again_where_nothing_can_be_remembered(capsys, monkeypatch, tmp_path, folder):
    (tmp_path / "file").write_text("", encoding="utf-8")
    place = None if folder == "nowhere" else tmp_path / "file" / "compilations"
    monkeypatch.setattr(kernels_note, "default_directory", lambda: place)
    assert printed(capsys, RunConfig())
    assert printed(capsys, RunConfig())
