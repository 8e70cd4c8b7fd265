"""The task of a data set where none is named."""

from __future__ import annotations

from typing import Any

from jaxode.tasks.base import Task
from jaxode.tasks.classification import Classification


def default_task(spec: Any) -> Task:
    """Classification into the classes of a data set's facts."""
    return Classification(spec.classes)
