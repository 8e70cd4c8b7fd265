"""Prepared sets on disk: written whole or not at all, and replaced if they are damaged."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxode.data import locks, original_files
from jaxode.data.builders import ImageBlocks, checksum
from jaxode.data.readers import WHOLE
from jaxode.data.specs import Arrays, DataError, DatasetSpec

_MOST_JSON = 2**20
"""Bytes of a JSON file of the builder, which has about a thousand."""

INFO = "dataset_info.json"
"""Without this, TFDS takes a folder for a set yet to be prepared."""

Source = Callable[[], dict[str, Arrays]]
"""Gives the arrays of every split."""


class Damaged(Exception):
    """A prepared set that is not as it was written."""


@dataclass(frozen=True)
class Stored:
    """The arrays of a prepared set, and the checksums of original files without published ones."""

    splits: dict[str, Arrays]
    checksums: dict[str, str]


class PreparedSet:
    """The prepared form of one set in a folder that may hold those of others."""

    def __init__(self, spec: DatasetSpec, root: Path) -> None:
        """The set `spec`, kept in root/<set>/<version>."""
        self._spec, self._root = spec, root
        self.folder = root / spec.name / str(ImageBlocks.VERSION)

    def read(self) -> Stored | None:
        """What is stored, or None if nothing is.

        Raises Damaged, whatever a reader meets in damaged bytes, and DataError if memory runs out.
        """
        locks.tidy(self._root)
        if not os.path.lexists(self.folder):
            return None
        require_files(self.folder)
        try:
            return self._read()
        except Damaged:
            raise
        except MemoryError as error:  # not known to be damage, so nothing is replaced
            raise DataError(
                f"the prepared set in {self.folder} cannot be read: out of memory, unless it is "
                "damaged: delete that folder to have it prepared again"
            ) from error
        except Exception as error:
            raise Damaged(f"it cannot be read: {type(error).__name__}") from error

    def _read(self) -> Stored:
        builder = ImageBlocks(self._spec, self._root)
        recorded = builder.recorded
        wanted = {"train", "test"} if self._spec.predefined_split else {WHOLE}
        if set(builder.info.splits) != wanted:
            raise Damaged(f"it must hold {' and '.join(sorted(wanted))}")
        splits = builder.read()
        if any(checksum(arrays) != recorded.get(split) for split, arrays in splits.items()):
            raise Damaged("it has changed since it was written")
        return Stored(splits, dict(recorded.get("originals", {})))

    def prepare(self, source: Source, checksums: dict[str, str], *, progress: bool) -> Stored:
        """Write what `source` gives, in the place of a damaged set if there is one; read it back.

        If another process prepares sets in the same folder, waits for it, and reads the set if that
        was this one. Raises DataError if it cannot be written.
        """
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with locks.exclusive(self._root, "prepares a set"):
                damage = None
                try:
                    if stored := self.read():
                        return stored
                except Damaged as error:
                    damage = error
                self._announce(damage, progress=progress)
                self._write(source(), checksums, replace=damage is not None)
            stored = self.read()
        except (OSError, Damaged) as error:
            reason = " ".join(str(getattr(error, "strerror", None) or error).split())
            what = f"{self._spec.name} cannot be prepared in {self.folder}"
            raise DataError(f"{what}: {reason}") from error
        assert stored is not None
        return stored

    def _announce(self, damage: Damaged | None, *, progress: bool) -> None:
        if damage:
            what = f"the prepared set in {self.folder} is damaged ({damage})"
            print(f"jaxode: {what}; it is prepared again", file=sys.stderr)
        elif progress:
            print(f"jaxode: preparing {self._spec.name} in {self.folder}", file=sys.stderr)

    def _write(
        self, splits: dict[str, Arrays], checksums: dict[str, str], *, replace: bool
    ) -> None:
        """Write beside the folder, then rename. What a kill leaves, the next start removes."""
        with locks.temporary_folder(self._root) as temporary:
            builder: Any = ImageBlocks(self._spec, temporary)
            try:
                builder.write(splits, checksums, temporary / "downloads")
            except (RuntimeError, ValueError) as error:  # array_record's, of a disk that is full
                raise OSError(str(error)) from error
            if replace:
                os.rename(self.folder, temporary / "damaged")
            try:
                os.rename(builder.data_dir, self.folder)
            except OSError:
                if not os.path.lexists(self.folder):
                    raise
                # without locks: another process has finished the same set meanwhile


def root_of(data_dir: Path) -> Path:
    """Where prepared sets are kept.

    Beside the originals, or in the default folder if they cannot be written there.
    """
    beside = data_dir / "prepared"
    writable = os.access(beside if beside.exists() else data_dir, os.W_OK) or not data_dir.exists()
    if writable and _utf8(beside):
        return beside
    key = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
    return original_files.default_data_dir() / "prepared-elsewhere" / key


def _utf8(path: Path) -> bool:
    """Whether the name of a path is UTF-8, as array_record wants it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def require_files(folder: Path) -> None:
    """Raise Damaged unless what TFDS reads of a folder are regular files, the JSON ones small."""
    if not os.path.lexists(folder / INFO):
        raise Damaged(f"it has no {INFO}")
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                json = entry.name.endswith(".json")
                if entry.name.startswith(".") or not (json or ".array_record" in entry.name):
                    continue  # what a desktop has left
                if not entry.is_file():
                    raise Damaged(f"{entry.name} is no file")
                if json and entry.stat().st_size > _MOST_JSON:
                    raise Damaged(f"{entry.name} is too large")
    except OSError as error:
        raise Damaged(f"it cannot be read: {error.strerror}") from error
