"""A trained model loaded from its run: predictions, evaluations, other solve settings."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from PIL import Image

import jaxode
from jaxode.checks import ConfigError
from jaxode.data import ArrayDataset
from jaxode.inference import read_pictures
from jaxode.runs.predictions import PREDICTIONS


def result(run):
    return json.loads((run / "result.json").read_text())


@pytest.mark.parametrize("name", ["odenet", "mlp"])
def test_an_evaluation_is_that_of_training(runs, name):
    model = jaxode.load(runs[name])
    found, expected = jaxode.evaluate(model), result(runs[name])
    assert found.accuracy == expected["test_accuracy"]
    assert found.metrics["macro_f1"] == expected["test_macro_f1"]
    assert found.metrics["loss"] == pytest.approx(expected["test_loss"], rel=1e-6)
    assert found.nfe == expected["nfe_forward"]
    assert found.confusion.sum() == found.examples == 20
    train = jaxode.evaluate(model, split="train")
    assert (train.examples, train.accuracy) == (48, expected["train_accuracy"])


def test_predictions_are_those_that_the_run_stored(runs):
    model = jaxode.load(runs["odenet"])
    images = jaxode.load_dataset("mnist", data="sample").test_images[:20]
    found = model.predict(images, batch_size=16)
    with np.load(runs["odenet"] / PREDICTIONS) as stored:
        np.testing.assert_array_equal(found.labels, stored["predicted"])
        np.testing.assert_allclose(found.confidence, stored["probability"], rtol=1e-5)
    np.testing.assert_allclose(found.probabilities.sum(1), 1, rtol=1e-6)
    assert found.nfe.shape == (20,)
    assert found.classes == [str(label) for label in found.labels]


def test_the_solve_can_be_changed_without_training(runs):
    model = jaxode.load(runs["odenet"])
    loose = jaxode.evaluate(model, rtol=1.0, atol=1.0)
    tight = jaxode.evaluate(model, rtol=1e-4, atol=1e-4)
    assert loose.nfe < tight.nfe
    fixed = jaxode.evaluate(model, solver="euler", step_size=0.25)
    assert fixed.nfe == 4
    alone = model.with_solve(per_sample=True)
    images = jaxode.load_dataset("mnist", data="sample").test_images[:3]
    together, single = alone.predict(images), [alone.predict(image) for image in images]
    for number, each in enumerate(single):
        assert together.nfe[number] == each.nfe[0]
        np.testing.assert_allclose(
            together.probabilities[number], each.probabilities[0], rtol=1e-4, atol=1e-6
        )


def test_what_cannot_be_changed_is_named(runs):
    with pytest.raises(ConfigError, match="mlp solves no ODE, got rtol"):
        jaxode.load(runs["mlp"]).with_solve(rtol=1)
    with pytest.raises(ConfigError, match=r"solve setting must be one of .*, got tolerance"):
        jaxode.load(runs["odenet"]).with_solve(tolerance=1)
    with pytest.raises(ConfigError, match="rtol must be"):
        jaxode.evaluate(jaxode.load(runs["odenet"]), rtol=-1)


def test_other_data_is_evaluated_where_it_fits(runs):
    model = jaxode.load(runs["mlp"])
    sample = jaxode.load_dataset("mnist", data="sample")
    split = {"image": sample.test_images[:7], "label": sample.test_labels[:7]}
    assert jaxode.evaluate(model, ArrayDataset("seven", split, split)).examples == 7
    small = {**split, "image": split["image"][:, :14]}
    with pytest.raises(ConfigError, match=r"images must be \[28, 28, 1\], got \[14, 28, 1\]"):
        jaxode.evaluate(model, ArrayDataset("small", small, small))
    more = {**split, "label": split["label"] + 10}
    with pytest.raises(ConfigError, match="labels must be below 10"):
        jaxode.evaluate(model, ArrayDataset("more", more, more))


def test_pictures_of_any_kind_are_the_same_picture(runs, tmp_path):
    digit = jaxode.load_dataset("mnist", data="sample").test_images[0]
    grey = Image.fromarray(digit[:, :, 0])
    folder = tmp_path / "digits"
    folder.mkdir()
    grey.save(folder / "grey.png")
    grey.convert("RGB").save(folder / "colour.png")
    grey.convert("RGBA").save(folder / "alpha.png")
    turned = Image.Exif()
    turned[274] = 6  # to be turned by 90° clockwise
    grey.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.png", exif=turned)
    (folder / "._grey.png").write_bytes(b"notes of macOS")
    names, images = read_pictures([folder, grey, digit, digit / 255, digit[:, :, 0]], 28, 1)
    assert [name.rpartition("/")[2] for name in names] == [
        "alpha.png", "colour.png", "grey.png", "turned.png", "4", "5", "6", "7",
    ]  # fmt: skip
    for image in images:
        np.testing.assert_array_equal(image, digit)
    found = jaxode.load(runs["mlp"]).predict(folder)
    assert len(found) == 4
    assert len(set(found.confidence.tolist())) == 1
    assert str(found).count("\n") == 3
    assert found.to_csv().count("\n") == 5
    assert found.top(2)[0][0] == (found.classes[0], pytest.approx(found.confidence[0]))


def test_the_middle_of_a_wide_picture_is_shown():
    wide = np.zeros((40, 100), np.uint8)
    wide[:, 30:70] = 200
    assert (read_pictures(wide, 20, 3)[1][0, 1:-1, 1:-1] == 200).all()


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        ([], "pictures must be at least one"),
        (np.zeros((2, 2, 2, 2, 2), np.uint8), r"must be \[N, H, W, C\]"),
        (np.zeros((4, 4, 5, 2), np.uint8), r"got \[4, 5, 2\]"),
        (np.full((4, 4), 2.0), "floating-point pixels must be 0 to 1, got 2 to 2"),
        (np.full((4, 4), np.nan), "floating-point pixels must be 0 to 1"),
        (np.zeros((4, 4), np.int32), "must be uint8 or floating, got int32"),
        (7, "must be paths, PIL images or NumPy arrays, got int"),
        ("nowhere.png", "nowhere.png cannot be read"),
    ],
)
def test_no_picture_is_one_clear_line(pictures, message):
    with pytest.raises(ConfigError, match=message):
        read_pictures(pictures, 28, 1)


def test_no_run_is_one_clear_line(runs, tmp_path):
    with pytest.raises(ConfigError, match="must be a run's directory or a file of weights"):
        jaxode.load(tmp_path / "nothing")
    with pytest.raises(ConfigError, match=r"is no run: it has no config\.json"):
        jaxode.load(tmp_path)
    with pytest.raises(ConfigError, match="checkpoint must be last or best, got 'first'"):
        jaxode.load(runs["mlp"], checkpoint="first")
    (tmp_path / "config.json").write_bytes((runs["mlp"] / "config.json").read_bytes())
    with pytest.raises(ConfigError, match="must hold a checkpoint to load, and has none"):
        jaxode.load(tmp_path)


def test_the_best_checkpoint_is_another_one_where_it_should_be(runs):
    best = jaxode.load(runs["mlp"], checkpoint="best")
    assert best.epoch == 1
    jax.tree.map(np.testing.assert_array_equal, best.learned, jaxode.load(runs["mlp"]).learned)


def test_arrays_and_batches_are_evaluated_as_a_data_set_is(runs):
    model = jaxode.load(runs["mlp"])
    data = jaxode.load_dataset("mnist", data="sample", limit_train=48, limit_test=20)
    images, labels = data.test_images, data.test_labels
    expected = jaxode.evaluate(model, data)
    pairs = ((images[n : n + 7], labels[n : n + 7]) for n in range(0, 20, 7))
    for given in ({"image": images, "label": labels}, pairs):
        found = jaxode.evaluate(model, given)
        np.testing.assert_array_equal(found.confusion, expected.confusion)
        assert found.metrics == expected.metrics
    with pytest.raises(ConfigError, match="images must be uint8, as they are stored, got float32"):
        jaxode.evaluate(model, {"image": images.astype(np.float32) / 255, "label": labels})
    with pytest.raises(ConfigError, match=r"must have the arrays image and label, got \['image'\]"):
        jaxode.evaluate(model, {"image": images})
    with pytest.raises(ConfigError, match="iterable of batches, got int"):
        jaxode.evaluate(model, 3)
