"""The exported batches are those of the training step; `tests/parity/test_first_step.py` trains on
it.
"""

from __future__ import annotations

import shlex

import numpy as np
import pytest
from stubs import builder, image_set, run_config

from jaxode.checks import ConfigError
from jaxode.config import OptimConfig, RunConfig, SolveConfig

torch = pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from flax import nnx  # noqa: E402

from jaxode.losses import cross_entropy  # noqa: E402
from jaxode.train.compiled_steps import CompiledSteps  # noqa: E402
from scripts import export_for_torch  # noqa: E402


def test_the_batches_are_those_of_the_training_step():
    """With a rate that changes nothing, the losses of the compiled loop are those of the model on
    the batches.
    """
    config = run_config(optim=OptimConfig(lr=1e-30, schedule="constant"))
    steps = CompiledSteps(config, image_set(train=32), builder())
    found = export_for_torch.first_batches(steps, 3)
    assert found["images"].shape == (3, 16, 28, 28, 1)
    model = nnx.merge(steps.work.graphdef, *steps.learned)
    expected = [
        float(cross_entropy(model(images)[0], labels, jnp.ones(16)))
        for images, labels in zip(found["images"], found["labels"], strict=True)
    ]
    state = steps.first_state()
    steps.compile(state)
    losses, total = [], 0.0
    for step in range(3):
        epoch, row = divmod(step, 2)
        if row == 0:
            state, total = state._replace(totals=steps.zero()), 0.0
        state = steps.train(state, *steps.epoch(epoch), row + 1)
        losses.append((float(state.totals.loss) - total) / 16)
        total = float(state.totals.loss)
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    assert len({round(loss, 5) for loss in losses}) == 3


def test_padded_batches_and_more_than_there_are_are_refused():
    steps = CompiledSteps(run_config(), image_set(train=40), builder())
    assert len(export_for_torch.first_batches(steps, 2)["labels"]) == 2
    with pytest.raises(
        ConfigError, match=r"--batches must be below 3, got 3: .*40 images are no multiple of 16"
    ):
        export_for_torch.first_batches(steps, 3)
    full = CompiledSteps(run_config().replaced(drop_last=True), image_set(train=40), builder())
    assert len(export_for_torch.first_batches(full, 3)["labels"]) == 3  # the third of epoch 2
    with pytest.raises(
        ConfigError, match="--batches must be at most 9, the steps of the run, got 10"
    ):
        export_for_torch.first_batches(steps, 10)


@pytest.mark.parametrize(
    ("solve", "flags"),
    [
        (
            SolveConfig(rtol=1e-4),
            "--method dopri5 --rtol 0.0001 --atol 0.001",
        ),
        (
            SolveConfig(gradient="backsolve", backward_norm="seminorm"),
            ("--method dopri5 --rtol 0.001 --atol 0.001 --adjoint --adjoint-norm seminorm"),
        ),
        (SolveConfig(solver="heun", step_size=0.5), "--method heun2 --step-size 0.5"),
        (
            SolveConfig(solver="rk4", step_size=0.5, gradient="backsolve"),
            "--method rk4 --step-size 0.5 --adjoint --adjoint-norm full",
        ),
    ],
)
def test_the_solve_is_given_by_torchdiffeqs_options(solve, flags):
    assert export_for_torch.solver_flags(solve) == shlex.split(flags)


def test_the_command_has_the_settings_of_the_run(tmp_path):
    config = RunConfig().replaced(
        optimizer="adamw", weight_decay=0.25, schedule="cosine", precision="float64"
    )
    words = shlex.join(export_for_torch.command(config, 77, tmp_path))
    expected = (
        "--optimizer adamw --lr 0.001 --weight-decay 0.25 --schedule cosine --total-steps 77"
        " --float64"
    )
    assert words.endswith(expected)
    config = config.replaced(
        optimizer="sgd", lr_batch=64, schedule="milestones", milestones="60,100", epochs=7
    )
    words = shlex.join(export_for_torch.command(config, 77, tmp_path))
    assert "--lr 0.2 " in words
    assert "--schedule milestones --total-steps 77 --milestones 660,1100" in words
    assert "--method" not in shlex.join(
        export_for_torch.command(config.replaced(model="mlp"), 77, tmp_path)
    )


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--batches", "0"], "--batches must be a whole number from 1 to 1000000000, got 0"),
        (
            ["--solver", "tsit5"],
            "--solver must be one that torchdiffeq has too: bosh3, dopri5, dopri8, adaptive_heun,"
            " fehlberg2, got 'tsit5'",
        ),
        (
            ["--solver", "rk4_classic", "--step-size", "1"],
            "--solver must be one that torchdiffeq has with fixed steps",
        ),
        (
            ["--gradient", "backsolve", "--backward-rtol", "1e-5"],
            "--backward-rtol must be left out or --rtol",
        ),
        (
            ["--per-sample"],
            "--per-sample must be left out: torchdiffeq has one step size for a batch",
        ),
        (
            ["--precision", "bfloat16"],
            "--precision must be float32 or float64, in which torch_ref computes, got",
        ),
        (["--model", "cnn"], "--model must be one of odenet, resnet, mlp, got 'cnn'"),
        (["--width", "0"], "--width must be a whole number from 1 to 2048"),
        (["--out", "taken"], "--out must be a folder without weights.pt, got 'taken'"),
        (["--dataset", "imagenet"], "--dataset must be one of asl_alphabet, cifar10,"),
        (["--solve", "rk4"], "unknown flag --solve: did you mean --solver?"),
        (
            ["--limit-train", "20"],
            "--batches must be below 1, got 1: the last batch of an epoch is padded",
        ),
    ],
)
def test_wrong_requests_end_in_one_line_and_write_nothing(
    argv, text, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "weights.pt").write_text("")
    assert export_for_torch.main(["--data", "sample", "--batches", "1", "--out", "out", *argv]) == 2
    captured = capsys.readouterr()
    (line,) = (line for line in captured.err.splitlines() if "SAMPLE" not in line)
    assert line.startswith("python -m scripts.export_for_torch: error: ")
    assert text in line
    assert captured.out == ""
    assert not (tmp_path / "out").exists()
    assert not jax.config.jax_enable_x64
