"""Flags that do not exist, and those that were meant."""

import pytest

from jaxode.cli.request import build_parser
from jaxode.cli.suggestions import MEANT, suggestion
from jaxode.config import RunConfig

FLAGS = [
    name
    for action in build_parser(RunConfig(), "doc", "prog")._actions
    for name in action.option_strings
]


@pytest.mark.parametrize(
    ("word", "flag"),
    [
        ("--tolerance", "--rtol"),
        ("--learning-rate", "--lr"),
        ("--learning_rate", "--lr"),
        ("--learning-rat", "--lr"),
        ("--batch", "--batch-size"),
        ("--method", "--solver"),
        ("--adjoint", "--gradient backsolve"),
        ("--num-epochs", "--epochs"),
        ("--epoch", "--epochs"),
        ("--gpus", "--devices"),
        ("--output-dir", "--out"),
        ("--dataset", "--data"),
        ("--data-path", "--data-dir"),
        ("--SOLVER", "--solver"),
        ("--sovler", "--solver"),
        ("-o", "--out"),
        ("--batch_size", "--batch-size"),
        ("--xyzzy", None),
        ("--", None),
        ("--" + "solver" * 10**5, None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_was_meant_is_suggested(word, flag):
    assert suggestion(word, FLAGS) == flag


def test_a_parser_suggests_its_own_flags_alone():
    assert suggestion("--tolerance", ["--out", "--quiet"]) is None
    assert suggestion("--output", ["--out", "--quiet"]) == "--out"


def test_whatever_is_meant_exists():
    assert {f"--{target.split()[0]}" for target in MEANT.values()} <= set(FLAGS)
    values = {f"--{target}" for target in MEANT.values() if " " in target}
    for flag, _, value in (text.partition(" ") for text in values):
        assert (
            getattr(build_parser(RunConfig(), "doc", "prog").parse_args([flag, value]), flag[2:])
            == value
        )
    assert not {f"--{word}" for word in MEANT} & set(FLAGS)
