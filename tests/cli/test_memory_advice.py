"""The advice after running out of memory follows from the settings."""

import pytest

from experiments import mnist
from jaxode.cli.memory_advice import smaller


@pytest.mark.parametrize(
    ("settings", "largest", "remedies", "no_remedies"),
    [
        (
            {"width": 2048, "batch_size": 1},
            "parameters",
            ["--width", "--blocks"],
            ["--batch-size", "--gradient"],
        ),
        (
            {"batch_size": 2**20},
            "feature maps",
            ["--batch-size", "--tape-steps", "--gradient backsolve"],
            [],
        ),
        ({"tape_steps": 256, "batch_size": 1024}, "feature maps", ["--tape-steps"], []),
        (
            {"batch_size": 2**20, "gradient": "backsolve"},
            "feature maps",
            ["--accumulate"],
            ["--gradient", "--tape"],
        ),
        (
            {"batch_size": 2**20, "model": "resnet"},
            "feature maps",
            ["--batch-size"],
            ["--gradient", "--tape"],
        ),
        ({"batch_size": 1, "gradient": "backsolve"}, "images", ["--limit-train"], ["--batch-size"]),
    ],
)
def test_what_is_largest_is_named(settings, largest, remedies, no_remedies):
    advice = smaller(mnist.PRESET.replaced(**settings))
    assert advice.startswith(f"the {largest}")
    assert all(flag in advice for flag in remedies)
    assert not any(flag in advice for flag in no_remedies)


def test_a_run_says_it(tmp_path, capsys, monkeypatch):
    def load(*_, **__):
        raise MemoryError

    monkeypatch.setattr("jaxode.data.load", load)
    assert mnist.main(["--batch-size", "100000", "--out", str(tmp_path / "run")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "error: out of memory: the feature maps of a training step take about" in line
