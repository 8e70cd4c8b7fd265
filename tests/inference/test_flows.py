"""Trained densities in use: units of the data, batches, files."""

import io

import numpy as np
import pytest
from flax import nnx

import jaxode
from jaxode.config import RunConfig, SolveConfig
from jaxode.data.point_files import read_points
from jaxode.errors import ResumeError
from jaxode.inference import InputFacts, TrainedFlow
from jaxode.models import ContinuousFlow
from jaxode.nn import ConcatSquashField

POINTS = np.random.default_rng(0).normal(size=(5, 2)) * [3.0, 0.2] + [10.0, -1.0]
FACTS = InputFacts((10.0, -1.0), (3.0, 0.2))


@pytest.fixture(scope="module")
def flow():
    field = ConcatSquashField(2, (4,), rngs=nnx.Rngs(0))
    solve = SolveConfig("rk4", step_size=0.25)
    config = RunConfig(solve=solve)
    return TrainedFlow(config, ContinuousFlow(field, 2, solve), FACTS)


def test_densities_are_of_the_users_units(flow):
    inward = ((POINTS - [10.0, -1.0]) / [3.0, 0.2]).astype(np.float32)
    expected = np.asarray(flow.flow.log_prob(inward)[0], np.float64) - np.log(0.6)
    np.testing.assert_allclose(flow.log_density(POINTS), expected, rtol=1e-5)
    in_parts = flow.log_density(POINTS, batch_size=2)
    np.testing.assert_allclose(in_parts, expected, rtol=1e-5)
    assert jaxode.evaluate(flow, POINTS).metrics["loss"] == pytest.approx(
        -np.mean(expected + np.log(0.6)), rel=1e-5
    )


def test_there_and_back(flow):
    np.testing.assert_allclose(flow.decode(flow.encode(POINTS)), POINTS, rtol=1e-4)
    drawn = flow.sample(7, seed=3, batch_size=3)
    assert drawn.shape == (7, 2)
    np.testing.assert_array_equal(drawn, flow.sample(7, seed=3, batch_size=3))
    assert np.abs(drawn - flow.sample(7, seed=4, batch_size=3)).max() > 0.1
    assert abs(drawn[:, 0].mean() - 10) < 6


def test_files(flow, tmp_path):
    np.save(tmp_path / "p.npy", POINTS)
    (tmp_path / "p.csv").write_text("a;b\n" + "\n".join(f"{x!r};{y!r}" for x, y in POINTS.tolist()))
    one = flow.predict(tmp_path / "p.npy")
    both = flow.predict_files([tmp_path / "p.npy", tmp_path / "p.csv"])
    np.testing.assert_allclose(both.values, np.tile(one.values, 2), rtol=1e-5)
    assert both.names[5] == f"{tmp_path / 'p.csv'}:0"
    assert one.names == ["0", "1", "2", "3", "4"]
    assert both.to_csv().count("\n") == 11
    assert str(one).splitlines()[-1].endswith("nats of 5 points, 16.0 evaluations a solve")


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("p.csv", b"1,2\n3\n", "line 2: 1 numbers, where the first has 2"),
        ("p.csv", b"1,2\nx,3\n", "line 2: must be a finite number"),
        ("p.csv", b"a,b\n", "must be an array"),
        ("p.csv", b"1,nan\n", "line 1: must be a finite number, got 'nan'"),
        ("p.csv", b"x,1\n2,3\n", "line 1: must be a finite number, got 'x'"),
        ("p.csv", b"1_0,2\n", "line 1: must be a finite number, got '1_0'"),
        ("p.csv", b"\xff1,2\n", "line 1: .*utf-8"),
        ("p.npy", b"1,2\n", "cannot read"),
        ("p.npy", None, "cannot read"),
    ],
)
def test_a_wrong_file_is_named(name, contents, message, tmp_path):
    if contents is not None:
        (tmp_path / name).write_bytes(contents)
    with pytest.raises(ValueError, match=message):
        read_points(tmp_path / name, 2)


def test_objects_are_not_read(tmp_path):
    stream = io.BytesIO()
    np.save(stream, np.array([{}]), allow_pickle=True)
    (tmp_path / "p.npy").write_bytes(stream.getvalue())
    with pytest.raises(jaxode.ConfigError, match="cannot read"):
        read_points(tmp_path / "p.npy", 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda flow: flow.log_density(np.ones((3, 5))), r"numbers \[N, 2\], got \[3, 5\]"),
        (lambda flow: flow.log_density([[np.nan, 1]]), "finite"),
        (lambda flow: flow.sample(0), "n must be"),
        (lambda flow: flow.with_solve(rtol=-1), "rtol must be"),
        (lambda flow: jaxode.evaluate(flow), "data must be given"),
    ],
)
def test_a_mistake_is_one_line(flow, call, message):
    with pytest.raises(jaxode.ConfigError, match=message):
        call(flow)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": [1.0, 0.0]}, "scale must be finite numbers"),
        ({"shift": ["a", 1.0]}, "shift holds 'a'"),
        ({"time_unit": 0}, "time_unit must be above 0"),
        ({"channels": None}, "channels must be a list"),
        ({"shift": [False, 1.0]}, "shift holds False"),
        ({"quantisation": "x"}, "quantisation must be a number"),
        ({"quantisation": 0}, "quantisation must be above 0"),
    ],
)
def test_damaged_facts_are_named(change, message):
    assert InputFacts.from_json(FACTS.to_json()) == FACTS
    with pytest.raises(jaxode.ConfigError, match=message):
        InputFacts.from_json({**FACTS.to_json(), **change})


def test_a_directory_with_the_name_alone_is_refused(tmp_path):
    (tmp_path / "flow.json").write_text("{}")
    with pytest.raises((jaxode.ConfigError, ResumeError), match=r"flow.json must have"):
        jaxode.load(tmp_path)
