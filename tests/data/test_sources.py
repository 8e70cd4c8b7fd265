"""A data set is one file: the built-in ones and those of other packages register themselves."""

import importlib
import json
import pkgutil
import subprocess
import sys

import numpy as np
import pytest
from files import idx_bytes

import jaxode
import jaxode.data
from jaxode.checks import ConfigError
from jaxode.config import DataConfig, ModelConfig, OptimConfig, RunConfig
from jaxode.data import (
    SPECS,
    ArrayDataset,
    DataError,
    DatasetSpec,
    ImageSet,
    SourceFile,
    dataset_names,
    has_predefined_split,
    load,
    load_dataset,
    register_dataset,
    sources,
    spec_of,
    unregister_dataset,
)
from jaxode.data.readers import IDX
from jaxode.runs import read_config
from jaxode.train import run
from scripts.settings import settings, settings_parser

pytestmark = pytest.mark.usefixtures("no_pictures")

FILES = {
    split: (SourceFile(f"{split}.images", None, None), SourceFile(f"{split}.labels", None, None))
    for split in ("train", "test")
}

TOY = DatasetSpec(
    name="toy",
    reader=IDX,
    class_names=("left", "right"),
    image_size=6,
    view_size=6,
    mean=(0.5,),
    std=(0.5,),
    train_images=96,
    test_images=32,
    train_files=FILES["train"],
    test_files=FILES["test"],
    crops=("none",),
)
"""Noise that is brighter in one half: what another package would define in one file."""


def write_files(folder):
    rng = np.random.default_rng(0)
    for split, count in (("train", 96), ("test", 32)):
        labels = rng.integers(0, 2, count).astype(np.uint8)
        pixels = rng.integers(0, 100, (count, 6, 6), dtype=np.uint8)
        pixels[labels == 0, :, :3] += 100
        pixels[labels == 1, :, 3:] += 100
        (folder / f"{split}.images").write_bytes(idx_bytes(pixels))
        (folder / f"{split}.labels").write_bytes(idx_bytes(labels))


@pytest.fixture
def registered():
    """A function that registers a data set until the test ends."""
    names = []

    def register(name, source):
        register_dataset(name, source)
        names.append(name)

    yield register
    for name in names:
        unregister_dataset(name)


def test_a_registered_data_set_of_known_layout_is_trained_on_by_its_name(tmp_path, registered):
    registered("toy", TOY)
    write_files(tmp_path)
    out = tmp_path / "run"
    out.mkdir()
    data = DataConfig("toy", "full", str(tmp_path), crop="none")
    optim = OptimConfig("adam", 0.01, schedule="constant")
    config = RunConfig(data=data, model=ModelConfig("mlp"), optim=optim, epochs=3, batch_size=16)
    result = run(config, load(data, progress=False), out)
    assert result["dataset"] == "toy"
    assert result["test_accuracy"] == 1
    assert json.loads((out / "config.json").read_text())["data"]["dataset"] == "toy"
    assert read_config(out) == config


def test_a_registered_data_set_is_a_choice_of_the_command_line(registered, capsys):
    registered("toy", TOY)
    parser = settings_parser("prog", "[flags]", "Test.")
    asked = vars(parser.parse_args(["--dataset", "toy", "--crop", "none"]))
    assert settings(asked).data == DataConfig("toy", crop="none")
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    assert "toy" in capsys.readouterr().out


def test_settings_that_the_images_do_not_allow_are_refused(tmp_path, registered):
    registered("toy", TOY)
    write_files(tmp_path)
    images = load_dataset("toy", str(tmp_path), progress=False)
    with pytest.raises(ConfigError, match="crop must be none for toy, got 'resize'"):
        images.views(RunConfig(data=DataConfig("toy")))
    with pytest.raises(DataError, match="toy has no bundled sample"):
        load_dataset("toy", data="sample")


def test_a_data_set_that_a_function_makes_is_loaded_by_its_name(registered):
    x = np.zeros((8, 2), np.float32)

    def zeros(config):
        return ArrayDataset("zeros", {"x": x[: config.limit_train]}, {"x": x})

    registered("zeros", zeros)
    assert len(load_dataset("zeros", limit_train=5).splits["train"]["x"]) == 5
    assert "zeros" in dataset_names()
    assert has_predefined_split("zeros")
    registered("lab:zeros", zeros)  # its colon is part of its own name
    assert len(load_dataset("lab:zeros", limit_train=3).splits["train"]["x"]) == 3
    with pytest.raises(ConfigError, match=r"dataset must be one of asl_alphabet, .* got 'zeros'"):
        spec_of(DataConfig("zeros"))


def test_a_name_is_registered_once():
    with pytest.raises(ConfigError, match="data set 'mnist' is registered already"):
        register_dataset("mnist", TOY)
    with pytest.raises(ConfigError, match="name must be toy, as in the facts, got 'other'"):
        register_dataset("other", TOY)
    with pytest.raises(ConfigError, match=r"dataset must be one of .*mnist.*, got 'nothing'"):
        load_dataset("nothing")
    assert {*SPECS, "folder", "tfds:NAME"} == set(dataset_names())


def test_a_file_of_the_package_is_a_data_set_and_the_reverse():
    assert {module.name for module in pkgutil.iter_modules(sources.__path__)} == {
        *SPECS,
        "folder",
        "tfds",
    }
    for name, spec in SPECS.items():
        assert importlib.import_module(f"jaxode.data.sources.{name}").SPEC is spec


def test_the_data_sets_are_listed_without_slow_libraries():
    slow = ("jax", "flax", "tensorflow_datasets", "PIL", "pooch", "requests", "ijson")
    code = (
        "import sys; from jaxode.data import SPECS; assert len(SPECS) > 6;"
        f"print([name for name in {slow} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_load_dataset_is_public_and_loads_images():
    images = jaxode.load_dataset("mnist", data="sample", limit_test=10)
    assert isinstance(images, ImageSet)
    assert len(images.test_labels) == 10


@pytest.mark.parametrize("name", jaxode.data.__all__)
def test_a_public_name_is_there_and_has_an_example(name):
    assert name in dir(jaxode.data)
    if name != "SPECS":
        assert ">>> " in getattr(jaxode.data, name).__doc__
