"""What every trained model can do, whatever it was trained for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from flax import nnx

from jaxode.config import RunConfig
from jaxode.data.preprocessing import Views
from jaxode.data.streaming import Examples
from jaxode.tasks import Task
from jaxode.train.state import Learned


class Answer(Protocol):
    """What a model says of some inputs, as text."""

    def table(self, most: int | None = None) -> str:
        """One line for each input.

        Args:
          most: how many to show; all by default.
        """
        ...

    def to_csv(self) -> str:
        """All numbers, as CSV with a header."""
        ...


@runtime_checkable
class DrawnAnswer(Answer, Protocol):
    """An answer that can be shown as pictures."""

    def write_pictures(self, folder: Path) -> None:
        """Write pictures of it.

        Args:
          folder: is made if it does not exist.
        """
        ...


class Trained(ABC):
    """A trained model with all that is needed to use it: `jaxode.load` makes one.

    Attributes:
      config: settings of the run that trained it.
      origin: the directory or file it was read from, if it was.
      epoch: how many epochs it was trained for; None if that is not known.
      task: what it was trained for, by which it is evaluated.
      views: what becomes of a batch before the module sees it.
      graphdef: the module's structure.
      learned: its parameters and statistics.

    Example:
      >>> import jaxode
      >>> model = jaxode.load("runs/density/circles")  # doctest: +SKIP
      >>> isinstance(model, jaxode.inference.Trained)  # doctest: +SKIP
      True
    """

    config: RunConfig
    origin: Path | None
    epoch: int | None
    task: Task
    views: Views
    graphdef: nnx.GraphDef[Any]
    learned: Learned

    def described(self, what: str) -> str:
        """A text for `repr`: what it is, after how many epochs, from where.

        Args:
          what: the model.
        """
        where = f" from {self.origin}" if self.origin else ""
        epochs = "" if self.epoch is None else f" after {self.epoch} epochs"
        return f"<{what}{epochs}{where}>"

    @abstractmethod
    def with_solve(self, **changes: Any) -> Trained:
        """The same parameters, solved with other settings.

        Args:
          changes: fields of `jaxode.SolveConfig`.

        Raises:
          ConfigError: settings that are no solve's, or outside their ranges.
        """

    @abstractmethod
    def predict(self, *args: Any, **options: Any) -> Any:
        """What the model says of inputs in memory or in files."""

    @abstractmethod
    def examples(self, data: Any) -> tuple[str, Examples]:
        """Name and arrays of a user's data to evaluate on.

        Args:
          data: inputs, with what the task compares their predictions with.

        Raises:
          ConfigError: there are none, or they do not fit the model.
        """

    predict_options: ClassVar[tuple[str, ...]] = ()
    """What `predict_files` takes beside paths and batch size: `times`, `score`."""

    @abstractmethod
    def predict_files(
        self, paths: Sequence[Path], *, batch_size: int = 128, **options: Any
    ) -> Answer:
        """What the model says of the contents of files and folders.

        Args:
          paths: of what the model reads.
          batch_size: examples that are solved together.
          options: those of `predict_options`.

        Raises:
          ConfigError: files that cannot be read or do not fit the model.
          DataError: malformed files.
          SolveError: a solve failed.
        """
