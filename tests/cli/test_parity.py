"""`jaxode parity SCRIPT`: exit codes, files, and one line for a wrong script."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch", reason="jaxode parity compares with PyTorch")

from jaxode.cli import main as command
from jaxode.cli import process

SCRIPT = """
import numpy as np
import torch
from flax import nnx

def models():
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    r = nnx.Rngs(0)
    ours = nnx.Sequential(nnx.Linear(4, 3, rngs=r), {activation}, nnx.Linear(3, 2, rngs=r))
    return {result}
"""
THREE = "theirs, ours, np.ones((2, 4))"


@pytest.fixture(autouse=True)
def no_handlers(monkeypatch):
    """The tests' process keeps its own signal handlers and exit functions."""
    monkeypatch.setattr(process, "prepare", lambda: None)


def run(capsys, path, text, *flags):
    path.write_text(text)
    code = command.main(["parity", str(path), *map(str, flags)])
    return code, *capsys.readouterr()


def test_equal_and_different_modules_have_exit_codes(capsys, tmp_path):
    path, files = tmp_path / "compare.py", [tmp_path / "e.json", tmp_path / "e.png"]
    text = SCRIPT.format(activation="nnx.tanh", result=THREE)
    code, out, err = run(capsys, path, text, "--json", files[0], "--picture", files[1])
    assert (code, err) == (0, "")
    assert out.startswith("equal: float64")
    assert json.loads(files[0].read_text())["passed"] is True
    assert files[1].read_bytes().startswith(b"\x89PNG")
    result = "dict(torch_module=theirs, nnx_module=ours, inputs=np.ones((2, 4)), dtype='float32')"
    code, out, err = run(capsys, path, SCRIPT.format(activation="nnx.sigmoid", result=result))
    assert (code, err) == (1, "")
    assert out.startswith("NOT equal: float32")
    assert "first difference: 2 (layers.2)" in out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "must define a function models() that returns (torch_module, nnx_module, inputs"),
        ("def models(:", "line 1, raised SyntaxError"),
        ("\ndef models():\n    return 1 / 0", "line 3, raised ZeroDivisionError"),
        ("import no_such_module", "line 1, raised ModuleNotFoundError"),
        ("raise SystemExit(0)", "raised SystemExit"),
        ("def models(): return 1, 2", "got 2 values"),
        ("def models(): return 1, 2, 3", "torch_module must be a torch.nn.Module, got 'int'"),
        (
            "def models(): return dict(torch_module=1, nnx_module=2, inputs=3, trian=True)",
            "got 'trian': did you mean train?",
        ),
    ],
)
def test_a_wrong_script_is_one_line(capsys, tmp_path, text, message):
    code, out, err = run(capsys, tmp_path / "wrong.py", text)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("jaxode parity: error: ")
    assert message in err


def test_no_script_is_one_line(capsys, tmp_path):
    code = command.main(["parity", str(tmp_path / "none.py")])
    err = capsys.readouterr().err
    assert (code, err.count("\n")) == (2, 1)
    assert "SCRIPT must be a Python file" in err
