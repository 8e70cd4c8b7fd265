"""Finds pairs of a picture and a depth map below a folder, and which split each belongs to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxode.bounded_files import open_regular
from jaxode.data.folders import of_the_system
from jaxode.data.regular import printable
from jaxode.data.specs import DataError
from jaxode.strict_json import read_object

PICTURES, DEPTHS = ("rgb", "images", "image"), ("depth", "depths")
"""Names of the two folders."""

TESTS = ("test", "val", "validation")
"""Names of the folder of the test split beside `train`."""

PICTURE_ENDINGS, DEPTH_ENDINGS = (".jpg", ".jpeg", ".png"), (".png", ".npy", ".pgm")

SPLITS_FILE = "splits.json"

MOST_FILES = 1_000_000


class Pair(NamedTuple):
    """The files of a pair, and its name: that of both without the ending."""

    name: str
    picture: Path
    depth: Path


class Listed(NamedTuple):
    """Pairs of each split, and a line for each file that is none."""

    train: tuple[Pair, ...]
    test: tuple[Pair, ...]
    malformed: tuple[str, ...]


def list_pairs(folder: Path, test_share: float, seed: int) -> Listed:
    """The pairs of a folder by split.

    The folder holds `rgb` (or `images`) and `depth`, with a picture and a depth map of the same
    name for each pair. A file `splits.json`, {"train": [names], "test": [names]}, says which pair
    is of which split; a whole number is the name that it is written as, zeros before it left out.
    Or `train` and `test` (or `val`) hold such folders each. Or a share is drawn for the test.

    Args:
      folder: of a data set.
      test_share: of the pairs, where no split is given.
      seed: by which they are drawn.

    Raises:
      DataError: a folder that is missing or cannot be read, or a `splits.json` of another form.
    """
    tests = [folder / name for name in TESTS if (folder / name).is_dir()]
    if (folder / "train").is_dir() and tests:
        train, wrong_train = _pairs(folder / "train")
        test, wrong_test = _pairs(tests[0])
        return Listed(train, test, wrong_train + wrong_test)
    pairs, malformed = _pairs(folder)
    if (folder / SPLITS_FILE).exists():
        return _as_stated(folder / SPLITS_FILE, pairs, malformed)
    order = np.random.default_rng(seed).permutation(len(pairs))
    held = set(order[: round(test_share * len(pairs))].tolist())
    split = [tuple(p for i, p in enumerate(pairs) if (i in held) is test) for test in (False, True)]
    return Listed(split[0], split[1], malformed)


def _pairs(folder: Path) -> tuple[tuple[Pair, ...], tuple[str, ...]]:
    """The pairs of one folder, by name, and lines for files without a partner."""
    pictures = _by_stem(_one_of(folder, PICTURES), PICTURE_ENDINGS)
    depths = _by_stem(_one_of(folder, DEPTHS), DEPTH_ENDINGS)
    pairs, malformed = [], []
    for name in sorted(pictures.keys() | depths.keys()):
        found = pictures.get(name, []), depths.get(name, [])
        if len(found[0]) == len(found[1]) == 1:
            pairs.append(Pair(name, found[0][0], found[1][0]))
            continue
        here = printable((found[0] or found[1])[0])
        missing = "a depth map" if found[0] else "a picture"
        several = [str(path.name) for each in found if len(each) > 1 for path in each]
        if several:
            malformed.append(f"{here}: there are several of its name: {', '.join(several)}")
        else:
            malformed.append(f"{here}: there is no file of its name that is {missing}")
    return tuple(pairs), tuple(malformed)


def _one_of(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).is_dir():
            return folder / name
    raise DataError(f"{printable(folder)} must hold a folder {' or '.join(names)}")


def _by_stem(folder: Path, endings: tuple[str, ...]) -> dict[str, list[Path]]:
    """Files of a folder with one of the endings, by name without it."""
    found: dict[str, list[Path]] = {}
    try:
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries):
                if count >= MOST_FILES:
                    raise DataError(f"{printable(folder)} must hold at most {MOST_FILES} files")
                path = folder / entry.name
                if path.suffix.lower() in endings and not of_the_system(entry.name):
                    found.setdefault(path.stem, []).append(path)
    except OSError as error:
        raise DataError(f"{printable(folder)} cannot be read: {error.strerror}") from error
    return found


def _as_stated(path: Path, pairs: tuple[Pair, ...], malformed: tuple[str, ...]) -> Listed:
    """Pairs by a splits.json; those that it does not name are left out."""
    try:
        with open_regular(path):
            stated = read_object(path)
    except OSError as error:
        raise DataError(f"{printable(path)} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(str(error)) from error
    named = {pair.name: pair for pair in pairs}
    named |= {str(int(pair.name)): pair for pair in pairs if pair.name.isdecimal()}
    lines, splits, used = list(malformed), [], set()
    for split in ("train", "test"):
        names = stated.get(split)
        if not isinstance(names, list) or not all(type(name) in (str, int) for name in names):
            raise DataError(f'{printable(path)} must have "{split}", a list of names')
        chosen = []
        for name in map(str, names):
            pair = named.get(name)
            if pair is None:
                lines.append(f"{printable(path)}: {split} names {name[:100]!r}, which is no pair")
            elif pair.name in used:
                lines.append(f"{printable(path)}: {name!r} is named more than once")
            else:
                used.add(pair.name)
                chosen.append(pair)
        splits.append(tuple(chosen))
    return Listed(splits[0], splits[1], tuple(lines))
