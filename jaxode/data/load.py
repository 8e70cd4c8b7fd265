"""One call from a DataConfig to arrays: the full set if it can be had, else the bundled sample, and which it was."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np

from jaxode.config import DataConfig
from jaxode.data import originals, parse, unsplit
from jaxode.data.builders import Arrays, ImageBlocks
from jaxode.data.differences import from_differences
from jaxode.data.specs import SPECS, DataError, DatasetSpec, spec_of

Source = Literal["full", "sample"]


@dataclass(frozen=True)
class ImageSet:
    """Images [N, H, W, C] and labels int32 [N] of a set, of the classes asked for, limits applied."""

    name: str
    source: Source
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    spec: DatasetSpec

    @property
    def whole(self) -> bool:
        """Whether no image of the classes asked for is missing."""
        found, share = len(self.train_labels) + len(self.test_labels), self.spec.classes / SPECS[self.name].classes
        return found == round(share * (self.spec.train_images + self.spec.test_images))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all images and labels: equal for equal data, whichever way they came."""
        digest = hashlib.sha256()
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def load(config: DataConfig, *, progress: bool = True) -> ImageSet:
    """The images that `config` asks for.

    With data "auto", the full set is used if it is prepared, if its original files are at hand or if they can be
    fetched; otherwise the sample, and a line on stderr says so and why. Original files at hand are checked at every
    call, so that a changed byte is never missed (of pictures in folders: a changed name or size); a damaged file is an
    error under "auto" too. A set that comes in one piece is split by `config.split_seed`.

    Raises DataError if the images cannot be had, a file is not what it should be, or a limit exceeds the set.
    """
    spec = spec_of(config)
    source: Source = "sample"
    if config.data == "sample":
        train, test = read_sample(spec)
    else:
        root = Path(config.data_dir) if config.data_dir else originals.default_data_dir()
        if config.data_dir and not root.is_dir():
            raise DataError(f"data_dir must be a folder, and {root} is none")
        try:
            splits, source = load_full(SPECS[spec.name], root, progress=progress), "full"
        except Unavailable as reason:
            if config.data == "full" or not spec.sampled:
                raise DataError(f"{reason}; {_remedy(spec)}") from reason
            print(f"jaxode: using the bundled SAMPLE of {spec.name}, not the full set: {reason}", file=sys.stderr)
            train, test = read_sample(spec)
        else:
            if spec.unsplit:
                share = config.test_share or spec.test_share
                assert share is not None
                train, test = unsplit.split(_of_classes(splits["whole"], spec), share, config.split_seed)
            else:
                train, test = splits["train"], splits["test"]
    train, test = _of_classes(train, spec), _of_classes(test, spec)
    train = _limited(train, config.limit_train, "limit_train", spec, source)
    test = _limited(test, config.limit_test, "limit_test", spec, source)
    return ImageSet(spec.name, source, *train, *test, spec)


class Unavailable(Exception):
    """The full set is neither prepared nor at hand nor to be fetched."""


def load_full(spec: DatasetSpec, root: Path, *, progress: bool) -> dict[str, Arrays]:
    """Arrays "train" and "test" of the full set, or "whole" of one that comes unsplit, prepared on first use.

    Raises Unavailable if there is nothing to prepare it from, and DataError if an original file is damaged.
    """
    builder = ImageBlocks(spec, _prepared_root(root))
    if spec.unsplit:
        return _load_unsplit(spec, root, builder, progress=progress)
    found = originals.find(spec, root)
    contents = originals.read(spec, found) if found else None
    if not builder.ready:
        if contents is None:
            try:
                contents = originals.read(spec, originals.fetch(spec, root, progress=progress))
            except originals.Unreachable as error:
                raise Unavailable(f"{originals.places(spec, root)}, and {error}") from error
        if progress:
            print(f"jaxode: preparing {spec.name} in {builder.data_dir}", file=sys.stderr)
        raw = contents
        builder.prepare(lambda: parse_files(spec, raw), _unpublished(spec, raw))
    elif contents is not None and _unpublished(spec, contents) != builder.recorded:
        raise _changed(spec, builder)
    return builder.read()


