"""The predictions of a run for its test split, with a stub for a model."""

import json
import os

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix
from stubs import builder, image_set, run_config, without_pictures

from jaxode import metrics
from jaxode.ode import Stats
from jaxode.runs import RunDirectory, predictions
from jaxode.tasks import Classification
from jaxode.tasks.classification import top1
from jaxode.train import run
from jaxode.train.microbatch import solver_stats

TASK = Classification(10)
CONFIG = run_config(epochs=2).replaced(per_sample=True)
DATA = image_set()


def go(out, config=CONFIG):
    out.mkdir(exist_ok=True)
    return run(config, DATA, out, build=builder())


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Pictures are slow to draw."""
    without_pictures(monkeypatch)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        without_pictures(patch)
        return out, go(out)


def test_every_test_image_is_recorded_once(whole):
    """23 images in batches of 16: the padding of the last one is left out."""
    out, result = whole
    found = predictions.load(out, 2, TASK)
    assert found["index"].tolist() == list(range(23))
    assert found["label"].tolist() == DATA.test_labels.tolist()
    assert found["nfe"].tolist() == [[20 + 6 * k, 40 + 6 * k] for k in found["predicted"]]
    assert found["accepted"].tolist() == [[3 + k, 6 + k] for k in found["predicted"]]
    assert found["rejected"].tolist() == 23 * [[0, 1]]
    assert np.mean(found["predicted"] == found["label"]) == pytest.approx(result["test_accuracy"])
    assert result["nfe_forward"] == pytest.approx(found["nfe"].mean())
    assert result["accepted"] > 4.5  # of the training images


def test_each_class_has_its_scores(whole):
    out, result = whole
    found = predictions.load(out, 2, TASK)
    report = result["classification"]
    counts = confusion_matrix(found["label"], found["predicted"], labels=range(10))
    assert report == metrics.report(counts, DATA.spec.class_names)
    assert report["accuracy"] == pytest.approx(result["test_accuracy"])
    assert report["macro"]["f1"] == pytest.approx(result["test_macro_f1"])


def test_the_chance_of_what_is_predicted_is_its_softmax():
    logits = np.array([[1000.0, 1000.0 + np.log(3), 0.0], [0.0, 0.0, 0.0]], np.float32)
    found = top1(logits)
    assert found["predicted"].tolist() == [1, 0]
    np.testing.assert_allclose(found["probability"], [0.75, 1 / 3], rtol=1e-4)


def test_the_result_sums_up_what_images_cost(whole):
    out, result = whole
    nfe, labels = (predictions.load(out, 2, TASK)[name] for name in ("nfe", "label"))
    evaluations = result["nfe_per_image"]
    costs = nfe.sum(1)
    assert (evaluations["mean"], evaluations["min"], evaluations["max"]) == (
        costs.mean(),
        costs.min(),
        costs.max(),
    )
    for k, name in enumerate(DATA.spec.class_names):
        assert evaluations["class_means"][name] == (
            pytest.approx(costs[labels == k].mean()) if k in labels else None
        )
    assert json.loads((out / "result.json").read_text()) == result


@pytest.mark.parametrize("lost", ["images.npz", "confusion.png", "nfe_by_class.png", "result.json"])
def test_what_is_missing_of_a_complete_run_is_made_again(whole, lost):
    out, result = whole
    images = (out / "images.npz").read_bytes()
    assert RunDirectory(out).has_report(TASK)
    (out / lost).unlink()
    assert not RunDirectory(out).has_report(TASK)
    again = go(out)
    for name in ("classification", "nfe_per_image"):
        assert again[name] == result[name]
    assert (out / "images.npz").read_bytes() == images
    assert RunDirectory(out).has_report(TASK)


def test_a_damaged_or_outdated_record_is_none(whole, tmp_path):
    out, _ = whole
    assert predictions.load(out, 3, TASK) is None
    whole_file = (out / "images.npz").read_bytes()
    for damaged in (b"", whole_file[:-30], whole_file[:200]):
        (tmp_path / "images.npz").write_bytes(damaged)
        assert predictions.load(tmp_path, 2, TASK) is None
    np.savez(tmp_path / "images.npz", epochs=np.arange(3))
    assert predictions.load(tmp_path, 2, TASK) is None
    numbers = dict.fromkeys(("index", "label", "predicted"), np.arange(5000))
    np.savez(
        tmp_path / "images.npz", **numbers, probability=np.ones(5000), epochs=2
    )  # headers that can be changed
    stored = (tmp_path / "images.npz").read_bytes()
    assert predictions.load(tmp_path, 2, TASK) is not None
    (tmp_path / "images.npz").write_bytes(stored.replace(b"(5000,)", b"(3000,)"))
    assert predictions.load(tmp_path, 2, TASK) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"label": np.full(23, -1)},
        {"predicted": np.zeros(23)},
        {"predicted": np.zeros(22, int)},
        {"index": np.zeros((23, 1), int)},
        {"nfe": np.zeros(23, int)},
        {"nfe": np.zeros((23, 0), int)},
        {"accepted": None},
        {"label": None},
        {"probability": np.array(["x"] * 23)},
        {"epochs": np.array(2.5)},
    ],
)
def test_a_record_of_other_arrays_is_none(whole, tmp_path, changes):
    found = {**predictions.load(whole[0], 2, TASK), **changes}
    np.savez(
        tmp_path / "images.npz",
        **{name: array for name, array in found.items() if array is not None},
    )
    assert predictions.load(tmp_path, 2, TASK) is None


def test_a_record_of_other_images_is_made_again(whole):
    out, result = whole
    found, before = predictions.load(out, 2, TASK), (out / "images.npz").read_bytes()
    for wrong in ({"label": found["label"][::-1]}, {"predicted": found["predicted"] + 10}):
        predictions.save(out, {**found, **wrong})
        assert go(out)["classification"] == result["classification"]
        assert (out / "images.npz").read_bytes() == before


def test_a_record_that_would_fill_the_memory_is_not_read(tmp_path, whole, monkeypatch):
    found = predictions.load(whole[0], 2, TASK)
    np.savez_compressed(tmp_path / "images.npz", **found, more=np.zeros((23, 1 << 16), np.uint8))
    assert predictions.load(tmp_path, 2, TASK) is not None
    monkeypatch.setattr(predictions, "UNPACKED_BYTES", 1 << 20)
    assert predictions.load(tmp_path, 2, TASK) is None
    monkeypatch.undo()
    monkeypatch.setattr(predictions, "FILE_BYTES", (tmp_path / "images.npz").stat().st_size - 1)
    assert predictions.load(tmp_path, 2, TASK) is None
    monkeypatch.undo()
    (tmp_path / "images.npz").unlink()
    os.mkfifo(tmp_path / "images.npz")
    assert predictions.load(tmp_path, 2, TASK) is None


def test_a_record_with_a_flipped_bit_is_none_or_none_the_worse(whole, tmp_path):
    """Some bits of a zip file say nothing of its content, such as dates."""
    out, _ = whole
    expected, content = predictions.load(out, 2, TASK), (out / "images.npz").read_bytes()
    unread = 0
    for place in np.random.default_rng(0).choice(8 * len(content), 150, replace=False):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        (tmp_path / "images.npz").write_bytes(damaged)
        found = predictions.load(tmp_path, 2, TASK)
        if found is None:
            unread += 1
            continue
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values, strict=True)
    assert 75 < unread < 150


@pytest.mark.parametrize("model", ["mlp", "odenet"])
def test_without_steps_of_their_own_images_have_predictions_alone(tmp_path, model):
    config = run_config(epochs=1).replaced(model=model)
    result = go(tmp_path / "run", config)
    assert "classification" in result
    assert "nfe_per_image" not in result
    found = predictions.load(tmp_path / "run", 1, TASK)
    assert set(found) == {"index", "label", "predicted", "probability", "epochs"}
    assert len(found["predicted"]) == 23
    assert not (tmp_path / "run" / "nfe_by_class.png").exists()
    assert RunDirectory(tmp_path / "run").has_report(TASK)


def test_a_step_counts_only_images_that_count():
    nfe = jnp.array([[20, 26, 500], [26, 32, 500]])
    solves, stats = solver_stats(
        Stats(nfe, nfe, nfe, jnp.array([[0, 0, 0], [0, 0, 3]])), np.array([1.0, 0.5, 0.0])
    )
    assert (int(solves), stats.nfe.tolist(), stats.failure.tolist()) == (2, [46, 58], [0, 3])
