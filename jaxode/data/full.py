"""The full set: from its prepared form, or from original files at hand or fetched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxode.data import download, original_files, parse, prepared, splitting
from jaxode.data.builders import checksum
from jaxode.data.specs import Arrays, DataError, DatasetSpec


class Unavailable(Exception):
    """The full set is neither prepared nor at hand nor to be fetched."""


@dataclass(frozen=True)
class Source:
    """Original files: checksums of those without published ones, and what makes arrays of all."""

    checksums: dict[str, str]
    read: prepared.Source


def load_full(spec: DatasetSpec, root: Path, *, progress: bool) -> dict[str, Arrays]:
    """Arrays "train" and "test" of the full set, or "whole" of one that comes unsplit.

    The set is prepared on first use, and again if what is prepared is damaged and the originals are
    at hand. Raises Unavailable if there is nothing to prepare it from, and DataError if an original
    file is damaged, or the prepared set is and cannot be replaced.
    """
    source = _at_hand(spec, root, progress=progress)
    store = prepared.PreparedSet(spec, prepared.root_of(root))
    try:
        stored = store.read()
    except prepared.Damaged as damage:
        if source is None:
            raise DataError(
                f"the prepared set in {store.folder} is damaged ({damage}), and there are no "
                "original files at hand: delete that folder to have it prepared again"
            ) from damage
        stored = None
    if stored is None:
        source = source or _fetched(spec, root, progress=progress)
        stored = store.prepare(source.read, source.checksums, progress=progress)
    if source is not None and not _prepared_from(source, stored, spec):
        raise DataError(
            f"the original files of {spec.name} are not those that {store.folder} was prepared "
            "from: put those back, or delete that folder to have it prepared again"
        )
    return stored.splits


def _prepared_from(source: Source, stored: prepared.Stored, spec: DatasetSpec) -> bool:
    if source.checksums == stored.originals:
        return True
    if spec.unsplit:
        return False
    # Files that were packed then and are not now, or the reverse, give the same images.
    given = source.read()
    return all(checksum(given[split]) == checksum(stored.splits[split]) for split in given)


def _at_hand(spec: DatasetSpec, root: Path, *, progress: bool) -> Source | None:
    """The original files in a folder, each checked."""
    if spec.unsplit:
        whole = splitting.find(spec, root, progress=progress)
        return whole and Source({"whole": whole.checksum}, lambda: {"whole": whole.read()})
    found = original_files.find(spec, root)
    return None if found is None else _source(spec, found)


def _fetched(spec: DatasetSpec, root: Path, *, progress: bool) -> Source:
    if spec.unsplit:
        raise Unavailable(f"there are no originals of {spec.name} in {root} or {root / spec.name}")
    try:
        return _source(spec, download.fetch(spec, root, progress=progress))
    except download.Unreachable as error:
        raise Unavailable(f"{original_files.places(spec, root)}, and {error}") from error


def _source(spec: DatasetSpec, found: original_files.Found) -> Source:
    contents = original_files.read(spec, found)
    return Source(
        original_files.unpublished(spec, found, contents), lambda: parse_files(spec, contents)
    )


def parse_files(spec: DatasetSpec, contents: dict[str, bytes]) -> dict[str, Arrays]:
    """Arrays of "train" and "test" from the contents of the original files.

    Raises DataError if they do not parse.
    """
    splits = {
        "train": (spec.train_files, spec.train_images),
        "test": (spec.test_files, spec.test_images),
    }
    arrays = {}
    for split, (files, count) in splits.items():
        names = [file.name for file in files]
        if spec.layout == "idx":
            images, labels = (contents[name] for name in names)
            pair = parse.idx_set((images, labels), spec, (names[0], names[1]), count)
        else:
            parts = [parse.cifar(contents[name], spec, name) for name in names]
            pair = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
        if len(pair[0]) != count:
            raise DataError(f"{', '.join(names)} must hold {count} images, found {len(pair[0])}")
        arrays[split] = pair
    return arrays
