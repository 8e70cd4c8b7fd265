"""Sets that TFDS has prepared in array_record format: read, trained on, and refused in one line."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from commands import surroundings
from PIL import Image

import jaxode
from jaxode.cli import main as command
from jaxode.cli import process, train_dataset
from jaxode.config import DataConfig, preset
from jaxode.data import DataError, load, spec_of
from jaxode.data.builders import quiet
from jaxode.data.tfds_sets import locate

COLOURS = {"red": (220, 40, 40), "blue": (40, 60, 220)}
PICTURES = {
    "image": tfds.features.Image(shape=(None, None, 3)),
    "label": tfds.features.ClassLabel(names=list(COLOURS)),
    "number": np.int32,
}


def picture(number, size, mode="RGB"):
    """A PNG of one colour and its label."""
    label = number % 2
    file = io.BytesIO()
    Image.new("RGB", size, list(COLOURS.values())[label]).convert(mode).save(file, "PNG")
    file.seek(0)
    return file, label


def pictures(count, sizes=((12, 9), (16, 16), (9, 20)), mode="RGB"):
    """Examples of PICTURES."""
    for number in range(count):
        image, label = picture(number, sizes[number % len(sizes)], mode)
        yield {"image": image, "label": label, "number": number}


class Prepared(tfds.core.GeneratorBasedBuilder):
    """A builder as a user of TFDS writes it."""

    VERSION = tfds.core.Version("1.0.0")
    name = "colours"

    def __init__(self, root, features, splits, keys, **options):
        self.of_set, self.of_splits, self.keys = features, splits, keys
        with quiet():
            super().__init__(data_dir=str(root), **options)

    def _info(self):
        features = tfds.features.FeaturesDict(self.of_set)
        return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=self.keys)

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(each) for name, each in self.of_splits.items()}

    def _generate_examples(self, examples):
        yield from enumerate(examples)


def prepare(root, features=PICTURES, splits=None, keys=("image", "label"), **options):
    """Write a set; returns the folder for --data-dir."""
    splits = {"train": pictures(24), "validation": pictures(6)} if splits is None else splits
    builder = Prepared(root, features, splits, keys, file_format="array_record", **options)
    tfds.disable_progress_bar()
    with quiet():
        builder.download_and_prepare(download_dir=str(root / "downloads"))
    return root


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """A set of pictures of differing sizes, and that TFDS needed no TensorFlow for it."""
    root = prepare(tmp_path_factory.mktemp("tensorflow_datasets"))
    assert "tensorflow" not in sys.modules
    return root


@pytest.fixture(autouse=True)
def no_handlers(monkeypatch):
    """The tests' process keeps its own signal handlers and exit functions."""
    monkeypatch.setattr(process, "prepare", lambda: None)


def test_its_images_are_made_square_and_measured(colours):
    data = load(DataConfig("tfds:colours", data_dir=str(colours), image_size=8), progress=False)
    assert data.train_images.shape == (24, 8, 8, 3)
    assert data.test_labels.tolist().count(0) == 3  # the validation split
    assert data.spec.class_names == ("red", "blue")
    assert data.whole
    for image, label in zip(data.train_images, data.train_labels, strict=True):
        assert (image == list(COLOURS.values())[label]).all()
    pixels = data.train_images.astype(float) / 255
    np.testing.assert_allclose(data.spec.mean, pixels.mean((0, 1, 2)))
    np.testing.assert_allclose(data.spec.std, pixels.std((0, 1, 2)))
    assert spec_of(DataConfig("tfds:colours", data_dir=str(colours))).image_size == 64


def test_grey_images_of_one_size_keep_it(tmp_path):
    features = {
        "picture": tfds.features.Image(shape=(6, 6, 1)),
        "kind": tfds.features.ClassLabel(num_classes=2),
    }
    examples = [
        {"picture": each["image"], "kind": each["label"]} for each in pictures(10, ((6, 6),), "L")
    ]
    prepare(tmp_path, features, {"train": examples}, keys=None)
    data = jaxode.load_dataset("tfds:colours:1.0.0", str(tmp_path), progress=False)
    assert data.train_images.shape == (8, 6, 6, 1)
    assert np.bincount(data.test_labels).tolist() == [1, 1]  # a fifth of every class
    assert data.spec.class_names == ("0", "1")
    grey = np.asarray(Image.new("RGB", (1, 1), COLOURS["red"]).convert("L")).item()
    assert set(data.train_images[data.train_labels == 0].ravel()) == {grey}


def test_a_test_split_without_labels_is_passed_over(tmp_path):
    hidden = [{**each, "label": -1} for each in pictures(4)]
    splits = {"train": pictures(6), "test": hidden, "validation": pictures(2)}
    prepare(tmp_path, splits=splits)
    assert spec_of(DataConfig("tfds:colours", data_dir=str(tmp_path))).test_images == 2


