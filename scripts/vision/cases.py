"""What is compared: the rows of detection and depth, and VGG-16 and ResNet-101 as published."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import PyTree

from experiments.depths import data as depth_data
from experiments.depths.config import DepthConfig
from experiments.depths.description import NYU_SIZE
from experiments.depths.training import sizes_of
from experiments.detections import data as detection_data
from experiments.detections.config import DetectionConfig
from experiments.detections.description import BCCD_CLASSES
from experiments.detections.training import model_of
from experiments.run_settings import run_settings
from jaxode.checks import ConfigError
from jaxode.config import KernelsName, SolveConfig
from jaxode.inference import Trained, load
from jaxode.inference.trained_depth import TrainedDepth
from jaxode.inference.trained_detector import TrainedDetector
from jaxode.models import DetectorInputs
from jaxode.models.depth_config import DepthModelConfig, create_depth_model
from jaxode.models.detector_config import DetectorConfig, create_detector
from jaxode.nn.kernels import choose_kernels
from scripts.systems.row import SystemRow
from scripts.systems.rows import SYSTEM_TABLES

PUBLISHED = {
    "detection": {
        "ResNet-101 to conv3, as published": {"backbone": "resnet101"},
        "VGG-16 to conv4_3, as published": {"backbone": "vgg16"},
    },
    "depth": {"VGG-16, as published": {"encoder": "vgg16", "vgg_width": 1.0}},
}
"""By system: label and settings of models of full width, which nobody trains on 2 cores."""

CONFIGS = {"detection": DetectionConfig, "depth": DepthConfig}


class Case(NamedTuple):
    """A model that is measured.

    Args:
      system: detection or depth.
      label: of the table's row.
      sizes: the model's own settings.
      solve: how its ODEs are solved, if it has some.
      row: that it is, of the system's table; None for a model that is not trained.
      trained: the model of a run, whose parameters are measured; None for initial ones.
    """

    system: str
    label: str
    sizes: DetectorConfig | DepthModelConfig
    solve: SolveConfig
    row: SystemRow | None = None
    trained: TrainedDetector | TrainedDepth | None = None

    def build(self, kernels: KernelsName = "auto") -> nnx.Module:
        """The model with initial parameters. Raises ConfigError."""
        if isinstance(self.sizes, DepthModelConfig):
            return create_depth_model(self.sizes, self.solve, nnx.Rngs(0), kernels=kernels)
        chosen = choose_kernels(requested=kernels)
        return create_detector(self.sizes, self.solve, rngs=nnx.Rngs(0), kernels=chosen)


def cases(system: str, changes: dict[str, Any] | None = None) -> Iterator[Case]:
    """The models of a system.

    Args:
      system: detection or depth.
      changes: settings of the experiment that are others than those of the rows.

    Raises:
      ConfigError: settings that cannot be used.
    """
    rows = [(row.label, {**row.problem, **row.cpu}, row) for row in SYSTEM_TABLES[system].rows]
    more = [(label, given, None) for label, given in PUBLISHED[system].items()]
    for label, given, row in [*rows, *more]:
        config: Any = CONFIGS[system](**given | (changes or {}))
        solve = run_settings(config).solve
        if isinstance(config, DepthConfig):
            size = (config.image_height or NYU_SIZE[0], config.image_width or NYU_SIZE[1])
            yield Case(system, label, sizes_of(config, size), solve, row)
        else:
            yield Case(system, label, model_of(config, BCCD_CLASSES), solve, row)


def with_runs(found: Sequence[Case], runs: Sequence[Path]) -> list[Case]:
    """The cases with the parameters and solves of trained runs.

    Args:
      found: of a system, or of all.
      runs: directories of runs of the cases' models.

    Raises:
      ConfigError: a run that cannot be read, or that is of none of the cases.
    """
    result = list(found)
    for directory in runs:
        trained: Trained = load(directory)
        if not isinstance(trained, TrainedDetector | TrainedDepth):
            raise ConfigError(f"{directory} must be a run of a detector or of a model of depth")
        places = [n for n, case in enumerate(result) if same(case.sizes, trained.sizes)]
        if not places:
            raise ConfigError(f"{directory} must be a run of a model in the table, and is of none")
        changes = {"sizes": trained.sizes, "solve": trained.config.solve, "trained": trained}
        result[places[0]] = result[places[0]]._replace(**changes)
    return result


def same(one: Any, other: Any) -> bool:
    """Whether two models differ in the statistics of their pictures at most."""
    statistics = ("mean", "std", "mean_log_depth")
    found = [dataclasses.asdict(each) for each in (one, other)]
    for each in found:
        for name in statistics:
            each.pop(name, None)
    return type(one) is type(other) and found[0] == found[1]


Pictures = Callable[[Case, int], PyTree]
"""A case and a batch's size → what its model is called with."""


def noise(case: Case, batch: int) -> PyTree:
    """Pictures of normal noise."""
    rows = case.sizes.rows if isinstance(case.sizes, DetectorConfig) else case.sizes.height
    columns = case.sizes.columns
    images = jax.random.normal(jax.random.key(0), (batch, rows, columns, 3), jnp.float32)
    if case.system == "depth":
        return images
    return DetectorInputs(images, jnp.tile(jnp.array([[rows, columns]], jnp.float32), (batch, 1)))


def of_data(system: str, folder: Path, **changes: Any) -> Pictures:
    """Test pictures of a data set, normalised as for training.

    Args:
      system: detection or depth.
      folder: of BCCD or of NYU Depth v2.
      changes: settings of the experiment besides.

    Raises:
      ConfigError, DataError: the folder cannot be used.
    """
    config: Any = CONFIGS[system](data_dir=str(folder), **changes)
    problem: Any = (detection_data if system == "detection" else depth_data).problem(config)
    dataset, settings = problem.dataset, run_settings(config)
    test = dataset.splits["test"]

    def pictures(case: Case, batch: int) -> PyTree:
        rows = np.arange(batch) % len(test["image"])
        stored = {name: jnp.asarray(array[rows]) for name, array in test.items()}
        shown = dataset.views(settings).evaluation(stored)
        if system == "depth":
            return shown["image"]
        return DetectorInputs(shown["image"], shown["extent"])

    return pictures
