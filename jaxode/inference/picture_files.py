"""Pictures that are written under the names of those that a model was shown."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from jaxode.runs.files import write_whole


def distinct_stems(names: Sequence[str]) -> list[str]:
    """Names of files without folder and ending, with a number where two are the same.

    Args:
      names: of pictures.
    """
    taken: set[str] = set()
    found = []
    for each in names:
        stem = name = Path(each).stem
        number = 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name)
        found.append(name)
    return found


def write_pngs(folder: Path, names: Sequence[str], pictures: Iterable[Image.Image]) -> None:
    """Write pictures as PNGs.

    Args:
      folder: is made if it does not exist.
      names: of the pictures that a model was shown.
      pictures: as many.

    Raises:
      OSError: they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in zip(distinct_stems(names), pictures, strict=True):
        target = io.BytesIO()
        picture.save(target, "png")
        write_whole(folder / f"{name}.png", target.getvalue())
