"""Training in the reference: its schedules are jaxode's, its optimisers torch's, its counts
torchdiffeq's.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from jaxode.config import OptimConfig
from jaxode.optim import learning_rate
from jaxode.runs.progress import first_step_line

torch = pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")

from torch_ref.model import build  # noqa: E402
from torch_ref.solve import Settings  # noqa: E402
from torch_ref.train import cost_line, main, write_whole  # noqa: E402
from torch_ref.updates import Step, make_optimizer, make_schedule, train  # noqa: E402


@pytest.fixture
def files(tmp_path):
    """Weights of a small ODENet and three batches of four images, as flags."""
    torch.manual_seed(0)
    torch.save(
        build("odenet", 1, channels=1, classes=3, width=4, side=12).state_dict(),
        tmp_path / "weights.pt",
    )
    rng = np.random.default_rng(0)
    batches = {"images": rng.normal(size=(3, 4, 12, 12, 1)), "labels": rng.integers(0, 3, (3, 4))}
    np.savez(tmp_path / "batches.npz", **batches)
    return ["--weights", str(tmp_path / "weights.pt"), "--batches", str(tmp_path / "batches.npz")]


@pytest.mark.parametrize("total", [1, 2, 3, 25])
@pytest.mark.parametrize("name", ["step", "constant", "cosine"])
def test_schedules_are_those_of_jaxode(name, total, x64):
    ours = learning_rate(OptimConfig(schedule=name, lr=0.3), total)
    theirs = make_schedule(name, 0.3, total)
    assert [theirs(k) for k in range(total + 1)] == pytest.approx(
        [float(ours(k)) for k in range(total + 1)], rel=1e-12
    )


def test_milestones_are_steps_of_jaxodes_epochs(x64):
    ours = learning_rate(OptimConfig(schedule="milestones", milestones="2,5", lr=0.3), 30, 4)
    theirs = make_schedule("milestones", 0.3, 30, (8, 20))
    assert [theirs(step) for step in range(30)] == [float(ours(step)) for step in range(30)]


@pytest.mark.parametrize(
    ("name", "kind", "settings"),
    [
        ("sgd", "SGD", {"momentum": 0.5, "weight_decay": 0.1}),
        ("adam", "Adam", {"weight_decay": 0.1}),
        ("adamw", "AdamW", {"weight_decay": 0.1}),
    ],
)
def test_optimizers_are_torchs(name, kind, settings):
    made = make_optimizer(name, [torch.zeros(1)], 0.2, 0.5, 0.1)
    assert type(made) is getattr(torch.optim, kind)
    assert {key: made.defaults[key] for key in settings} == settings
    assert made.defaults["lr"] == 0.2


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="name must be one of sgd, adam, adamw, got 'lbfgs'"):
        make_optimizer("lbfgs", [], 0.1)
    with pytest.raises(
        ValueError, match="name must be one of step, milestones, constant, cosine, got 'linear'"
    ):
        make_schedule("linear", 0.1, 10)


def test_an_update_is_the_gradient_of_the_mean_loss_at_the_rate_of_its_step():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3, bias=False))
    images, labels = torch.randn(5, 1, 2, 2), torch.tensor([0, 1, 2, 1, 1])
    weight = model[1].weight.detach().clone().requires_grad_()
    optimizer = make_optimizer("sgd", model.parameters(), 9.0, 0.0)
    rates = [0.5, 0.1]
    for step, rate in zip(
        train(model, [(images, labels)] * 2, optimizer, rates.__getitem__), rates, strict=True
    ):
        loss = -torch.log_softmax(images.reshape(5, 4) @ weight.T, 1)[range(5), labels].mean()
        (gradient,) = torch.autograd.grad(loss, weight)
        weight = (weight - rate * gradient).detach().requires_grad_()
        assert step == Step(pytest.approx(loss.item()), (), (), (), ())
        torch.testing.assert_close(model[1].weight, weight)


@pytest.mark.parametrize("adjoint", [False, True])
def test_every_block_and_every_step_is_counted_apart(adjoint):
    torch.manual_seed(0)
    settings = Settings("rk4", step_size=0.5, adjoint=adjoint)
    model = build("odenet", 2, channels=1, classes=3, width=4, side=12, settings=settings)
    batches = [(torch.randn(2, 1, 12, 12), torch.tensor([0, 2]))] * 2
    for step in train(
        model, batches, make_optimizer("adam", model.parameters(), 1e-3), lambda step: 1e-3
    ):
        assert (step.nfe, step.steps, step.rejected) == ((8, 8), (2, 2), (0, 0))
        assert step.backward_nfe == ((8, 8) if adjoint else (0, 0))


@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_the_first_step_is_reported_in_the_words_of_jaxode(blocks):
    nfe, tried, rejected = (tuple(range(k, k + blocks)) for k in (26, 5, 1))
    theirs = cost_line("first step", Step(2.5, nfe, tried, rejected, (0,) * blocks))
    assert theirs == first_step_line(
        2.5, nfe, [t - r for t, r in zip(tried, rejected, strict=True)], rejected
    )
    assert theirs.startswith("first step: ")
    assert theirs.endswith("loss 2.5000")
    assert ("block 2: 27 function evaluations" in theirs) == (blocks == 2)


def test_the_command_trains_prints_and_writes(files, tmp_path, capsys):
    out = tmp_path / "losses.jsonl"
    assert (
        main([*files, "--epochs", "2", "--optimizer", "adam", "--adjoint", "--out", str(out)]) == 0
    )
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "first step",
        *(f"step {k}/6" for k in range(2, 7)),
    ]
    steps = [json.loads(line) for line in out.read_text().splitlines()]
    assert [step["step"] for step in steps] == [1, 2, 3, 4, 5, 6]
    assert [step["lr"] for step in steps] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-6])
    assert all(step["backward_nfe"][0] > 0 for step in steps)
    assert captured.out.splitlines()[0].startswith("6 steps in ")
    assert f"last loss {steps[-1]['loss']:.4f}" in captured.out


@pytest.mark.parametrize(("kind", "blocks", "augment"), [("resnet", 0, 0), ("odenet", 2, 3)])
def test_the_model_is_found_from_its_weights(kind, blocks, augment, files, tmp_path, capsys):
    """One without blocks solves nothing."""
    model = build(kind, blocks, channels=1, classes=3, width=4, augment=augment, side=12)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    assert main([*files, "--method", "euler", "--step-size", "0.5"]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith(
        "first step: block 1: 2 function" if blocks else "first step: loss "
    )
    assert ("function evaluations" in captured.out) == (blocks > 0)


def recorded(out):
    """Numbers of the steps in the file."""
    return [json.loads(line)["step"] for line in out.read_text().splitlines()]


@pytest.mark.parametrize(
    ("method", "text"),
    [
        (
            ["--method", "euler", "--step-size", "1"],
            "step 2 of 3: the loss is not finite; a smaller --lr may help",
        ),
        ([], "a solve failed, torchdiffeq says: underflow in dt"),
    ],
)
def test_a_failed_run_ends_in_one_line_and_code_1_and_leaves_its_steps(
    method, text, files, tmp_path, capsys
):
    out = tmp_path / "losses.jsonl"
    assert main([*files, *method, "--lr", "1e38", "--quiet", "--out", str(out)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"python -m torch_ref.train: error: {text}")
    assert recorded(out) == [1]


def test_an_interrupted_run_ends_in_one_line_and_leaves_its_steps(
    files, tmp_path, capsys, monkeypatch
):
    def interrupted(*args):
        for number, step in enumerate(train(*args)):
            if number == 2:
                raise KeyboardInterrupt
            yield step

    monkeypatch.setattr("torch_ref.train.train", interrupted)
    out = tmp_path / "losses.jsonl"
    assert main([*files, "--quiet", "--out", str(out)]) == 130
    assert capsys.readouterr().err == "python -m torch_ref.train: error: interrupted\n"
    assert recorded(out) == [1, 2]
    assert [path.name for path in tmp_path.glob("*losses*")] == ["losses.jsonl"]


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--lr", "0"], "--lr: must be a number from 1e-37 to 1e+38, got '0'"),
        (["--lr", "1e400"], "--lr: must be a number from 1e-37 to 1e+38, got '1e400'"),
        (["--lr", "1_0"], "--lr: must be a number from 1e-37 to 1e+38, got '1_0'"),
        (["--rtol", "infinity"], "--rtol: must be a number from 1e-16 to 1000, got 'infinity'"),
        (
            ["--schedule", "milestones", "--milestones", "5,5"],
            "--milestones: must be rising whole numbers, joined by commas, got '5,5'",
        ),
        (["--schedule", "milestones"], "--schedule milestones needs --milestones"),
        (["--milestones", "5"], "--schedule step takes no --milestones"),
        (["--momentum", "2"], "--momentum: must be a number from 0 to 1, got '2'"),
        (["--epochs", "1.5"], "--epochs: must be a whole number from 1 to 1000000000, got '1.5'"),
        (["--epochs", "١٢"], "--epochs: must be a whole number from 1 to 1000000000, got '١٢'"),
        (
            ["--epochs", "9" * 10**6],
            "--epochs: must be a whole number from 1 to 1000000000, got '999",
        ),
        (["--total-steps=--"], "--total-steps: expected one argument"),
        (["--method", "\x1b[31m"], r"--method: invalid choice: '\x1b[31m'"),
        (["x\x1b" * 10**5], r"unrecognized arguments: x\x1b"),
        (["--out", ""], "--out: must be a path, got ''"),
        (["--out", "a" * 300 + "/b"], "--out must lie in a folder that exists"),
        (["--weights", ""], "--weights: must be a path, got ''"),
        (["--method", "rk4"], "--method rk4 needs --step-size"),
        (["--step-size", "0.5"], "--method dopri5 takes no --step-size"),
        (["--adjoint-norm", "seminorm"], "--adjoint-norm needs --adjoint"),
        (
            ["--method", "rk4", "--step-size", "1", "--stop-at-ends"],
            "--stop-at-ends is for adaptive methods",
        ),
        (["--out", "none/losses.jsonl"], "--out must lie in a folder that exists"),
        (["--weights", "none.pt"], "none.pt"),
        (["--batches", "text.npz"], "text.npz must be a .npz file of the arrays images and labels"),
        (
            ["--batches", "flat.npz"],
            "flat.npz must hold images and labels [N, B, H, H, C] and [N, B], got (2, 4)",
        ),
        (["--batches", "rgb.npz"], "the model takes images of 1 channels, those in rgb.npz have 3"),
        (["--batches", "many.npz"], "the model has 3 classes, many.npz has a label 7"),
        (
            ["--weights", "less.pt"],
            "less.pt does not fit: Error(s) in loading state_dict for Sequential: Missing key",
        ),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_wrong_requests_end_in_one_line(argv, text, files, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.npz").write_text("no arrays")
    np.savez("flat.npz", images=np.zeros((2, 4)), labels=np.zeros(2, np.int64))
    np.savez("rgb.npz", images=np.zeros((1, 2, 12, 12, 3)), labels=np.zeros((1, 2), np.int64))
    np.savez("many.npz", images=np.zeros((1, 2, 12, 12, 1)), labels=np.full((1, 2), 7))
    weights = torch.load("weights.pt")
    del weights["7.odefunc.norm1.bias"]
    torch.save(weights, "less.pt")
    assert main([*files, *argv]) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("python -m torch_ref.train: error: ")
    assert text in line
    assert line.isprintable()
    assert len(line) < 2000
    assert captured.out == ""


def test_help_names_every_flag(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for flag in (
        "--weights",
        "--batches",
        "--adjoint-norm",
        "--total-steps",
        "--float64",
        "odenet_mnist.py",
    ):
        assert flag in text


def test_the_file_of_steps_is_whole_and_follows_no_symlink(tmp_path, monkeypatch):
    victim, out = tmp_path / "victim", tmp_path / "losses.jsonl"
    victim.write_text("mine")
    monkeypatch.setattr("torch_ref.train.secrets.token_hex", lambda size: "guessed")
    for name in (".losses.jsonl.unfinished", ".losses.jsonl.unfinished-guessed"):
        (tmp_path / name).symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_whole(out, "steps")
    monkeypatch.undo()
    write_whole(out, "steps")
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path, "steps")
    assert (out.read_text(), victim.read_text()) == ("steps", "mine")
    assert len(list(tmp_path.parent.glob(f".{tmp_path.name}*"))) == 0