def _load_unsplit(spec: DatasetSpec, root: Path, builder: ImageBlocks, *, progress: bool) -> dict[str, Arrays]:
    original = unsplit.find(spec, root, progress=progress)
    checksums = {"whole": original.checksum} if original else {}
    if not builder.ready:
        if original is None:
            raise Unavailable(f"there are no originals of {spec.name} in {root} or {root / spec.name}")
        if progress:
            print(f"jaxode: preparing {spec.name} in {builder.data_dir}", file=sys.stderr)
        builder.prepare(lambda: {"whole": original.read()}, checksums)
    elif original is not None and checksums != builder.recorded:
        raise _changed(spec, builder)
    return builder.read()


def _changed(spec: DatasetSpec, builder: ImageBlocks) -> DataError:
    return DataError(
        f"the original files of {spec.name} are not those that {builder.data_dir} was prepared from: "
        "put those back, or delete that folder to have it prepared again"
    )


def _of_classes(arrays: Arrays, spec: DatasetSpec) -> Arrays:
    """The images of the set's classes."""
    images, labels = arrays
    kept = labels < spec.classes
    return arrays if kept.all() else (images[kept], labels[kept])


def _unpublished(spec: DatasetSpec, contents: dict[str, bytes]) -> dict[str, str]:
    """Checksums of the files that have no published one: they show a change, if not an error from the start."""
    return {f.name: hashlib.sha256(contents[f.name]).hexdigest() for f in spec.files if f.digest is None}


def parse_files(spec: DatasetSpec, contents: dict[str, bytes]) -> dict[str, Arrays]:
    """Arrays of "train" and "test" from the contents of the original files. Raises DataError if they do not parse."""
    splits = {"train": (spec.train_files, spec.train_images), "test": (spec.test_files, spec.test_images)}
    arrays = {}
    for split, (files, count) in splits.items():
        names = [file.name for file in files]
        if spec.layout == "idx":
            images, labels = (parse.gunzip(contents[name], name) for name in names)
            pair = parse.idx_pair(images, labels, spec, (names[0], names[1]))
        else:
            parts = [parse.cifar(contents[name], spec, name) for name in names]
            pair = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
        if len(pair[0]) != count:
            raise DataError(f"{', '.join(names)} must hold {count} images, found {len(pair[0])}")
        arrays[split] = pair
    return arrays


def read_sample(spec: DatasetSpec) -> tuple[Arrays, Arrays]:
    """Training and test arrays of the bundled sample. Raises DataError if the set has none."""
    if not spec.sampled:
        raise DataError(f"{spec.name} has no bundled sample; {_remedy(spec)}")
    with resources.files("jaxode.data").joinpath("samples", f"{spec.name}.npz").open("rb") as stream:
        stored = np.load(stream, allow_pickle=False)
        arrays = {split: stored[f"{split}_images"] for split in ("train", "test")}
        labels = {split: stored[f"{split}_labels"].astype(np.int32) for split in arrays}
    train, test = ((from_differences(arrays[split]), labels[split]) for split in arrays)
    return train, test


def _prepared_root(root: Path) -> Path:
    """Where prepared sets are kept: beside the originals, or in the default folder if that cannot be written."""
    beside = root / "prepared"
    if os.access(beside if beside.exists() else root, os.W_OK) or not root.exists():
        return beside
    key = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    return originals.default_data_dir() / "prepared-elsewhere" / key


def _limited(arrays: Arrays, limit: int | None, name: str, spec: DatasetSpec, source: Source) -> Arrays:
    if limit is None:
        return arrays
    if limit > len(arrays[0]):
        raise DataError(f"{name} must be at most {len(arrays[0])}, the images of {spec.name} ({source}), got {limit}")
    return arrays[0][:limit], arrays[1][:limit]


def _remedy(spec: DatasetSpec) -> str:
    if spec.source:
        return f"get them from {spec.source}, and name the folder they are in with --data-dir"
    where = spec.archive.url if spec.archive else (spec.files[0].url or "").rsplit("/", 1)[0] + "/"
    other = ", or use --data sample" if spec.sampled else ""
    return f"get the original files from {where} and name their folder with --data-dir{other}"
