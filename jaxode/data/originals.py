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
    """A file that cannot be had: its address does not answer, or there is nowhere to store it."""


def default_data_dir() -> Path:
    """Where data are kept unless --data-dir says otherwise: $JAXODE_DATA, or a cache folder of the user's."""
    return Path(os.environ.get("JAXODE_DATA") or pooch.os_cache("jaxode"))


def find(spec: DatasetSpec, data_dir: Path) -> dict[str, Path] | Path | None:
    """Paths of the set's original files by name, or of its archive, or None if they are not all there.

    Looked for in the folder of `data_dir` named after the set, in `data_dir` itself and, for CIFAR, in the archive's
    folder in either.
    """
    roots = _roots(spec, data_dir)
    for root in roots:
        if not _missing(spec, root):
            return {file.name: root / file.name for file in spec.files}
    for root in roots:
        if spec.archive and (root / spec.archive.name).is_file():
            return root / spec.archive.name
    return None


def _roots(spec: DatasetSpec, data_dir: Path) -> list[Path]:
    # The set's own folder first: MNIST and Fashion-MNIST name their files alike.
    roots = [data_dir / spec.name, data_dir]
    return roots + [root / spec.folder for root in roots] if spec.folder else roots


def _missing(spec: DatasetSpec, root: Path) -> list[str]:
    return [file.name for file in spec.files if not (root / file.name).is_file()]


def _partly(spec: DatasetSpec, data_dir: Path) -> Path | None:
    """The folder that holds some of the files, as a download that broke off leaves it."""
    return next((root for root in _roots(spec, data_dir) if 0 < len(_missing(spec, root)) < len(spec.files)), None)


def places(spec: DatasetSpec, data_dir: Path) -> str:
    """What `find` looks for and has not found, in words."""
    if partly := _partly(spec, data_dir):
        return f"{partly} lacks {', '.join(_missing(spec, partly))} of the {len(spec.files)} files of {spec.name}"
    names = ", ".join(file.name for file in spec.files)
    either = f" (or {spec.archive.name})" if spec.archive else ""
    inner = f" or a folder {spec.folder} in either" if spec.folder else ""
    return f"there is no {names}{either} in {data_dir} or {data_dir / spec.name}{inner}"


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
    """Download what is missing to data_dir/<set>, or to where the rest is; each file checked, then renamed into place.

    Leaves no part of a file behind. Raises Unreachable if an address does not answer or the folder cannot be written,
    and DataError if it sends another file.
    """
    partly = None if spec.archive else _partly(spec, data_dir)
    folder = partly or data_dir / spec.name
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
            raise Unreachable(f"{file.name} cannot be stored in {folder}: {error.strerror}") from error
    found = find(spec, data_dir)
    assert found is not None
    return found
