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
    if "pictures/" in BLOCKS[number] and "runs/first" not in BLOCKS[number]:
        for name, value in (("cats", 60), ("dogs", 180)):
            Path("pictures", name).mkdir(parents=True)
            for count in range(4):
                Image.new("RGB", (96, 96), (value, 90, 10 * count)).save(
                    f"pictures/{name}/{count}.png"
                )
    for name in re.findall(r'"(\w+\.png)"', BLOCKS[number]):
        Image.new("L", (28, 28), 255).save(name)
    if "runs/first" in BLOCKS[number]:
        Path("runs").mkdir()
        make_run(Path("runs/first"), "mlp")
    exec(compile(BLOCKS[number], f"README.md, block {number + 1}", "exec"), {})
    assert capsys.readouterr().out
