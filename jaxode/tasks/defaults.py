"""The default task of a data set."""

from __future__ import annotations

from jaxode.checks import ConfigError
from jaxode.data import Dataset
from jaxode.tasks.base import Task
from jaxode.tasks.classification import Classification


def default_task(data: Dataset) -> Task:
    """Classification into the classes of a data set.

    Args:
      data: a data set whose `spec` has `classes`, their number.

    Raises:
      ConfigError: the data set has no classes.

    Example:
      >>> from types import SimpleNamespace
      >>> import numpy as np
      >>> from jaxode import ArrayDataset
      >>> from jaxode.tasks import default_task
      >>> split = {"image": np.zeros((2, 8, 8, 1)), "label": np.arange(2)}
      >>> data = ArrayDataset("two", split, split, spec=SimpleNamespace(classes=2))
      >>> default_task(data).classes
      2
    """
    classes = getattr(data.spec, "classes", None)
    if classes is None:
        raise ConfigError(f"task must be given for the data set {data.name}, which has no classes")
    return Classification(classes)
