"""`regularise`, the setting and the flag: what it is read from, and what is wrong with it."""

import json

import pytest

from experiments.densities.config import DensityConfig
from jaxode.checks import ConfigError
from jaxode.cli.flags import add_fields
from jaxode.cli.parser import Parser, parse_flags
from jaxode.cli.request import build_parser, parse, with_settings, without_effect
from jaxode.config import Regularisers, RunConfig, SolveConfig, preset
from jaxode.config.migration import migrated, stored
from scripts.tables.protocols import identity


def parsed(*flags):
    parser = build_parser(preset("mnist"), "Trains.", "train")
    return with_settings(preset("mnist"), parse(parser, list(flags)).settings)


def test_a_text_has_one_form_whatever_its_order_and_spelling():
    solve = SolveConfig(regularise=" weight-decay = 1e-4 ,kinetic=.01,jacobian=0")
    assert solve.regularise == "kinetic=0.01,weight_decay=0.0001"
    assert solve.regularisers == Regularisers(kinetic=0.01, weight_decay=1e-4)
    assert SolveConfig(regularise=solve.regularise) == solve
    assert SolveConfig(regularise="kinetic=0,steer=0.0") == SolveConfig()


def test_the_flag_may_be_given_more_than_once():
    both = parsed("--regularise", "steer=0.2", "--regularise=kinetic=0.01,jacobian=1")
    assert both.solve.regularise == "kinetic=0.01,jacobian=1.0,steer=0.2"
    assert parsed("--regularise", "kinetic=0.01,jacobian=1,steer=0.2") == both
    parser = Parser(prog="density")
    add_fields(parser, DensityConfig, dict.fromkeys(DensityConfig().__dict__))
    found = parse_flags(parser, ["--regularise=kinetic=1", "--regularise=steer=1"])
    assert found["regularise"] == "kinetic=1,steer=1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kinetik=1", r"NAME one of kinetic, .*error \(did you mean kinetic\?\), got"),
        ("rnode=1", r"did you mean kinetic"),
        ("ernode=1", r"did you mean error"),
        ("kinetic", "kinetic=WEIGHT with a number from 0 to 1e+06, got 'kinetic'"),
        ("kinetic=-1", "kinetic=WEIGHT with a number from 0"),
        ("kinetic=nan", "kinetic=WEIGHT with a number from 0"),
        ("kinetic=1e7", "kinetic=WEIGHT with a number from 0"),
        ("kinetic=1e999", "kinetic=WEIGHT with a number from 0"),
        ("kinetic=1,kinetic=2", "one weight for 'kinetic'"),
        ("kinetic=1,", "NAME=WEIGHT joined by commas"),
    ],
)
def test_what_is_wrong_is_one_line(text, words, capsys):
    for settings in (SolveConfig, DensityConfig):
        with pytest.raises(ConfigError, match=words.replace("+", r"\+")):
            settings(regularise=text)
    with pytest.raises(ConfigError, match=r"^--regularise must be ") as found:
        parsed("--regularise", text)
    assert "\n" not in str(found.value)


def test_it_has_no_effect_on_a_model_without_odes():
    config = parsed("--model=resnet", "--regularise=kinetic=1")
    assert without_effect(config, {"regularise": "kinetic=1"}) == ["--regularise"]


def test_it_is_stored_and_tells_runs_apart():
    config = RunConfig().replaced(regularise="kinetic=0.01")
    assert RunConfig.from_json(migrated(json.loads(json.dumps(stored(config.to_json()))))) == config
    assert identity(config) != identity(RunConfig())
    before = RunConfig().to_json()
    del before["solve"]["regularise"]  # as earlier versions have stored it
    assert RunConfig.from_json(before) == RunConfig()
    assert identity(RunConfig()) == identity(RunConfig().replaced(regularise="kinetic=0"))


def test_the_help_names_every_regulariser(capsys):
    with pytest.raises(SystemExit):
        build_parser(preset("mnist"), "Trains.", "train").parse_args(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for name in Regularisers().__dict__:
        assert f"{name}:" in text
