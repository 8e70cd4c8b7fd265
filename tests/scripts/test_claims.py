"""The command that measures claims: what it measures, writes, prints and refuses.

The measurements are made up here.
"""

from __future__ import annotations

import itertools
import json
import re

import pytest
from flax import nnx

from jaxode.config import RunConfig
from scripts.claims import CLAIMS, drift, loose, memory, report, size, subject
from scripts.claims.__main__ import main
from scripts.claims.steps import model_of

FACTS = {
    "run": "the-run",
    "checkpoint": "epoch-00002",
    "dataset": "mnist",
    "source": "full",
    "images": 777,
    "solver": "dopri5",
    "trained_at": 1e-5,
    "gradient": "tape",
    "precision": "float32",
    "batch": 33,
}

FAILED = {
    "accuracy": None,
    "loss": None,
    "nfe": 9.0,
    "accepted": 1.0,
    "rejected": 1.0,
    "failure": "it did not",
}


def judged(tolerance, accuracy, loss, nfe):
    return {
        "tolerance": tolerance,
        "accuracy": accuracy,
        "loss": loss,
        "nfe": nfe,
        "accepted": 4.0,
        "rejected": 0.5,
        "failure": None,
    }


ROWS = [
    judged(1e-1, 0.9512, 0.21, 14.0),
    judged(1e-2, 0.977, 0.1, 20.0),
    judged(1e-5, 0.981, 0.0717, 56.0),
]


def curve(kind):
    rows = {"backsolve": [57.0, 57.0], "tape": [63.0, 129.0], "ResNet": [80.0, None]}
    return {"mb": rows.get(kind, [61.0, 65.0]), "mb_a_step": 2.3456 if kind == "tape" else 1.2}


def timed(row, error, ms):
    return {
        **row,
        "state_error": error,
        "logits_error": 2 * error,
        "ms": {"median": ms, "low": ms - 1, "high": ms + 2},
    }


def drifted(field, dtype, tolerance, median):
    return {
        "field": field,
        "dtype": dtype,
        "tolerance": tolerance,
        "times": [0.0, 0.5],
        "failure": None,
        "median": [median, median / 2],
        "worst": [3 * median, median],
    }


def slopes(dtype, tolerance, backsolve):
    exact = {"replay": 0.0, "checkpointed": 3.3e-15}
    return {
        "tolerance": tolerance,
        "dtype": dtype,
        "against_finest": {"tape": 1e-3, "backsolve": 2e-3},
        "against_tape": {"backsolve": backsolve} | (exact if tolerance == 1e-2 else {}),
        "failures": {} if backsolve else {"backsolve": "it was lost"},
    }


def process(side, gradient, done):
    compiled = {"compiled": 0.61e9} if side == "jaxode" else {}
    return {
        "side": side,
        "gradient": gradient,
        "steps": 3,
        "imported": 0.4e9,
        **compiled,
        "done": done,
    }


MADE_UP = {
    "memory": {
        "batch": 128,
        "width": 64,
        "solver": "dopri5",
        "steps": [2, 32],
        "curves": {kind: curve(kind) for kind in memory.CURVES},
    },
    "tolerance": {
        **FACTS,
        "rounds": 9,
        "reference": judged(1e-8, 0.98, 0.07, 212.0),
        "rows": (
            [timed(row, row["tolerance"] / 7, 10.0 * row["nfe"]) for row in ROWS]
            + [{**FAILED, "tolerance": 1e-6, "state_error": None, "logits_error": None, "ms": None}]
        ),
    },
    "loose": {"runs": [{**FACTS, "rows": [*ROWS, {**FAILED, "tolerance": 1e-6}]}]},
    "drift": {
        **FACTS,
        "finest": 1e-8,
        "drift": (
            [
                drifted(field, dtype, tolerance, 7 * tolerance)
                for field in ("trained", "initial")
                for dtype in ("float64", "float32")
                for tolerance in (1e-2, 1e-3)
            ]
            + [
                {
                    **drifted("trained", "float32", 1e-6, 1.0),
                    "median": None,
                    "worst": None,
                    "failure": "too short",
                }
            ]
        ),
        "gradient": [
            slopes("float64", 1e-2, 0.0432),
            slopes("float64", 1e-3, 5.6e-3),
            slopes("float32", 1e-2, 0.0433),
            slopes("float32", 1e-3, None),
        ],
    },
    "size": {
        "files": {
            "ODENet": {"parameters": 208266, ".pt": 840123, ".safetensors": 835456},
            "ResNet 8": {"parameters": 724746, ".pt": 2912345, ".safetensors": 2901234},
        },
        "published_files": size.PUBLISHED_FILES,
        "published_memory": size.PUBLISHED_MEMORY,
        "batch": 128,
        "solve": {"solver": "dopri5", "tolerance": 1e-3, "max_steps": 256},
        "plans": {
            mode: {"temporary": 57_000_000 + 10**7 * place, "arguments": 1, "outputs": 1}
            for place, mode in enumerate(size.MODES)
        },
        "processes": [
            process(side, mode, (1.11 + place) * 1e9)
            for side in size.SIDES
            for place, mode in enumerate(size.WITH_AND_WITHOUT)
        ],
    },
}

