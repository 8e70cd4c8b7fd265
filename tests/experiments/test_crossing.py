"""The crossing, trained for a short while: what holds of flows, of Euler's method, of files and of
requests.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments import crossing
from experiments.dynamics import crossing_cases, crossing_flow
from experiments.dynamics.crossing_config import CrossingConfig
from jaxode.config import SolveConfig
from jaxode.errors import RunFailed
from jaxode.nn.fields import DenseField
from jaxode.runs import Progress

SHORT = ["--steps=60", "--lr=0.05", "--rtol=1e-4", "--atol=1e-4"]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Result and directory of one run."""
    out = tmp_path_factory.mktemp("crossing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crossing_cases, "REFINEMENTS", (16,))
        patch.setattr(crossing_flow, "TIMES", 8)
        assert crossing.main([*SHORT, "--out", str(out)]) == 0
    return json.loads((out / "crossing.json").read_text()), out


def test_the_line_keeps_its_order_and_a_dimension_more_does_not_need_to(done):
    flow, augmented = (done[0]["cases"][name] for name in ("exact_flow", "augmented"))
    assert flow["first_loss"] > 3
    assert 1 <= flow["loss"] < 1.1
    assert flow["order_kept"]
    assert augmented["loss"] < 0.01
    assert not augmented["order_kept"]
    assert augmented["smallest_distance"] > 0.3
    np.testing.assert_allclose(augmented["ends"], [1, -1], atol=0.15)


def test_eulers_crossing_is_its_error(done):
    euler, again = (done[0]["cases"][name] for name in ("euler", "euler_solved_exactly"))
    assert euler["loss"] < 0.01
    assert not euler["order_kept"]
    assert euler["nfe"] == 2
    assert again["loss"] > 1
    assert again["order_kept"]
    assert not again["trained_here"]
    coarse, fine = done[0]["euler_field_with_more_steps"]
    assert (coarse["euler_steps"], fine["euler_steps"]) == (2, 32)
    assert coarse["loss"] == euler["loss"]
    np.testing.assert_allclose(fine["ends"], again["ends"], atol=0.1)


def test_a_run_says_where_it_comes_from(done):
    result, out = done
    assert (
        result["settings"]["steps"],
        result["settings"]["euler_steps"],
        result["settings"]["seed"],
    ) == (60, 2, 0)
    assert result["precision"] == "float64"
    assert {"device", "versions", "commit", "date"} < set(result)
    assert (out / "crossing.png").read_bytes().startswith(b"\x89PNG")
    text = (out / "crossing.md").read_text()
    assert "(crossing.png)" in text
    assert f"--out {out}" in text
    assert result["versions"]["jax"] in text
    assert len(list(out.iterdir())) == 3


@pytest.mark.slow
def test_training_is_a_function_of_the_seed(done, x64, monkeypatch):
    """The settings of `done`, so that nothing is compiled again."""
    monkeypatch.setattr(crossing_cases, "REFINEMENTS", (16,))
    monkeypatch.setattr(crossing_flow, "TIMES", 8)
    first = done[0]["cases"]
    config = CrossingConfig(steps=60, lr=0.05, rtol=1e-4, atol=1e-4)
    same, other = (
        crossing_cases.study(replace(config, seed=seed), Progress(quiet=True)) for seed in (0, 1)
    )
    for again, another in zip(same.outcomes, other.outcomes, strict=True):
        assert again.facts == first[again.name]
        for name in ("first_loss", "loss") if again.losses is not None else ("loss",):
            assert another.facts[name] != first[again.name][name]


def test_a_training_keeps_losses_and_counts(x64):
    config = CrossingConfig(steps=3, lr=0.05)
    field = DenseField(1, 4, rngs=nnx.Rngs(0), dtype=jnp.dtype(float))
    case = crossing_flow.Case(nnx.graphdef(field), SolveConfig("euler", step_size=0.5))
    found = crossing_cases.trained(case, field, config, "title")
    assert found.losses.shape == (4,)
    assert found.nfe.tolist() == [2] * 4
    first, _ = case(nnx.state(field))
    assert found.losses[0] == pytest.approx(float(first), rel=1e-12)
    last, (ends, _) = case(found.params)
    np.testing.assert_allclose([*found.output, found.losses[-1]], [*ends, last], rtol=1e-12)


def test_a_training_that_fails_says_where(x64):
    config = CrossingConfig(steps=3, rtol=1e-12, atol=1e-12)
    field = DenseField(1, 4, rngs=nnx.Rngs(0), dtype=jnp.dtype(float))
    solve = SolveConfig(rtol=1e-12, atol=1e-12, max_steps=1)
    case = crossing_flow.Case(nnx.graphdef(field), solve)
    with pytest.raises(RunFailed, match=r"title: epoch 1, step 1 of 1: .*max_steps"):
        crossing_cases.trained(case, field, config, "title")


def test_a_failed_run_is_one_line_and_code_1(tmp_path, capsys, monkeypatch):
    def study(config, progress):
        raise RunFailed("the solver took\nmax_steps")

    monkeypatch.setattr(crossing_cases, "study", study)
    assert crossing.main(["--out", str(tmp_path)]) == 1
    assert (
        capsys.readouterr().err
        == "python -m experiments.crossing: error: the solver took max_steps\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--steps", "0"], "--steps must be a whole number from 1 to 1000000, got 0"),
        (["--euler-steps", "65"], "--euler-steps must be a whole number from 1 to 64, got 65"),
        (["--augment-dims", "0"], "--augment-dims must be a whole number from 1 to 1024"),
        (["--solver", "euler"], "--solver must be one of midpoint, heun"),
        (["--rtol", "-1e-3"], "--rtol must be a number from 1e-16 to 1000, got -0.001"),
        (["--lr", "0"], "--lr must be a number from 1e-37"),
        (["--seed", "-1"], "--seed must be a whole number from 0 to"),
        (["--hidden", "many"], "--hidden must be a whole number from 1 to 4096, got 'many'"),
        (["--euler-step", "2"], "unknown flag --euler-step: did you mean --euler-steps?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_request_is_one_line(words, message, capsys):
    assert crossing.main(words) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith(f"python -m experiments.crossing: error: {message}")
    assert captured.out == ""


def test_a_place_that_cannot_be_written_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert crossing.main(["--out", str(tmp_path / "file" / "run")]) == 2
    assert f"cannot write into {tmp_path / 'file' / 'run'}" in capsys.readouterr().err


def test_help_explains_every_flag_and_waits_for_no_slow_import(capsys):
    program = (
        "import sys\n"
        "from experiments import crossing, primer\n"
        "assert crossing.main(['--steps', '0']) == 2\n"
        "assert primer.main(['--help']) == 0\n"
        "assert crossing.main(['--help']) == 0\n"
        "slow = {'jax', 'flax', 'diffrax', 'matplotlib', 'PIL', 'optax'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    for word in (
        "--euler-steps N",
        "--augment-dims N",
        "(default: 300)",
        "--out DIR",
        "--quiet",
        "Dupont",
        "runs/primer",
    ):
        assert word in done.stdout
