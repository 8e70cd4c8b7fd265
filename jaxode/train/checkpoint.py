"""Checkpoints on disk: written whole or not at all, and known to be whole when they are read. Only room of orbax.

A checkpoint is a directory of two things: `state`, which orbax writes, and `meta.json`, which holds digests of the
state's arrays, of each file and of itself. It is made under another name and renamed when it is whole and on the disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from jaxode.train.errors import NOT_WRITTEN, CheckpointError

KEEP_LAST = 2
UNFINISHED = "unfinished"
FORMAT = 3
SLACK_BYTES = 1 << 17
"""What a checkpoint takes beside its arrays."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds: the state, and the meta data of `save`."""

    name: str
    state: Any
    meta: dict[str, Any]


class DamagedError(Exception):
    """The checkpoint cannot be trusted."""


def checkpoint_name(epochs_done: int, step: int) -> str:
    """Directory name of the checkpoint after so many finished epochs and so many steps; names sort by age."""
    return f"epoch-{epochs_done:05d}-step-{step:010d}"


def flatten(state: Any) -> dict[str, np.ndarray]:
    """Every array of a pytree under its path, as numpy holds it."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def digest(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 over names, types, shapes and bytes."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        total.update(f"{name} {array.dtype} {array.shape}\n".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def file_digests(directory: Path) -> dict[str, str]:
    """SHA-256 of every file below a directory."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def sealed(content: dict[str, Any]) -> str:
    """JSON text of the content beside the digest of that text."""
    text = json.dumps(content, sort_keys=True)
    return json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest(), "content": content}, sort_keys=True)


