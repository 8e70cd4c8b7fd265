"""A run's pictures in small form, beside its record, and where a document shows them."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from jaxode.checks import ConfigError, one_line
from jaxode.runs.files import write_whole

WIDTH = 1000
"""Pixels at most."""

QUALITY = 80

PICTURES = {
    "detection": {
        "best": "test images with the largest F1",
        "worst": "test images with the smallest F1",
        "missed": "test images with most missed objects",
        "precision_recall": "precision over recall of each class",
    },
    "depth": {
        "best": "test pictures of the smallest relative error: picture, depth found, true depth",
        "worst": "test pictures of the largest relative error: picture, depth found, true depth",
    },
}
"""By system: names of a run's files without their ending, and what they show."""


def copy_pictures(directory: Path, system: str, stem: str, folder: Path) -> list[Path]:
    """Write a run's pictures into a folder as JPEG, at most WIDTH pixels wide.

    Args:
      directory: of the run.
      system: of PICTURES, or one without pictures of that kind.
      stem: of the record's file, with which theirs begin.
      folder: is made if it does not exist.

    Returns:
      The files.

    Raises:
      ConfigError: a file that is no picture.
      OSError: one could not be read or written.
    """
    written = []
    for name in PICTURES.get(system, {}):
        source = directory / f"{name}.png"
        if source.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            target = folder / f"{stem}_{name}.jpg"
            write_whole(target, _small(source))
            written.append(target)
    return written


def _small(source: Path) -> bytes:
    try:
        with Image.open(source, formats=("PNG",)) as picture:
            shown = picture.convert("RGB")
    except UnidentifiedImageError as error:
        raise ConfigError(one_line(error)) from error
    if shown.width > WIDTH:
        shown = shown.resize((WIDTH, round(shown.height * WIDTH / shown.width)))
    target = io.BytesIO()
    shown.save(target, "jpeg", quality=QUALITY, optimize=True)
    return target.getvalue()


def shown_pictures(folder: Path, system: str) -> str:
    """Lines of Markdown that show the pictures of a folder's records; empty without any.

    Args:
      folder: of the document, with records/ and pictures/.
      system: of the document.
    """
    lines = []
    for record in sorted((folder / "records").glob("*.json")):
        for name, about in PICTURES.get(system, {}).items():
            file = f"{record.stem}_{name}.jpg"
            if (folder / "pictures" / file).is_file():
                lines.append(f"![{record.stem}: {about}](pictures/{file})")
    return "\n\n".join(lines)
