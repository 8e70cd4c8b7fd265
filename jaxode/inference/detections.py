"""What a detector says of pictures: their objects, as text and drawn."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image

from jaxode.inference.picture_files import write_pngs


class Detected(NamedTuple):
    """The objects found in a picture.

    Args:
      name: of the picture's file, or its number.
      picture: in RGB.
      rows: by falling score: box in pixels of the picture, score, class.

    Example:
      >>> import numpy as np
      >>> from PIL import Image
      >>> from jaxode.inference import Detected
      >>> Detected("cells.jpg", Image.new("RGB", (64, 48)), np.zeros((0, 6))).picture.size
      (64, 48)
    """

    name: str
    picture: Image.Image
    rows: Float[np.ndarray, "D 6"]


@dataclass(frozen=True, eq=False)
class Detections:
    """The objects found in pictures, in their order.

    Args:
      class_names: of the rows' classes.
      pictures: each with what was found in it.

    Example:
      >>> import numpy as np
      >>> from PIL import Image
      >>> from jaxode.inference import Detected, Detections
      >>> rows = np.array([[10.0, 20.0, 30.0, 40.0, 0.9, 0.0]])
      >>> print(Detections(("cell",), (Detected("a.jpg", Image.new("RGB", (64, 48)), rows),)))
      a.jpg  cell  0.9000  10.0 20.0 30.0 40.0
    """

    class_names: tuple[str, ...]
    pictures: tuple[Detected, ...]

    def __len__(self) -> int:
        return len(self.pictures)

    def __iter__(self) -> Iterator[Detected]:
        return iter(self.pictures)

    def __getitem__(self, number: int) -> Detected:
        return self.pictures[number]

    def __str__(self) -> str:
        return self.table()

    def table(self, most: int | None = None) -> str:
        """A line for each object: picture, class, score, box in pixels.

        Args:
          most: pictures to show; all by default.
        """
        lines = []
        for each in self.pictures[:most]:
            if not len(each.rows):
                lines.append(f"{each.name}  nothing")
            for *box, score, kind in each.rows:
                corners = " ".join(f"{value:.1f}" for value in box)
                lines.append(f"{each.name}  {self.class_names[int(kind)]}  {score:.4f}  {corners}")
        return "\n".join(lines)

    def to_csv(self) -> str:
        """The same as CSV."""
        target = io.StringIO()
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(["picture", "class", "score", "xmin", "ymin", "xmax", "ymax"])
        for each in self.pictures:
            for *box, score, kind in each.rows:
                numbers = [f"{value:.2f}" for value in box]
                writer.writerow([each.name, self.class_names[int(kind)], f"{score:.6f}", *numbers])
        return target.getvalue()

    def write_pictures(self, folder: Path) -> None:
        """Write each picture with its boxes as a PNG of its own name.

        Args:
          folder: is made if it does not exist.
        """
        from jaxode.plots.boxes_on_picture import with_boxes

        drawn = (with_boxes(each.picture, each.rows, self.class_names) for each in self.pictures)
        write_pngs(folder, [each.name for each in self.pictures], drawn)
