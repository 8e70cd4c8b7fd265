"""Trained models of series in use: classes, values at any times, forecasts, files."""

import numpy as np
import pytest
from flax import nnx

import jaxode
from jaxode.config import RunConfig, SolveConfig
from jaxode.data.series import pad
from jaxode.data.series.reading import read_series
from jaxode.inference import InputFacts, TrainedSeries, recorded_models
from jaxode.models.series_config import SeriesModelConfig, create_series_model
from jaxode.tasks import series_of
from jaxode.tasks.series import examples_of
from jaxode.train.state import split_model

RECORDS = [([0.0, 2.0, 6.0], [[1.0], [2.0], [5.0]]), ([1.0, 3.0], [[4.0], [0.0]])]
SERIES = pad(RECORDS, channels=("x",), record_names=("a", "b"))
SOLVE = SolveConfig("heun", rtol=1e-3, atol=1e-3, per_sample=True)


def trained(model, outputs, task, *, names=(), scale=2.0, unit=2.0, channels=("x",)):
    which = SeriesModelConfig(1, outputs, model, hidden=4, latent=2, units=3, decoder=0)
    config = RunConfig(solve=SOLVE)
    module = create_series_model(which, SOLVE, nnx.Rngs(0))
    facts = InputFacts((1.0,), (scale,), channels, names, time_unit=unit, task=task)
    return TrainedSeries(config, which, split_model(module)[1], facts), module


@pytest.fixture(scope="module")
def classifier():
    return trained("rnn_delta", 2, {"name": "classification"}, names=("up", "down"))


@pytest.fixture(scope="module")
def forecaster():
    return trained("rnn", 0, {"name": "next_value", "noise_std": 0.1})[0]


@pytest.fixture(scope="module")
def latent():
    settings = {"noise_std": 0.1, "likelihood": "mean", "outcome": "outcome"}
    task = {"name": "latent_series", **settings}
    return trained("latent_ode", 1, task, names=("alive", "dead"))[0]


def test_classes_are_those_of_series_in_the_models_units(classifier):
    model, module = classifier
    inward = pad([(np.array(t) / 2, (np.array(x) - 1) / 2) for t, x in RECORDS])
    logits = np.asarray(module(series_of(examples_of(inward)))[0])
    found = model.predict(SERIES)
    above = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(found.probabilities, above / above.sum(1, keepdims=True), rtol=1e-5)
    np.testing.assert_array_equal(model.predict(RECORDS).probabilities, found.probabilities)
    assert str(found).startswith("a  ")
    assert found.to_csv().startswith("series,class,probability,p(up),p(down)\n")
    one = model.predict(RECORDS[:1], batch_size=1)
    np.testing.assert_allclose(one.probabilities, found.probabilities[:1], rtol=1e-5)


def test_a_forecast_goes_on_in_the_users_units(forecaster):
    found = forecaster.predict(SERIES, [7.0, 8.0])
    assert (found.values.shape, found.times.tolist()) == ((2, 2, 1), [[7.0, 8.0]] * 2)
    twice = trained("rnn", 0, {"name": "next_value", "noise_std": 0.1}, scale=4.0)[0]
    inward = pad([(t, 2 * np.array(x) - 1) for t, x in RECORDS], channels=("x",))
    other = twice.predict(inward, [[7.0, 8.0], [7.0, 8.0]])
    np.testing.assert_allclose(other.values - 1, 2 * (found.values - 1), rtol=1e-5)


