"""The data sets by their names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from jaxode.checks import ConfigError, require
from jaxode.config import DataConfig
from jaxode.config.dataset_names import family
from jaxode.data.specs import DatasetSpec

Loader = Callable[[DataConfig], Any]
"""Settings → a `jaxode.data.Dataset`."""

SpecOf = Callable[[DataConfig], DatasetSpec]
"""Settings → the facts of a data set of images that depends on them."""

SPECS: dict[str, DatasetSpec] = {}
"""The registered data sets of images by their names."""

SPECS_OF: dict[str, SpecOf] = {}
"""How the facts of the other registered data sets of images are found, by their names."""

LOADERS: dict[str, Loader] = {}
"""How the other registered data sets are made, by their names."""


def register_dataset(name: str, source: DatasetSpec | Loader) -> None:
    """Give a data set a name, by which settings and the command line know it from then on.

    Args:
      name: must be new.
      source: the facts of a data set of images, which have the same name; or a function
        (`DataConfig`) → `Dataset`, which `jaxode.load_dataset` calls.

    Raises:
      ConfigError: the name is taken, or not that of the facts.

    Example:
      >>> import numpy as np
      >>> import jaxode
      >>> from jaxode.data import ArrayDataset, register_dataset, unregister_dataset
      >>> def squares(config):
      ...     x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
      ...     return ArrayDataset("squares", {"x": x, "y": x**2}, {"x": x, "y": x**2})
      >>> register_dataset("squares", squares)
      >>> jaxode.load_dataset("squares").splits["train"]["y"].shape
      (64, 1)
      >>> unregister_dataset("squares")
    """
    if name in dataset_names():
        raise ConfigError(f"data set {name!r} is registered already")
    if isinstance(source, DatasetSpec):
        require(name == source.name, "name", name, f"{source.name}, as in the facts")
        SPECS[name] = source
    else:
        LOADERS[name] = source


def register_image_source(name: str, spec_of: SpecOf) -> None:
    """Give a name to data sets of images whose facts depend on settings, as those of a folder do.

    Args:
      name: must be new. A name that ends in `:NAME` stands for every name with that beginning,
        as `tfds:NAME` does for `tfds:mnist`.
      spec_of: settings → facts, which name the reader of the images.

    Raises:
      ConfigError: the name is taken.

    Example:
      >>> from dataclasses import replace
      >>> from jaxode.config import DataConfig
      >>> from jaxode.data import SPECS, register_image_source, spec_of, unregister_dataset
      >>> register_image_source("few", lambda config: replace(SPECS["mnist"], name="few"))
      >>> spec_of(DataConfig("few")).classes
      10
      >>> unregister_dataset("few")
    """
    if name in dataset_names():
        raise ConfigError(f"data set {name!r} is registered already")
    SPECS_OF[name] = spec_of


def unregister_dataset(name: str) -> None:
    """Forget a registered data set.

    Args:
      name: as it was registered.

    Raises:
      KeyError: there is none of that name.

    Example:
      >>> from jaxode.data import ArrayDataset, dataset_names, register_dataset, unregister_dataset
      >>> register_dataset("mine", lambda config: ArrayDataset("mine", {}, {}))
      >>> unregister_dataset("mine")
      >>> "mine" in dataset_names()
      False
    """
    del next((r for r in (SPECS, SPECS_OF) if name in r), LOADERS)[name]


def dataset_names() -> tuple[str, ...]:
    """Names of all registered data sets.

    Returns:
      Those of images first, each in the order registered.

    Example:
      >>> from jaxode.data import dataset_names
      >>> "mnist" in dataset_names()
      True
    """
    return (*SPECS, *SPECS_OF, *LOADERS)


def is_registered(name: str) -> bool:
    """Whether a data set has a registered name, or one that a registered name stands for.

    Args:
      name: of a data set.

    Example:
      >>> from jaxode.data import is_registered
      >>> is_registered("mnist"), is_registered("tfds:mnist"), is_registered("mnits")
      (True, True, False)
    """
    return name in dataset_names() or family(name) in SPECS_OF


def spec_of(config: DataConfig) -> DatasetSpec:
    """The facts of the data set of images that settings name, with the classes that they select.

    Args:
      config: names the data set and how many of its classes are used.

    Returns:
      Its facts; `class_names` has the first `config.classes` of them, if that is given.

    Raises:
      ConfigError: no data set of images has that name, or it has fewer classes.

    Example:
      >>> from jaxode.config import DataConfig
      >>> from jaxode.data import spec_of
      >>> spec_of(DataConfig("cifar10", classes=2)).class_names
      ('airplane', 'automobile')
    """
    known, name = (*SPECS, *SPECS_OF), config.dataset
    registered, count = SPECS.get(name), config.classes
    find = SPECS_OF.get(name) or SPECS_OF.get(family(name))
    require(bool(registered or find), "dataset", name, f"one of {', '.join(known)}")
    spec = registered or find(config)  # type: ignore[misc]
    if count is None:
        return spec
    require(
        count <= spec.classes,
        "classes",
        count,
        f"at most {spec.classes}, the classes of {spec.name}",
    )
    return replace(spec, class_names=spec.class_names[:count])


def has_predefined_split(name: str) -> bool:
    """Whether a data set has a test split of its own, as all do but some of `SPECS`.

    Args:
      name: of a registered data set, or of any other.

    Returns:
      False if the test split is drawn by `DataConfig.split_seed`.

    Example:
      >>> from jaxode.data import has_predefined_split
      >>> has_predefined_split("mnist"), has_predefined_split("iceberg")
      (True, False)
    """
    if name in SPECS:
        return SPECS[name].predefined_split
    return not {name, family(name)} & set(SPECS_OF)
