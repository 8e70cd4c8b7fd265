"""Hostile text files: annotations of boxes, tables of points, time series.

Their bytes are damaged, or one of their words is another. What is accepted is compared with what
the standard library makes of the file, or with what must hold of any such data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np

from jaxode.checks import ConfigError
from jaxode.data.detection import Annotation, read_annotation
from jaxode.data.point_files import read_points
from jaxode.data.point_tables import StandardisedSplits, read_wine
from jaxode.data.series import PaddedSeries, read_ts
from jaxode.data.specs import DataError
from scripts.fuzzing.damage import BYTES, remove, replaced
from scripts.fuzzing.verdict import Case, of_call

WORD = re.compile(r"[^\s,;:<>()/@]+")

ODD_WORDS = (
    "", "nan", "-inf", "1e39", "1e400", "-1e-400", "9" * 400, "0x1", "1_0", "٣", "-0", "0", "-7",
    "1e9", "2000000000", "?", "true", "(1,2)", "\x1b[31m", "\u2028", "☃", "x" * 5000, "&a;",
    "<!ENTITY a 'b'>", "]]>", "a b", "'", '"',
)  # fmt: skip


class TextFile(NamedTuple):
    """A kind of file.

    Args:
      name: of the file.
      text: a sound one.
      read: what reads it.
      right: path → what is wrong with a result, or "".
    """

    name: str
    text: str
    read: Callable[[Path], Any]
    right: Callable[[Path], Callable[[Any], str]]


def other_words(rng: Random, path: Path) -> str:
    """One to three words replaced, a line doubled, or a line left out."""
    text = path.read_text(encoding="utf-8")
    way = rng.choice(("word", "word", "word", "line twice", "line gone"))
    if way != "word":
        rows = text.splitlines(keepends=True)
        place = rng.randrange(len(rows))
        rows[place : place + 1] = [rows[place]] * (2 if way == "line twice" else 0)
        path.write_text("".join(rows), encoding="utf-8")
        return f"{way}: {place + 1}"
    done = []
    for _ in range(rng.choice((1, 1, 3))):
        words = list(WORD.finditer(text))
        if not words:
            break
        found, odd = rng.choice(words), rng.choice(ODD_WORDS)
        text = text[: found.start()] + odd + text[found.end() :]
        done.append(f"{found.group()[:20]!r} is {odd[:20]!r}")
    path.write_text(text, encoding="utf-8")
    return ", ".join(done)


def boxes(path: Path) -> Callable[[Annotation], str]:
    """Compares objects with what the standard library's XML reader finds."""

    def right(found: Annotation) -> str:
        items = ElementTree.fromstring(path.read_text(encoding="utf-8-sig")).findall("object")
        corners = ("xmin", "ymin", "xmax", "ymax")
        expected = [
            ((item.findtext("name") or "").split(), *(
                float(item.findtext(f"bndbox/{corner}") or "nan") for corner in corners
            ))
            for item in items
        ]  # fmt: skip
        given = [(one.name.split(), *one.box) for one in found.objects]
        return "" if given == expected else "other objects than the file holds"

    return right


def points(path: Path) -> Callable[[StandardisedSplits], str]:
    """Compares points, their standardisation undone, with the rows of the file."""

    def right(found: StandardisedSplits) -> str:
        rows = [
            [float(word.strip()) for word in re.split("[,;]", line)]
            for line in path.read_bytes().decode("utf-8-sig").split("\n")[1:]
            if line.strip()
        ]
        given = np.concatenate(found).astype(np.float64) * found.scale + found.shift
        expected = np.array(rows)[:, :-1]
        if given.shape != expected.shape or not np.isfinite(given).all():
            return f"points {given.shape} of rows {expected.shape}"
        close = np.abs(given[:, None] - expected[None]) <= 1e-5 * (
            1 + np.abs(expected) + found.scale
        )
        return "" if close.all(2).any(0).all() else "other points than the file holds"

    return right