@pytest.mark.slow
def test_a_latent_ode_predicts_at_any_time_and_tells_an_outcome(latent):
    own = latent.predict(SERIES)
    assert own.times.tolist() == [[0.0, 2.0, 6.0], [1.0, 3.0, 3.0]]
    assert own.lengths.tolist() == [3, 2]
    assert (own.outcome > 0).all()
    assert (own.outcome < 1).all()
    assert str(own).startswith("a  3 times from 0 to 6  dead 0.")
    assert own.to_csv().count("\n") == 1 + 5
    later = latent.predict(SERIES, [2.0, 6.0, 9.0])
    np.testing.assert_allclose(later.values[0, :2], own.values[0, 1:], rtol=1e-2, atol=1e-2)
    loose = latent.with_solve(rtol=1e-1, atol=1e-1).predict(SERIES)
    assert (loose.nfe < own.nfe).all()
    with pytest.raises(jaxode.ConfigError, match="not before the first observation, 1"):
        latent.predict(SERIES, [0.5, 2.0])
    scores = jaxode.evaluate(latent, SERIES)
    observed = SERIES.mask[..., 0]
    errors = (own.values - SERIES.values)[..., 0][observed] / 2
    assert scores.metrics["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, f: m.predict(SERIES, [1.0]), "times must be left out for a model of classes"),
        (lambda m, f: m.with_solve(rtol=1e-1), "rnn_delta solves no ODE"),
        (lambda m, f: m.predict([([0.0], [[1.0, 2.0]])]), "channels must be 1: x, got 2: 0, 1"),
        (lambda m, f: m.predict(pad(RECORDS, channels=("y",))), "channels must be 1: x, got 1: y"),
        (lambda m, f: jaxode.evaluate(m, SERIES), "data must have labels"),
        (lambda m, f: jaxode.evaluate(m), "data must be given"),
        (lambda m, f: f.predict(SERIES), "times must be behind the last observation, 6"),
        (lambda m, f: f.predict(SERIES, [3.0]), "times must be behind the last observation, 6"),
        (lambda m, f: f.predict(SERIES, [8.0, 7.0]), "times must be rising"),
        (lambda m, f: jaxode.evaluate(f, SERIES), "a forecaster is evaluated by its own run"),
    ],
)
def test_a_mistake_is_one_line(classifier, forecaster, call, message):
    with pytest.raises(jaxode.ConfigError, match=message):
        call(classifier[0], forecaster)


def test_labels_are_matched_by_their_names(classifier):
    labelled = pad(RECORDS, [0, 1], channels=("x",), class_names=("down", "up"))
    same = pad(RECORDS, [1, 0], channels=("x",), class_names=("up", "down"))
    assert jaxode.evaluate(classifier[0], labelled).metrics == (
        jaxode.evaluate(classifier[0], same).metrics
    )
    other = pad(RECORDS, [0, 1], channels=("x",), class_names=("left", "right"))
    with pytest.raises(jaxode.ConfigError, match="class_names must be some of up, down"):
        jaxode.evaluate(classifier[0], other)


def test_a_run_without_facts_says_how_to_get_them(tmp_path):
    (tmp_path / "series.json").write_text("{}")
    with pytest.raises(jaxode.ConfigError, match=r"has no inputs.json.*--resume writes it"):
        jaxode.load(tmp_path)


def test_another_kind_of_run_is_loaded_by_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(recorded_models, "LOADERS", dict(recorded_models.LOADERS))
    asked = []
    jaxode.inference.register_recorded_model(
        "orbits.json", lambda path, which: asked.append((path, which)) or "an orbit"
    )
    (tmp_path / "orbits.json").write_text("{}")
    assert jaxode.load(tmp_path, checkpoint="best") == "an orbit"
    assert asked == [(tmp_path, "best")]
    with pytest.raises(jaxode.ConfigError, match=r"file must be another than flow\.json"):
        jaxode.inference.register_recorded_model("flow.json", lambda path, which: None)


def test_every_kind_of_file_is_read(tmp_path):
    values = np.arange(6.0).reshape(2, 3, 1)
    arrays = {"times": [0, 1, 2], "values": values, "labels": ["no", "yes"]}
    for name in ("train.npz", "test.npz"):
        np.savez(tmp_path / name, **arrays)
    np.savez(tmp_path / "plain.npz", times=[0, 1, 2], values=values)
    one = tmp_path / "more" / "one.ts"
    one.parent.mkdir()
    one.write_text("@classLabel true up down\n@data\n1,2:3,4:up\n")
    folder = read_series(tmp_path)
    assert folder.class_names == read_series(tmp_path / "test.npz").class_names == ("no", "yes")
    assert read_series(tmp_path / "plain.npz").labels is None
    assert read_series(one).values.shape == (1, 2, 2)
    records = tmp_path / "records"
    records.mkdir()
    text = "Time,Parameter,Value\n00:00,RecordID,{}\n01:02,HR,80\n"
    for number in (7, 12):
        (records / f"{number}.txt").write_text(text.format(number))
    assert read_series(records, 0.1).record_names == ("7", "12")
    assert read_series(records / "12.txt", 0.1).labels is None
    for path, message in [
        (records / "12.txt", "no PhysioNet records"),
        (tmp_path / "nowhere", "cannot read"),
        (tmp_path / "other.txt", "cannot read"),
    ]:
        with pytest.raises(jaxode.ConfigError, match=message):
            read_series(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(jaxode.ConfigError, match=r"must hold NAME_TEST.ts, test.npz or records"):
        read_series(tmp_path / "empty")