EXPECTED = {
    "memory": (
        "`backsolve` needs 57 MB, which is the same from 2 to 32 steps",
        "adds 2.35 MB beyond those (from 63 to 129 MB)",
        "one state has 1.18 MB",
        "a ResNet adds 1.20 MB a block (from 80 to 80 MB at 2 blocks)",
    ),
    "tolerance": (
        "`the-run` (epoch-00002), trained at 1e-5",
        "777 test images in batches of 33",
        (
            "At 1e-1 a solve is 1.4e-02 away in the final state and 2.9e-02 in the logits, takes 14"
            " evaluations and 140 ms, and 95.1 % are right."
        ),
        "1e-5 costs 4.0 times the evaluations and 4.0 times the time",
        "The solve failed at 1e-6.",
    ),
    "loose": (
        "trained at 1e-5) gets 98.1 % right, a loss of 0.0717 and 56 evaluations at 1e-5",
        "; 95.1 % right, a loss of 0.2100 and 14 evaluations at 1e-1",
        "within 0.5 points of its own accuracy is 1e-2, with 64 % fewer evaluations",
        "failed at 1e-6",
    ),
    "drift": (
        (
            "the trained field in float32 has drifted by a median of 7.0e-02 (worst 2.1e-01) at"
            " 1e-2, and 7.0e-03"
        ),
        "the initial field in float64",
        "trained, float32, 1e-6: too short",
        (
            "In float64, these gradients differ from tape's: backsolve's by 4.3e-02 at 1e-2 and"
            " 5.6e-03 at 1e-3; replay's by 0.0e+00 at 1e-2; checkpointed's by 3.3e-15 at 1e-2."
        ),
        "In float32, these gradients differ from tape's: backsolve's by 4.3e-02 at 1e-2; replay's",
        "In float32 at 1e-3, there is no gradient of backsolve: it was lost.",
        "at 1e-8, tape's is 1.0e-03 and backsolve's is 2.0e-03 away at 1e-2 in float64",
    ),
    "size": (
        (
            "ODENet: 208,266 parameters in 840,123 bytes (.pt) or 835,456 (.safetensors), published"
            " 864 kB"
        ),
        "in MB: backsolve 57, replay 67, tape 77",
        "used at most 1.11 GB with the adjoint and 2.11 GB without",
        "0.61 and 0.61 GB were reached while compiling",
        "5.8 GB with and 7.4 GB without",
    ),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_is_drawn_and_described_by_its_numbers(name):
    picture = report.module(name).picture(MADE_UP[name])
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 150_000
    paragraph = report.module(name).paragraph(MADE_UP[name])
    for text in EXPECTED[name]:
        assert text in paragraph


def test_without_a_looser_tolerance_as_good_the_paragraph_says_so():
    rows = [judged(1e-3, 0.9, 0.3, 20.0), judged(1e-5, 0.98, 0.07, 56.0)]
    assert "No looser tolerance is within 0.5 points" in loose.paragraph(
        {"runs": [{**FACTS, "rows": rows}]}
    )


def test_gradients_that_failed_are_reported_and_not_compared():
    nothing = {"tolerance": 1e-2, "dtype": "float64", "failures": {"tape": "it ran out of steps"},
               "against_tape": {"backsolve": None, "replay": None},
               "against_finest": {"tape": None, "backsolve": None}}  # fmt: skip
    found = {**MADE_UP["drift"], "gradient": [nothing]}
    paragraph = drift.paragraph(found)
    assert "there is no gradient of tape: it ran out of steps." in paragraph
    assert not re.search("differ from|From the gradient", paragraph)
    assert drift.picture(found).startswith(b"\x89PNG")


def test_five_of_a_thousand_images_are_the_same_accuracy():
    rows = [judged(1e-3, 0.986, 0.3, 20.0), judged(1e-5, 0.991, 0.07, 56.0)]
    assert "The loosest tolerance within 0.5 points of its own accuracy is 1e-3" in loose.paragraph(
        {"runs": [{**FACTS, "rows": rows}]}
    )


def test_a_note_of_a_record_is_printed(tmp_path):
    origin = {"command": "c", "date": "d", "cores": 2, "device": "cpu", "versions": {}}
    for more, ending in (({}, "cpu; .\n"), ({"note": "It was cold."}, "cpu; . It was cold.\n")):
        report.store(tmp_path, "loose", {"origin": origin | more, "found": MADE_UP["loose"]})
        report.write(tmp_path)
        assert f"2 cores, {ending}" in (tmp_path / "claims.md").read_text()


@pytest.fixture
def measured(monkeypatch):
    """The claims measured, in turn; nothing is computed."""
    names: list = []
    drawn = (b"%d" % number for number in itertools.count())

    def measure(name):
        return lambda request: names.append((name, request)) or MADE_UP[name]

    for name in CLAIMS:
        monkeypatch.setattr(report.module(name), "measure", measure(name))
        monkeypatch.setattr(report.module(name), "picture", lambda found: b"picture" + next(drawn))
    return names


def test_only_what_is_named_or_missing_is_measured(measured, tmp_path, capsys):
    assert main(["size", "memory", "--out", str(tmp_path)]) == 0
    assert [name for name, _ in measured] == ["size", "memory"]
    assert "2 of 5 claims measured" in capsys.readouterr().out
    text = (tmp_path / "claims.md").read_text()
    assert text.index("](memory.png)") < text.index("](size.png)")
    assert text.count("Not yet measured (`python -m scripts.claims ") == 3
    assert "`python -m scripts.claims size memory --out" in text
    before = [(tmp_path / f"size.{ending}").read_bytes() for ending in ("json", "png")]
    measured.clear()
    assert (
        main(
            [
                "--out",
                str(tmp_path),
                "--run",
                "a",
                "--run",
                "b",
                "--limit-test",
                "9",
                "--data-dir",
                "d",
            ]
        )
        == 0
    )
    assert [name for name, _ in measured] == ["tolerance", "loose", "drift"]
    asked = measured[0][1]
    assert ([str(run) for run in asked.runs], asked.limit_test, asked.data_dir) == (
        ["a", "b"],
        9,
        "d",
    )
    text = (tmp_path / "claims.md").read_text()
    assert "Not yet measured" not in text
    assert [(tmp_path / f"size.{ending}").read_bytes() for ending in ("json", "png")] == before
    for name in CLAIMS:
        assert json.loads((tmp_path / f"{name}.json").read_text())["found"] == MADE_UP[name]
        assert (tmp_path / f"{name}.png").exists()
        assert report.module(name).paragraph(MADE_UP[name]) in text
    measured.clear()
    assert main(["--out", str(tmp_path)]) == 0  # nothing is missing: only drawn again
    assert measured == []
    assert (tmp_path / "size.png").read_bytes() != before[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["depth"], "NAME must be one of memory, tolerance"),
        (["memory", "drift"], "--run must name the directory of a trained ODENet's run for drift"),
        ([], "--run must name the directory of a trained ODENet's run for tolerance, loose, drift"),
        (["loose", "--run", "nowhere"], "nowhere is no run"),
        (
            ["loose", "--limit-test", "0", "--run", "x"],
            "--limit-test must be a whole number from 1 to 1000000000",
        ),
        (["--runs", "x"], "did you mean --run"),
    ],
)
def test_a_wrong_request_is_one_line(words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--out", "out"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"found": {}, "origin": {}}',
        '{"found": {}, "found": {}}',
        '{"origin": null}',
        "[" * 99_999,
    ],
)
def test_a_damaged_record_is_named(content, measured, tmp_path, capsys):
    (tmp_path / "memory.json").write_text(content)
    assert main(["size", "--out", str(tmp_path)]) == 2
    assert "memory.json is" in capsys.readouterr().err


