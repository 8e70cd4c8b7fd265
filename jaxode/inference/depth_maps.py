"""What a model of depth says of pictures: maps in metres, as text, arrays and drawn."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from jaxode.inference.picture_files import distinct_stems
from jaxode.runs.files import write_whole


class DepthMap(NamedTuple):
    """The depth found in a picture.

    Args:
      name: of the picture's file, or its number.
      image: what the model was shown: the middle of the picture in the shape of its canvas.
      depth: in metres, of every pixel of it.

    Example:
      >>> import numpy as np
      >>> from jaxode.inference import DepthMap
      >>> found = DepthMap("kitchen.jpg", np.zeros((6, 8, 3), np.uint8), np.full((6, 8), 2.5))
      >>> float(found.depth.mean())
      2.5
    """

    name: str
    image: UInt8[np.ndarray, "H W 3"]
    depth: Float[np.ndarray, "H W"]


@dataclass(frozen=True, eq=False)
class DepthMaps:
    """The depth found in pictures, in their order.

    Args:
      maps: one for each picture.

    Example:
      >>> import numpy as np
      >>> from jaxode.inference import DepthMap, DepthMaps
      >>> found = DepthMap("kitchen.jpg", np.zeros((6, 8, 3), np.uint8), np.full((6, 8), 2.5))
      >>> print(DepthMaps((found,)))
      kitchen.jpg  2.50 to 2.50 m, middle 2.50 m
    """

    maps: tuple[DepthMap, ...]

    def __len__(self) -> int:
        return len(self.maps)

    def __iter__(self) -> Iterator[DepthMap]:
        return iter(self.maps)

    def __getitem__(self, number: int) -> DepthMap:
        return self.maps[number]

    def __str__(self) -> str:
        return self.table()

    def table(self, most: int | None = None) -> str:
        """A line for each picture: its least and largest depth, and that in the middle, in metres.

        Args:
          most: how many to show; all by default.
        """
        return "\n".join(
            f"{name}  {least:.2f} to {largest:.2f} m, middle {middle:.2f} m"
            for name, least, largest, middle in map(_range, self.maps[:most])
        )

    def to_csv(self) -> str:
        """The same as CSV."""
        target = io.StringIO()
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(["picture", "least", "largest", "middle"])
        for name, *numbers in map(_range, self.maps):
            writer.writerow([name, *(f"{number:.4f}" for number in numbers)])
        return target.getvalue()

    def write_pictures(self, folder: Path) -> None:
        """Write each map as .npy, metres in float32, and as a PNG beside what was shown.

        Args:
          folder: is made if it does not exist.
        """
        from jaxode.plots.depth import DepthPicture, draw_depth

        folder.mkdir(parents=True, exist_ok=True)
        names = distinct_stems([each.name for each in self.maps])
        for name, each in zip(names, self.maps, strict=True):
            packed = io.BytesIO()
            np.save(packed, each.depth.astype(np.float32))
            write_whole(folder / f"{name}.npy", packed.getvalue())
            drawn = draw_depth([DepthPicture(name, each.image, each.depth)], "predicted depth")
            write_whole(folder / f"{name}.png", drawn)


def _range(found: DepthMap) -> tuple[str, float, float, float]:
    """Name, least and largest depth, and that of the middle pixel."""
    depth = found.depth
    middle = depth[depth.shape[0] // 2, depth.shape[1] // 2]
    return found.name, float(depth.min()), float(depth.max()), float(middle)