def unsealed(text: str) -> dict[str, Any]:
    """The inverse of `sealed`. Raises DamagedError."""
    try:
        outer = json.loads(text)
        content, expected = outer["content"], outer["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError("its meta.json is not readable") from error
    if hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest() != expected:
        raise DamagedError("its meta.json differs from its digest")
    return content


def to_disk(directory: Path) -> None:
    """Wait until everything in a directory has reached the disk, so that a power cut after the rename is harmless."""
    for folder, _, files in os.walk(directory):
        for path in (Path(folder), *(Path(folder) / name for name in files)):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def reserve(path: Path, size: int) -> None:
    """Make sure that a file of `size` bytes fits on the disk. Raises OSError if it does not.

    Storage libraries meet a full disk in a background thread and say so in hundreds of lines; this says it in one.
    """
    try:
        with open(path, "wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.write(bytes(size))
    finally:
        path.unlink(missing_ok=True)


def storage() -> ocp.Checkpointer:
    """Orbax for this process alone: of several, one writes and reads, and the others must not be waited for."""
    this = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=this, active_processes={this}, barrier_sync_key_prefix=f"process-{this}"
    )
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Keep a storage library's background threads from printing tracebacks of an error that is also raised."""
    levels = {name: logging.getLogger(name).level for name in ("absl", "asyncio")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def reason(error: BaseException, directory: Path, wanted: int) -> str:
    """Why a save failed, in a few words; storage libraries bury the cause or lose it."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.strerror:
            return link.strerror
        link = link.__cause__ or link.__context__
    if shutil.disk_usage(directory).free < wanted:
        return "No space left on device"
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


class Checkpoints:
    """The checkpoints of one run: the last two and the best are kept."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.trusted: set[str] = set()
        self.damaged: set[str] = set()

    def names(self) -> list[str]:
        """Names of the complete checkpoints, oldest first."""
        if not self.directory.is_dir():
            return []
        return sorted(path.name for path in self.directory.iterdir() if path.name.startswith("epoch-"))

    def save(self, name: str, state: Any, meta: dict[str, Any], best: str | None = None) -> None:
        """Write a checkpoint, then delete all but the last two and the one named `best`.

        Raises CheckpointError, which names the directory and the reason; the earlier checkpoints are then untouched.
        """
        if name in self.trusted:
            return  # this state was read from there, or has been saved there already
        arrays = flatten(state)
        wanted = sum(array.nbytes for array in arrays.values())
        unfinished = self.directory / UNFINISHED
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            # orbax refuses arrays without elements; the shapes of the restored state come from its template.
            kept = {key: array for key, array in arrays.items() if array.size}
            # orbax writes every array, then gathers them in one file, before it deletes the first copy.
            reserve(unfinished / "trial", 2 * wanted + SLACK_BYTES)
            with hushed(), storage() as writer:
                writer.save((unfinished / "state").absolute(), kept)
            content = {**meta, "format": FORMAT, "state_sha256": digest(arrays)}
            content["files_sha256"] = file_digests(unfinished / "state")
            (unfinished / "meta.json").write_text(sealed(content))
            to_disk(unfinished)
            if name in self.names():
                shutil.rmtree(self.directory / name)  # a damaged one
            os.replace(unfinished, self.directory / name)
        except Exception as error:
            cause = reason(error, self.directory if self.directory.is_dir() else Path("."), wanted)
            shutil.rmtree(unfinished, ignore_errors=True)
            raise CheckpointError(f"{NOT_WRITTEN} in {self.directory}: {cause}") from error
        self.trusted.add(name)
        self.damaged.discard(name)
        self._prune(best)

    def _prune(self, best: str | None) -> None:
        good = [name for name in self.names() if name not in self.damaged]
        for name in set(self.names()) - {*good[-KEEP_LAST:], best}:
            shutil.rmtree(self.directory / name, ignore_errors=True)
            self.trusted.discard(name)

    def _read(self, name: str, template: Any) -> Checkpoint:
        folder = self.directory / name
        try:
            meta = unsealed((folder / "meta.json").read_text())
        except (OSError, ValueError) as error:
            raise DamagedError("its meta.json is not readable") from error
        if meta["format"] != FORMAT:
            raise DamagedError(f"its format is {meta['format']}, this program reads {FORMAT}")
        # Before orbax sees them: it meets a damaged file in a background thread, and says so at length.
        found = file_digests(folder / "state")
        for path, expected in meta["files_sha256"].items():
            if found.get(path) != expected:
                raise DamagedError(f"its file {path} {'differs from its digest' if path in found else 'is missing'}")
        try:
            with hushed(), storage() as reader:
                stored = reader.restore((folder / "state").absolute())
        except Exception as error:  # whatever a storage library raises on damaged files
            raise DamagedError("its state is not readable") from error
        arrays = {key: np.asarray(stored.get(key, leaf), leaf.dtype) for key, leaf in flatten(template).items()}
        if digest(arrays) != meta["state_sha256"]:
            raise DamagedError("its state differs from its digest")
        # Copies: the state is donated to the compiled step, which may not write into numpy's memory.
        leaves = [jnp.array(array, copy=True) for array in arrays.values()]
        return Checkpoint(name, jax.tree.unflatten(jax.tree.structure(template), leaves), meta)

    def _newest_first(self) -> Iterator[str]:
        return reversed(self.names())

    def load(self, template: Any, warn: Callable[[str], None]) -> Checkpoint | None:
        """The newest checkpoint that is whole, or None where there is none at all.

        Each damaged one on the way is named to `warn`. Raises CheckpointError if all are damaged.
        """
        for name in self._newest_first():
            try:
                found = self._read(name, template)
            except DamagedError as error:
                self.damaged.add(name)
                warn(f"checkpoint {self.directory / name} is damaged: {error}; trying the one before")
                continue
            self.trusted.add(name)
            return found
        if self.damaged:
            raise CheckpointError(f"no checkpoint in {self.directory} is readable: start again with another --out")
        return None


def read_checkpoint(directory: Path, template: Any) -> Checkpoint:
    """One checkpoint by its directory, the state laid out as in `template`. Raises CheckpointError if it is damaged."""
    try:
        return Checkpoints(directory.parent)._read(directory.name, template)
    except DamagedError as error:
        raise CheckpointError(f"checkpoint {directory} is damaged: {error}") from error
