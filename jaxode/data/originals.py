"""Original files: where they are, whether they are whole, and how to get them."""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path
from typing import Any

import pooch
import requests

from jaxode.data.specs import DataError, DatasetSpec, SourceFile

_CONNECT_SECONDS = 5


class Unreachable(DataError):
    """An address that does not answer."""


def default_data_dir() -> Path:
    """Where data are kept unless --data-dir says otherwise: $JAXODE_DATA, or a cache folder of the user's."""
    return Path(os.environ.get("JAXODE_DATA") or pooch.os_cache("jaxode"))


def find(spec: DatasetSpec, data_dir: Path) -> dict[str, Path] | Path | None:
    """Paths of the set's original files by name, or of its archive, or None if they are not all there.

    Looked for in `data_dir`, in its folder named after the set and, for CIFAR, in the archive's folder in either.
    Raises DataError if some files of a set are there and others are not.
    """
    roots = [data_dir, data_dir / spec.name]
    if spec.folder:
        roots += [root / spec.folder for root in roots]
    partly: str | None = None
    for root in roots:
        paths = {file.name: root / file.name for file in spec.files}
        missing = [name for name, path in paths.items() if not path.is_file()]
        if not missing:
            return paths
        if len(missing) < len(paths):
            partly = partly or f"{root} lacks {', '.join(missing)} of the {len(paths)} files of {spec.name}"
    for root in roots:
        if spec.archive and (root / spec.archive.name).is_file():
            return root / spec.archive.name
    if partly:
        raise DataError(partly)
    return None


def places(spec: DatasetSpec, data_dir: Path) -> str:
    """What `find` looks for, in words."""
    names = ", ".join(file.name for file in spec.files)
    either = f" (or {spec.archive.name})" if spec.archive else ""
    inner = f" or a folder {spec.folder} in either" if spec.folder else ""
    return f"{names}{either} in {data_dir} or {data_dir / spec.name}{inner}"


def read(spec: DatasetSpec, found: dict[str, Path] | Path) -> dict[str, bytes]:
    """Contents of the set's files by name, each checked. Raises DataError naming a file that is not whole."""
    if isinstance(found, dict):
        return {file.name: verify(file, found[file.name].read_bytes(), found[file.name]) for file in spec.files}
    assert spec.archive is not None
    verify(spec.archive, found.read_bytes(), found)
    contents = {}
    try:
        with tarfile.open(found) as archive:
            for file in spec.files:
                member = archive.extractfile(f"{spec.folder}/{file.name}")
                if member is None:
                    raise KeyError(file.name)
                contents[file.name] = verify(file, member.read(), found / file.name)
    except (tarfile.TarError, KeyError, OSError, EOFError) as error:
        raise DataError(f"{found} is not the archive of {spec.name}: {error}") from error
    return contents


def verify(file: SourceFile, contents: bytes, path: Path) -> bytes:
    """The contents, if they have the size and the digest expected. Raises DataError otherwise."""
    if file.size is not None and len(contents) != file.size:
        raise DataError(f"{path} must have {file.size} bytes, found {len(contents)}: it is truncated or another file")
    if file.digest is not None:
        algorithm, _, expected = file.digest.partition(":")
        actual = hashlib.new(algorithm, contents, usedforsecurity=False).hexdigest()
        if actual != expected:
            raise DataError(f"{path} must have {algorithm} {expected}, found {actual}: it is damaged or another file")
    return contents


def fetch(spec: DatasetSpec, data_dir: Path, *, progress: bool) -> dict[str, Path] | Path:
    """Download what is missing to data_dir/<set>, each file checked and then renamed into place.

    Leaves no part of a file behind. Raises Unreachable if an address does not answer, and DataError if it sends
    another file or the folder cannot be written.
    """
    folder = data_dir / spec.name
    pooch.get_logger().setLevel("WARNING")  # the progress bar says enough
    wanted = [spec.archive] if spec.archive else list(spec.files)
    for file in wanted:
        assert file is not None
        assert file.url is not None
        if (folder / file.name).is_file():
            continue
        downloader: Any = pooch.HTTPDownloader(progressbar=progress, timeout=_CONNECT_SECONDS)
        try:
            pooch.retrieve(file.url, file.digest, fname=file.name, path=folder, downloader=downloader)
        except requests.RequestException as error:
            raise Unreachable(f"{file.url} cannot be reached ({type(error).__name__})") from error
        except ValueError as error:  # pooch's word for another checksum; it has removed the file
            raise DataError(f"{file.url} sent a file whose checksum is not {file.digest}") from error
        except OSError as error:
            raise DataError(f"{file.name} cannot be stored in {folder}: {error.strerror}") from error
    found = find(spec, data_dir)
    assert found is not None
    return found
