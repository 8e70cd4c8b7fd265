"""The task of a data set where none is named."""

from __future__ import annotations

from jaxode.checks import ConfigError
from jaxode.data import Dataset
from jaxode.tasks.base import Task
from jaxode.tasks.classification import Classification


def default_task(data: Dataset) -> Task:
    """Classification into the classes of a data set. Raises ConfigError if it has none."""
    classes = getattr(data.spec, "classes", None)
    if classes is None:
        raise ConfigError(f"task must be given for the data set {data.name}, which has no classes")
    return Classification(classes)