def test_a_failed_measurement_ends_in_one_line_and_keeps_the_others(
    measured, tmp_path, capsys, monkeypatch
):
    def failing(request):
        raise RuntimeError("the process\nended")

    monkeypatch.setattr(size, "measure", failing)
    assert main(["memory", "size", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.endswith("error: the process ended\n")
    assert "](memory.png)" in (tmp_path / "claims.md").read_text()


@pytest.mark.parametrize(
    ("changes", "limit", "message"),
    [
        (
            {"model": "resnet"},
            None,
            "--run must be a run of an odenet of one block, not augmented, got",
        ),
        ({"blocks": 0}, None, "--run must be a run of an odenet of one block"),
        ({"blocks": 2}, None, "--run must be a run of an odenet of one block"),
        ({"augment_dims": 2}, None, "--run must be a run of an odenet of one block"),
        ({"per_sample": True}, None, "--run must be a run with one step size for a batch"),
        ({"atol": 1e-6}, None, "--run must be a run with one tolerance, relative and absolute"),
        ({"step_size": 0.5}, None, "--run must be a run with adaptive steps"),
        (
            {},
            501,
            "--limit-test must be at most 500, the test images of mnist \\(sample\\), got 501",
        ),
    ],
)
def test_runs_that_cannot_be_measured_are_refused(changes, limit, message, tmp_path, monkeypatch):
    config = RunConfig().replaced(data="sample", **changes)
    model = nnx.eval_shape(lambda: model_of(config.model, config.solve))
    monkeypatch.setattr(
        subject, "restored", lambda place: subject.Restored(model, config, "epoch-1")
    )
    with pytest.raises(ValueError, match=message):
        subject.subject(tmp_path, None, limit)
