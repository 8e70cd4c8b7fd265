"""Runs of models that are no classifiers of images: the file that a run has of it says which."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jaxode.checks import require
from jaxode.inference.base import Trained
from jaxode.inference.run_checkpoint import Which, run_of
from jaxode.inference.trained_depth import load_depth_model
from jaxode.inference.trained_detector import load_detector
from jaxode.inference.trained_flow import load_flow
from jaxode.inference.trained_image_flow import load_image_flow
from jaxode.inference.trained_series import load_series_model
from jaxode.models import (
    depth_config,
    detector_config,
    flow_config,
    image_flow_config,
    series_config,
)

Loader = Callable[[Path, Which], Trained]
"""(directory of a run or of its checkpoint, last or best) → the model. Raises ConfigError."""

LOADERS: dict[str, Loader] = {
    flow_config.FILE: load_flow,
    image_flow_config.FILE: load_image_flow,
    series_config.FILE: load_series_model,
    detector_config.FILE: load_detector,
    depth_config.FILE: load_depth_model,
}
"""By the name of the file with the model's settings in the run's directory."""


def register_recorded_model(file: str, load: Loader) -> None:
    """Have `jaxode.load` and the commands read the runs that hold a file of that name.

    Args:
      file: a name that no other kind of run has.
      load: makes the trained model of such a run.

    Raises:
      ConfigError: the name is taken.

    Example:
      >>> from jaxode.inference.recorded_models import LOADERS, register_recorded_model
      >>> register_recorded_model("orbits.json", lambda path, which: ...)  # type: ignore
      >>> "orbits.json" in LOADERS
      True
      >>> del LOADERS["orbits.json"]
    """
    require(file not in LOADERS, "file", file, f"another than {', '.join(LOADERS)}")
    LOADERS[file] = load


def loader_of(path: Path) -> Loader | None:
    """What loads the run in a directory; None for a run without such a file.

    Args:
      path: the run's directory, or that of one of its checkpoints.
    """
    run = run_of(path)[0]
    return next((load for file, load in LOADERS.items() if (run / file).is_file()), None)
