"""Original files: where they are, and whether they are whole."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zlib
from pathlib import Path

from jaxode.data import inputs, unpacked
from jaxode.data.specs import DataError, DatasetSpec, SourceFile

MOST_BYTES = 2**26
"""Of a file whose size is not published: more than any file of these sets that comes by itself."""

Found = dict[str, Path] | Path
"""The files of a set by their published names, or its archive."""


def default_data_dir() -> Path:
    """Where data are kept without --data-dir: $JAXODE_DATA, or a cache folder of the user's."""
    import pooch  # slow to import

    return Path(os.environ.get("JAXODE_DATA") or pooch.os_cache("jaxode"))


def find(spec: DatasetSpec, data_dir: Path) -> Found | None:
    """Paths of the set's original files by name, or of its archive; None if not all are there.

    Looked for in the folder of `data_dir` named after the set, in `data_dir` itself, in
    torchvision's folder and, for CIFAR, in the archive's folder in the first two. Gzip files
    may be unpacked. Raises DataError if something has the name of a file and is none.
    """
    roots = _roots(spec, data_dir)
    for root in roots:
        found = {file.name: path for file in spec.files if (path := at(root, file))}
        if len(found) == len(spec.files):
            return found
    archives = [root / spec.archive.name for root in roots] if spec.archive else []
    if archive := inputs.first(archives):
        return archive
    inputs.refuse_others(archives)
    for root in roots:
        for file in spec.files:
            if at(root, file) is None:
                inputs.refuse_others(root / name for name in unpacked.names(file))
    return None


def at(root: Path, file: SourceFile) -> Path | None:
    """Where a file is in a folder, as it is published or unpacked; None if it is not."""
    return inputs.first(root / name for name in unpacked.names(file))


def _roots(spec: DatasetSpec, data_dir: Path) -> list[Path]:
    # The set's own folder first: MNIST and Fashion-MNIST name their files alike.
    roots = [data_dir / spec.name, data_dir]
    if folder := spec.torchvision_folder:
        roots.append(data_dir / folder / "raw")
        if data_dir.name == folder:
            roots.append(data_dir / "raw")
    return roots + [root / spec.folder for root in roots] if spec.folder else roots


def _missing(spec: DatasetSpec, root: Path) -> list[str]:
    return [file.name for file in spec.files if at(root, file) is None]


def partly(spec: DatasetSpec, data_dir: Path) -> Path | None:
    """The folder that holds some of the files, as a download that broke off leaves it."""
    roots, count = _roots(spec, data_dir), len(spec.files)
    return next((root for root in roots if 0 < len(_missing(spec, root)) < count), None)


def places(spec: DatasetSpec, data_dir: Path) -> str:
    """What `find` looks for and has not found, in words."""
    if part := partly(spec, data_dir):
        missing = ", ".join(_missing(spec, part))
        return f"{part} lacks {missing} of the {len(spec.files)} files of {spec.name}"
    names = ", ".join(file.name for file in spec.files)
    either = f" (or {spec.archive.name})" if spec.archive else ""
    inner = f" or a folder {spec.folder} in either" if spec.folder else ""
    pickled = _pickled(spec, data_dir)
    other = f", only {pickled}, whose pickles are not read" if pickled else ""
    return f"there is no {names}{either} in {data_dir} or {data_dir / spec.name}{inner}{other}"


def _pickled(spec: DatasetSpec, data_dir: Path) -> Path | None:
    """The Python version of CIFAR where the binary one is looked for."""
    names = spec.pickled_names
    if data_dir.name in names:
        return data_dir
    paths = [root / name for root in _roots(spec, data_dir) for name in names]
    return next((path for path in paths if path.exists()), None)


def read(spec: DatasetSpec, found: Found) -> dict[str, bytes]:
    """Contents of the set's files by name, each checked. Raises DataError if one is not whole."""
    if isinstance(found, dict):
        return {file.name: _read(file, found[file.name]) for file in spec.files}
    assert spec.archive is not None
    with inputs.opened(found) as stream:
        _check_size(spec.archive, inputs.size_of(stream), found)
        _check_digest(spec.archive, _digest(spec.archive, stream), found)
        stream.seek(0)
        try:
            return _members(spec, stream, found)
        except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{found} is not the archive of {spec.name}: {error}") from error


def _read(file: SourceFile, path: Path) -> bytes:
    wanted = unpacked.expected(file, path.name)
    with inputs.opened(path) as stream:
        size = inputs.size_of(stream)
        _check_size(wanted, size, path)
        return verify(wanted, stream.read(size), path)


def _members(spec: DatasetSpec, stream: io.BufferedReader, path: Path) -> dict[str, bytes]:
    """The set's files in a tar archive, of which no member may be larger than the largest file."""
    wanted = {f"{spec.folder}/{file.name}": file for file in spec.files}
    most = max(file.size or MOST_BYTES for file in spec.files)
    contents = {}
    with tarfile.open(fileobj=stream, mode="r:gz") as archive:
        for member in archive:
            if member.size > most:
                what = f"{path / member.name} must have at most {most} bytes"
                raise DataError(f"{what}, and announces {member.size}")
            file = wanted.get(member.name)
            if file is None or file.name in contents:
                continue
            inside = archive.extractfile(member) if member.isreg() else None
            if inside is None:
                what = f"{path / member.name} must be a file of the archive"
                raise DataError(f"{what}, and is a link, folder or device")
            contents[file.name] = verify(file, inside.read(), path / file.name)
            if len(contents) == len(wanted):
                break
    missing = ", ".join(file.name for file in spec.files if file.name not in contents)
    if missing:
        what = f"{path} is not the archive of {spec.name}"
        raise DataError(f"{what}: it has no {missing} in {spec.folder}")
    return contents


def verify(file: SourceFile, contents: bytes, path: Path) -> bytes:
    """The contents, if they have the size and the digest expected. Raises DataError otherwise."""
    _check_size(file, len(contents), path)
    if file.digest is not None:
        _check_digest(file, _digest(file, io.BytesIO(contents)), path)
    return contents


def unpublished(spec: DatasetSpec, found: Found, contents: dict[str, bytes]) -> dict[str, str]:
    """Checksums of files that have no published one: they show a change, if not a first error."""
    names = {file.name: file.name for file in spec.files}
    if isinstance(found, dict):
        names = {name: path.name for name, path in found.items()}
    return {
        names[file.name]: hashlib.sha256(contents[file.name]).hexdigest()
        for file in spec.files
        if unpacked.expected(file, names[file.name]).digest is None
    }


def _check_size(file: SourceFile, size: int, path: Path) -> None:
    found = f"bytes, found {size}: it is truncated or another file"
    if file.size is not None and size != file.size:
        raise DataError(f"{path} must have {file.size} {found}")
    if file.size is None and size > MOST_BYTES:
        raise DataError(f"{path} must have at most {MOST_BYTES} {found}")


def _digest(file: SourceFile, stream: io.BufferedReader | io.BytesIO) -> str:
    algorithm = (file.digest or "sha256").partition(":")[0]
    return hashlib.file_digest(
        stream, lambda: hashlib.new(algorithm, usedforsecurity=False)
    ).hexdigest()


def _check_digest(file: SourceFile, actual: str, path: Path) -> None:
    if file.digest is None:
        return
    algorithm, _, expected = file.digest.partition(":")
    if actual != expected:
        what = f"{path} must have {algorithm} {expected}, found {actual}"
        raise DataError(f"{what}: it is damaged or another file")