def test_train_predict_and_evaluate(colours, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = f"--data-dir {colours} --image-size 8 --model mlp --batch-size 8 --quiet --lr 0.01"
    code = train_dataset.main(["tfds:colours", *flags.split(), "--epochs", "5"])
    assert code == 0
    assert "mlp on tfds:colours" in capsys.readouterr().out
    (out,) = tmp_path.glob("runs/tfds/colours/mlp-*")
    image, label = picture(1, (30, 20))
    (tmp_path / "blue.png").write_bytes(image.read())
    assert label == 1
    assert command.main(["predict", str(out), "blue.png"]) == 0
    assert capsys.readouterr().out.split()[:2] == ["blue.png", "blue"]
    assert command.main(["evaluate", str(out), "--dataset", "tfds:colours:1.0.0"]) == 2
    assert "data_dir must name the folder" in capsys.readouterr().err
    assert command.main(["evaluate", str(out)]) == 0
    assert "accuracy 100.00 %" in capsys.readouterr().out


def test_help_and_preset_know_the_family(capsys):
    assert preset("tfds:colours").data.dataset == "tfds:colours"
    assert preset("tfds:colours").model.stem == "eighth"
    with pytest.raises(SystemExit):
        train_dataset.main(["tfds:colours", "--help"]) or sys.exit(0)
    assert "runs/tfds/colours/" in capsys.readouterr().out
    assert train_dataset.main(["--help"]) == 0
    assert "tfds:NAME" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("tfds:mnist", r"must hold mnist as TFDS prepares it, and holds colours; where TensorFlow"),
        ("tfds:colours:2.0.0", "must hold colours:2.0.0"),
        ("tfds:colours/small", "must hold colours/small"),
        ("tfds:../colours", "dataset must be tfds:NAME"),
        ("tfds:", "dataset must be tfds:NAME"),
    ],
)
def test_a_set_that_is_not_there_is_one_clear_line(colours, capsys, dataset, message):
    assert train_dataset.main([dataset, "--data-dir", str(colours)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    with pytest.raises(ValueError, match=message) as caught:
        spec_of(DataConfig(dataset, data_dir=str(colours)))
    assert str(caught.value) in err


NUMBERS = {"x": tfds.features.Tensor(shape=(2,), dtype=np.float32), "label": np.int32}


@pytest.mark.parametrize(
    ("features", "splits", "message"),
    [
        (
            NUMBERS,
            {"train": [{"x": np.zeros(2, np.float32), "label": 0}]},
            r"must have an Image of uint8 and a ClassLabel .* has label \(Tensor\), x \(Tensor\)",
        ),
        (
            {name: PICTURES[name] for name in ("image", "number")},
            {"train": [{"image": picture(0, (4, 4))[0], "number": 0}]},
            r"has image \(Image\), number \(Tensor\)",
        ),
        (PICTURES, {"validation": list(pictures(2))}, "must have the split train, and has valid"),
        (
            PICTURES,
            {"train": [{**each, "label": -1} for each in pictures(3)]},
            "example 0 of train must have a label from 0 to 1, got -1",
        ),
    ],
)
def test_a_set_without_images_or_labels_is_one_clear_line(tmp_path, features, splits, message):
    prepare(tmp_path, features, splits, keys=None)
    with pytest.raises(DataError, match=message):
        load(DataConfig("tfds:colours", data_dir=str(tmp_path)), progress=False)


def damage_records(folder):
    for path in folder.glob("*.array_record*"):
        path.write_bytes(path.read_bytes()[:100])


def of_another_package(folder):
    path = folder / "features.json"
    stored = path.read_text(encoding="utf-8")
    path.write_text(
        stored.replace("tensorflow_datasets.core.features.image_feature", "antigravity")
    )


def in_tfrecord(folder):
    path = folder / "dataset_info.json"
    about = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**about, "fileFormat": "tfrecord"}), encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_records, "cannot be read"),
        (of_another_package, "must have features of TFDS alone, got 'antigravity.Image'"),
        (in_tfrecord, "must be in array_record format, .* and is in tfrecord"),
        (lambda folder: (folder / "features.json").write_text("{}"), "is no whole set of TFDS"),
        (lambda folder: (folder / "features.json").unlink(), "cannot be read"),
    ],
)
def test_a_damaged_set_is_one_clear_line(tmp_path, damage, message):
    prepare(tmp_path)
    damage(tmp_path / "colours" / "1.0.0")
    with pytest.raises(DataError, match=message):
        load(DataConfig("tfds:colours", data_dir=str(tmp_path)), progress=False)
    assert "antigravity" not in sys.modules


def test_the_latest_version_and_a_config_are_found(tmp_path):
    for place in ("a/1.0.0", "a/10.0.0", "a/9.1.0", "b/small/1.0.0", "b/large/1.0.0", "c/x/2.0.0"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "dataset_info.json").touch()
    (tmp_path / "a" / "11.0.0").mkdir()  # not prepared
    assert locate(tmp_path, "tfds:a") == tmp_path / "a" / "10.0.0"
    assert locate(tmp_path, "tfds:a:9.1.0") == tmp_path / "a" / "9.1.0"
    assert locate(tmp_path, "tfds:b/small") == tmp_path / "b" / "small" / "1.0.0"
    assert locate(tmp_path, "tfds:c") == tmp_path / "c" / "x" / "2.0.0"
    with pytest.raises(DataError, match="one of the configs tfds:b/large, tfds:b/small"):
        locate(tmp_path, "tfds:b")


def test_only_a_prepared_set_imports_tfds(tmp_path):
    """Training on the sample and predicting load neither TFDS nor array_record."""
    Image.new("L", (28, 28), 255).save(tmp_path / "x.png")
    code = """
import sys
from jaxode.cli.main import _run
flags = "--data sample --model mlp --limit-train 32 --limit-test 8 --epochs 1 --quiet --out run"
assert _run(["train", "mnist", *flags.split()]) == 0
assert _run(["predict", "run", "x.png"]) == 0
print(*[m for m in ("tensorflow_datasets", "array_record", "tensorflow") if m in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=surroundings(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == ""
