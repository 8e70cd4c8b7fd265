"""Text files are UTF-8 in every locale: whoever reads or writes one says so."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
METHODS = ("read_text", "write_text")


def is_text(call):
    """Whether a call opens a file as text."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in METHODS:
        return True
    if name != "open" or (
        isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in LIBRARIES
    ):
        return False
    words = [
        each.value
        for each in call.args
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    ]
    return not any("b" in word and len(word) <= 3 for word in words)


LIBRARIES = ("os", "Image", "tarfile", "gzip", "archive", "RunDirectory")
"""Whose `open` is for bytes, or for a directory."""


def nameless(source):
    """Lines that open text without an encoding."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    named = {"encoding"}
    return [
        call.lineno
        for call in calls
        if is_text(call) and not named & {word.arg for word in call.keywords}
    ]


@pytest.mark.parametrize("package", ["jaxode", "experiments", "scripts", "torch_ref"])
def test_text_files_name_their_encoding(package):
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in (ROOT / package).rglob("*.py")
        for line in nameless(path.read_text(encoding="utf-8"))
    }
    assert found == set()


def test_what_is_looked_for():
    source = (
        "a.read_text()\nopen(p, 'rb')\nopen(p)\np.open('w')\nopen(p,"
        " encoding='utf-8')\nos.open(p, 0)"
    )
    assert nameless(source) == [1, 3, 4]
