"""The full set: from its prepared form, or from original files at hand or fetched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jaxode.data.readers import LocalFiles
from jaxode.data.specs import Arrays, DataError, DatasetSpec

if TYPE_CHECKING:
    from jaxode.data.prepared import Stored


def load_full(spec: DatasetSpec, root: Path, *, progress: bool) -> dict[str, Arrays]:
    """Arrays "train" and "test" of the full set, or "whole" of one without a predefined split.

    The set is prepared on first use, and again if what is prepared is damaged and the originals are
    on this machine.

    Raises:
      Unavailable: there is nothing to prepare it from.
      DataError: an original file is damaged, or the prepared set is and cannot be replaced.
    """
    from jaxode.data import prepared  # imports TFDS, which takes a second

    files = spec.reader.find(spec, root, progress=progress)
    store = prepared.PreparedSet(spec, prepared.root_of(root))
    try:
        stored = store.read()
    except prepared.Damaged as damage:
        if files is None:
            raise DataError(
                f"the prepared set in {store.folder} is damaged ({damage}), and there are no "
                "original files at hand: delete that folder to have it prepared again"
            ) from damage
        stored = None
    if stored is None:
        files = files or spec.reader.fetch(spec, root, progress=progress)
        stored = store.prepare(files.read, files.checksums, progress=progress)
    if files is not None and not _prepared_from(files, stored, spec):
        raise DataError(
            f"the original files of {spec.name} are not those that {store.folder} was prepared "
            "from: put those back, or delete that folder to have it prepared again"
        )
    return stored.splits


def read_originals(spec: DatasetSpec, root: Path, *, progress: bool) -> dict[str, Arrays]:
    """The same of a data set that is read anew each time.

    Raises:
      Unavailable: there are no original files.
      DataError: an original file is damaged.
    """
    files = spec.reader.find(spec, root, progress=progress)
    return (files or spec.reader.fetch(spec, root, progress=progress)).read()


def _prepared_from(files: LocalFiles, stored: Stored, spec: DatasetSpec) -> bool:
    from jaxode.data.builders import checksum

    if files.checksums == stored.checksums:
        return True
    if not spec.predefined_split:  # its one checksum is of all files
        return False
    # Files that were packed then and are not now, or the reverse, give the same images.
    given = files.read()
    return all(checksum(given[split]) == checksum(stored.splits[split]) for split in given)
