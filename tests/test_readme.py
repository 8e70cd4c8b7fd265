"""The README's Python runs as it stands."""

import re
from pathlib import Path

import pytest
from PIL import Image
from trained_runs import make_run

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_of_python_runs(number, tmp_path, monkeypatch, capsys):
    if "torch" in BLOCKS[number]:
        pytest.importorskip("torch", reason="the block compares with PyTorch")
    monkeypatch.chdir(tmp_path)
    if "runs/first" in BLOCKS[number]:
        Path("runs").mkdir()
        make_run(Path("runs/first"), "mlp")
        Image.new("RGB", (40, 30), "white").save("seven.png")
    exec(compile(BLOCKS[number], f"README.md, block {number + 1}", "exec"), {})
    assert capsys.readouterr().out