def same_points(path: Path) -> Callable[[np.ndarray], str]:
    """Compares points with the rows of the file, whose first may be names."""

    def right(found: np.ndarray) -> str:
        text = path.read_bytes().decode("utf-8-sig")
        rows = [re.split("[,;]", line) for line in text.split("\n") if line.strip()]
        named = len(rows) > len(found)
        expected = [[float(word.strip()) for word in row] for row in rows[named:]]
        return "" if found.tolist() == expected else "other points than the file holds"

    return right


def sound_series(path: Path) -> Callable[[PaddedSeries], str]:
    """Checks what must hold of any series, and that there is one for each line of data."""

    def right(found: PaddedSeries) -> str:
        text = path.read_bytes().decode("utf-8-sig")
        data = text[re.search("@data", text, re.IGNORECASE).end() :].split("\n")  # type: ignore[union-attr]
        count = sum(bool(line.strip()) and not line.strip().startswith("#") for line in data)
        if len(found) != count:
            return f"{len(found)} series of {count} lines"
        within = np.arange(found.times.shape[1]) < found.lengths[:, None]
        rises = (np.diff(found.times, axis=1) > 0) | ~within[:, 1:]
        if not rises.all() or not np.isfinite(found.values[found.mask]).all():
            return "times that do not rise, or observations that are no numbers"
        sound = found.labels is None or set(found.labels.tolist()) <= set(
            range(len(found.class_names))
        )
        return "" if sound else "a label that is no class"

    return right


ANNOTATION = TextFile(
    "cell.xml",
    "<annotation>\n<size><width>640</width><height>480</height></size>\n"
    + "".join(
        f"<object>\n<name>{name}</name>\n<difficult>0</difficult>\n<bndbox><xmin>{x}</xmin>"
        f"<ymin>{x + 1}</ymin><xmax>{x + 90}</xmax><ymax>{x + 60}</ymax></bndbox>\n</object>\n"
        for name, x in (("WBC", 10), ("RBC", 200))
    )
    + "</annotation>\n",
    read_annotation,
    boxes,
)

TABLE = TextFile(
    "winequality-red.csv",
    ";".join(f"c{k}" for k in range(12))
    + "\n"
    + "".join(
        ";".join(str((7 * row + k * k) % 11 / 4) for k in range(12)) + "\n" for row in range(12)
    ),
    lambda path: read_wine(path, 3),
    points,
)

POINTS = TextFile(
    "points.csv",
    "x,y\n0.5,1\n2,-3\n1e-3;7\n",
    lambda path: read_points(path, 2),
    same_points,
)

SERIES = TextFile(
    "Steps_TRAIN.ts",
    "#steps\n@problemName Steps\n@timestamps false\n@univariate false\n@dimensions 2\n"
    "@classLabel true up down\n@data\n1,2,3:4,5,6:up\n3,?,1:0.5,1e-3,-2:down\n2,2,2:1,1,1:up\n",
    read_ts,
    sound_series,
)

STAMPED = TextFile(
    "Stamps_TRAIN.ts",
    "@timestamps true\n@univariate true\n@classLabel true a b\n@data\n"
    "(0,1.5),(2,3),(2.5,4):a\n(1,2),(3,?):b\n",
    read_ts,
    sound_series,
)


def cases(*kinds: TextFile) -> Callable[[Random, int, Path], Iterator[Case]]:
    """The cases of some kinds of file."""

    def made(rng: Random, count: int, work: Path) -> Iterator[Case]:
        for _ in range(count):
            kind = rng.choice(kinds)
            path = work / kind.name
            remove(path)
            path.write_text(kind.text, encoding="utf-8")
            way = other_words if rng.random() < 0.6 else rng.choice((*BYTES, replaced))
            done = way(rng, path)
            yield Case(f"{kind.name}: {done}", lambda kind=kind, path=path: of_call(
                lambda: kind.read(path), (DataError, ConfigError), kind.right(path)
            ))  # fmt: skip

    return made
