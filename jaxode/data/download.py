"""Original files from their official addresses, whole or not at all, and of a bounded size."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import pooch
import requests

from jaxode.data import locks, original_files
from jaxode.data.specs import DataError, DatasetSpec, SourceFile

_CONNECT_SECONDS = 5


class Unreachable(DataError):
    """A file that cannot be had: its address does not answer, or there is nowhere to store it."""


def fetch(spec: DatasetSpec, data_dir: Path, *, progress: bool) -> original_files.Found:
    """Download what is missing to data_dir/<set>, or to where the rest is.

    Each file is checked, then renamed into place, so no part of one is left behind. Raises
    Unreachable if an address does not answer or the folder cannot be written, and DataError if it
    sends another file.
    """
    part = None if spec.archive else original_files.partly(spec, data_dir)
    folder = part or data_dir / spec.name
    wanted = [spec.archive] if spec.archive else list(spec.files)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locks.exclusive(folder, f"downloads {spec.name}"):
            for file in wanted:
                if original_files.at(folder, file) is None:
                    _download(file, folder, progress=progress)
    except OSError as error:
        reason = error.strerror or error
        raise Unreachable(f"{spec.name} cannot be stored in {folder}: {reason}") from error
    found = original_files.find(spec, data_dir)
    if found is None:  # somebody has taken files away meanwhile
        raise Unreachable(original_files.places(spec, data_dir))
    return found


def _download(file: SourceFile, folder: Path, *, progress: bool) -> None:
    assert file.url is not None
    pooch.get_logger().setLevel("WARNING")  # the progress bar says enough
    downloader: Any = _Downloader(file, progress)
    with locks.temporary_folder(folder) as partial:
        try:
            pooch.retrieve(file.url, file.digest, file.name, partial, downloader=downloader)
        except requests.RequestException as error:
            raise Unreachable(f"{file.url} cannot be reached ({type(error).__name__})") from error
        except DataError:
            raise
        except ValueError as error:  # pooch's word for another checksum; it has removed the file
            what = f"{file.url} sent a file whose checksum is not {file.digest}"
            raise DataError(what) from error
        os.replace(partial / file.name, folder / file.name)


class _Downloader:
    """Pooch's, but a body of more bytes than the file is cut off, and redirects are checked."""

    def __init__(self, file: SourceFile, progress: bool) -> None:
        self._file = file
        self._http: Any = pooch.HTTPDownloader(
            progressbar=progress, timeout=_CONNECT_SECONDS, hooks={"response": _same_scheme}
        )

    def __call__(self, url: str, output_file: str, caller: pooch.Pooch | None) -> None:
        with open(output_file, "wb") as stream:
            self._http(url, _Capped(stream, self._file), caller)


class _Capped:
    """A file that takes as many bytes as it is to have."""

    def __init__(self, stream: BinaryIO, file: SourceFile) -> None:
        self._stream, self._file = stream, file
        self._left = original_files.MOST_BYTES if file.size is None else file.size

    def write(self, chunk: bytes) -> None:
        """Raises DataError beyond the last byte."""
        self._left -= len(chunk)
        if self._left < 0:
            size = self._file.size or f"at most {original_files.MOST_BYTES}"
            raise DataError(f"{self._file.url} must send {size} bytes, and sends more")
        self._stream.write(chunk)

    def flush(self) -> None:
        """Pooch asks for it after every chunk."""
        self._stream.flush()


def _same_scheme(response: requests.Response, *_: object, **__: object) -> None:
    """Refuse a redirect from https to http, and from either to anything else."""
    if not response.is_redirect:
        return
    here = urlsplit(response.url).scheme
    try:
        there = urlsplit(response.headers["location"]).scheme or here
    except ValueError as error:
        raise requests.exceptions.InvalidURL(str(error)) from error
    if there not in (here, "https"):
        raise requests.exceptions.InvalidSchema(f"{response.url} sends on to {there}")
