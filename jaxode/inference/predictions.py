"""What a model says of pictures, or of whatever else has one class each."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

MOST_ROWS = 20
"""Pictures that are printed."""


@dataclass(frozen=True, eq=False)
class PicturePredictions:
    """Predicted classes of N pictures.

    Args:
      names: of the pictures: paths, or numbers from 0.
      class_names: of the K classes.
      probabilities: of every class, float32 [N, K]; each row sums to 1.
      nfe: function evaluations of the forward solves of all ODE blocks, int [N]; where a batch is
        solved with one step size, each of its pictures has the batch's. None for a model that
        solves no ODE.
      kind: what is classified, in the head of a CSV file.

    Example:
      >>> import numpy as np
      >>> from jaxode.inference import PicturePredictions
      >>> probabilities = np.array([[0.25, 0.75]], np.float32)
      >>> found = PicturePredictions(["a.png"], ("cat", "dog"), probabilities, np.array([26]))
      >>> print(found)
      a.png  dog  0.7500  26 evaluations
      >>> found.top(2)
      [[('dog', 0.75), ('cat', 0.25)]]
    """

    names: Sequence[str]
    class_names: tuple[str, ...]
    probabilities: Float[np.ndarray, "N K"]
    nfe: Int[np.ndarray, " N"] | None = None
    kind: str = "picture"

    def __len__(self) -> int:
        return len(self.names)

    @property
    def labels(self) -> Int[np.ndarray, " N"]:
        """Numbers of the predicted classes."""
        return self.probabilities.argmax(1)

    @property
    def classes(self) -> list[str]:
        """Names of the predicted classes."""
        return [self.class_names[label] for label in self.labels]

    @property
    def confidence(self) -> Float[np.ndarray, " N"]:
        """Probabilities of the predicted classes."""
        return self.probabilities.max(1)

    def top(self, count: int) -> list[list[tuple[str, float]]]:
        """The most probable classes of each picture with their probabilities, best first.

        Args:
          count: how many, at most K.
        """
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :count]
        return [
            [(self.class_names[k], float(row[k])) for k in best]
            for row, best in zip(self.probabilities, order, strict=True)
        ]

    def records(self) -> list[dict[str, Any]]:
        """One dict a picture: name (as `kind`), class, probability; nfe where an ODE is solved."""
        found = [
            {self.kind: name, "class": label, "probability": float(probability)}
            for name, label, probability in zip(
                self.names, self.classes, self.confidence, strict=True
            )
        ]
        if self.nfe is not None:
            for record, nfe in zip(found, self.nfe, strict=True):
                record["nfe"] = int(nfe)
        return found

    def to_csv(self) -> str:
        """The records with the probabilities of all classes, as CSV with a header."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        head = list(self.records()[0]) if len(self) else []
        writer.writerow([*head, *(f"p({name})" for name in self.class_names)])
        for record, row in zip(self.records(), self.probabilities, strict=True):
            writer.writerow([*record.values(), *(f"{p:.6g}" for p in row.tolist())])
        return text.getvalue()

    def __str__(self) -> str:
        return self.table(MOST_ROWS)

    def table(self, most: int | None = None) -> str:
        """One line a picture: name, predicted class, probability, evaluations.

        Args:
          most: pictures to show; all by default.
        """
        records = self.records()[:most]
        width = max((len(record[self.kind]) for record in records), default=0)
        wide = max((len(record["class"]) for record in records), default=0)
        lines = [
            f"{record[self.kind]:{width}}  {record['class']:{wide}}  {record['probability']:.4f}"
            + (f"  {record['nfe']} evaluations" if "nfe" in record else "")
            for record in records
        ]
        more = len(self) - len(records)
        return "\n".join(lines + [f"… and {more} more"] * (more > 0))
