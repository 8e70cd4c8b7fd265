"""Checkpoints on disk: written whole or not at all, and known to be whole when they are read.

Only room of orbax.

A checkpoint is a directory of two things: `state`, which orbax writes, and `meta.json`, which holds
digests of the state's arrays, of each file, of its history and of itself. It is made under another
name and renamed when it is whole and on the disk. The history itself lies in one file beside all
checkpoints, which is appended to: each of them knows how many of its first lines are its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
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

from jaxode.bounded_files import read_bounded
from jaxode.checks import one_line
from jaxode.errors import NOT_WRITTEN, CheckpointError
from jaxode.runs import checkpoint_folder
from jaxode.runs.checkpoint_folder import META, META_BYTES, STATE, UNFINISHED, remove, temporary
from jaxode.runs.checkpoint_meta import (
    FORMAT,
    DamagedError,
    checked,
    file_digest,
    file_digests,
    sealed,
    unsealed,
)
from jaxode.runs.history import HISTORY, METRICS, History, HistoryFile, agrees, first_lines

KEEP_LAST = 2
SLACK_BYTES = 1 << 17
"""What a checkpoint takes beside its arrays."""

FILE_SLACK_BYTES = 1 << 24
"""How much larger than all arrays a file of a checkpoint may be to be read."""

STATE_BYTES = 1 << 38
"""More than any file of a state."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds: the state, and the meta data of `save`."""

    name: str
    state: Any
    meta: dict[str, Any]


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


def synchronise(path: Path) -> None:
    """Wait until a file's content, or a directory's names, have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def to_disk(directory: Path) -> None:
    """Wait until everything in a directory is on the disk.

    A power cut after the rename then loses nothing.
    """
    for folder, _, files in os.walk(directory):
        for path in (Path(folder), *(Path(folder) / name for name in files)):
            synchronise(path)


def reserve(path: Path, size: int) -> None:
    """Make sure that a file of `size` bytes fits on the disk. Raises OSError if it does not.

    Storage libraries meet a full disk in a background thread and say so in hundreds of lines; this
    says it in one.
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
    """Orbax for this process alone.

    Of several processes one writes and reads, and the others must not be waited for.
    """
    this = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=this, active_processes={this}, barrier_sync_key_prefix=f"process-{this}"
    )
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Keep a storage library's threads from printing tracebacks of an error that is raised too."""
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
        self.history = HistoryFile(directory / HISTORY)
        self.trusted: set[str] = set()
        self.damaged: set[str] = set()

    def names(self) -> list[str]:
        """Names of the complete checkpoints, oldest first."""
        return checkpoint_folder.names(self.directory)

    def save(self, name: str, state: Any, meta: dict[str, Any], best: str | None = None) -> None:
        """Write a checkpoint, then delete all but the last two and the one named `best`.

        `meta` holds JSON values, of which `history` must begin with that of the last call.

        Raises CheckpointError, which names the directory and the reason; the earlier checkpoints
        are then untouched.
        """
        if name in self.trusted:
            return  # this state was read from there, or has been saved there already
        arrays = flatten(state)
        wanted = sum(array.nbytes for array in arrays.values())
        unfinished = temporary(self.directory, UNFINISHED)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            unfinished.mkdir()
            self._fill(unfinished, arrays, wanted, meta)
            if os.path.lexists(self.directory / name):
                remove(self.directory / name)  # a damaged one
            os.replace(unfinished, self.directory / name)
            synchronise(self.directory)
        except Exception as error:
            cause = reason(error, self.directory if self.directory.is_dir() else Path("."), wanted)
            shutil.rmtree(unfinished, ignore_errors=True)
            with contextlib.suppress(OSError):
                self.directory.rmdir()  # only if there is nothing in it
            raise CheckpointError(f"{NOT_WRITTEN} in {self.directory}: {cause}") from error
        self.trusted.add(name)
        self.damaged.discard(name)
        self._prune(best)

    def _fill(
        self, folder: Path, arrays: dict[str, np.ndarray], wanted: int, meta: dict[str, Any]
    ) -> None:
        """Write all of a checkpoint into its folder, and what it needs beside it."""
        # orbax refuses arrays without elements; the shapes of the restored state come from its
        # template.
        kept = {key: array for key, array in arrays.items() if array.size}
        # orbax writes every array, then gathers them in one file, before it deletes the first copy.
        reserve(folder / "trial", 2 * wanted + SLACK_BYTES)
        with hushed(), storage() as writer:
            writer.save((folder / STATE).absolute(), kept)
        content = {**meta, "format": FORMAT, "state_sha256": digest(arrays)}
        content["files_sha256"] = file_digests(folder / STATE)
        content["history"] = self.keep_history(meta.get("history", []))
        (folder / META).write_text(sealed(content), encoding="utf-8")
        to_disk(folder)

    def keep_history(self, history: History) -> dict[str, Any]:
        """Make the file of the history hold this one; returns what identifies it.

        Raises OSError.
        """
        if history:
            self.history.write(history)
        return {"epochs": len(history), "sha256": self.history.digest.hexdigest()}

    def _prune(self, best: str | None) -> None:
        good = [name for name in self.names() if name not in self.damaged]
        for name in set(self.names()) - {*good[-KEEP_LAST:], best}:
            remove(self.directory / name)
            self.trusted.discard(name)

    def _meta(self, folder: Path) -> dict[str, Any]:
        """The meta data of a checkpoint, its history among them. Raises DamagedError."""
        try:
            meta = checked(unsealed(read_bounded(folder / META, META_BYTES)))
        except (OSError, ValueError) as error:
            raise DamagedError(f"its {META} is not readable") from error
        return {**meta, "history": self._history(meta)} if meta["format"] == FORMAT else meta

    def _history(self, meta: dict[str, Any]) -> History:
        """The lines of history that a checkpoint's meta data identify. Raises DamagedError."""
        count, expected = meta["history"]["epochs"], meta["history"]["sha256"]
        if not count:
            return []
        for path in (self.directory / HISTORY, self.directory.parent / METRICS):
            try:
                found = first_lines(path, count, expected)
            except ValueError as error:
                raise DamagedError(f"its history is not readable: {error}") from error
            if found is not None:
                return found
        raise DamagedError(
            f"its history of {count} epochs is neither in {HISTORY} nor in {METRICS}"
        )

    def _compare_files(self, folder: Path, meta: dict[str, Any], limit: int) -> None:
        """Raise DamagedError unless each file of a state has its digest and is not too large."""
        for path, expected in meta["files_sha256"].items():
            found = file_digest(folder / STATE / path, limit)
            if found != expected:
                raise DamagedError(
                    f"its file {path}"
                    f" {'differs from its digest' if found else 'is missing or too large'}"
                )

    def whole(self, epochs: int) -> bool:
        """Whether the newest checkpoint is whole, of so many epochs, and has the metrics' history.

        True where there is no checkpoint, as in a complete run whose checkpoints were deleted to
        save space.
        """
        if not self.names():
            return True
        folder = self.directory / self.names()[-1]
        try:
            meta = self._meta(folder)
            self._compare_files(folder, meta, STATE_BYTES)
        except DamagedError:
            return False
        return len(meta["history"]) == epochs and agrees(
            self.directory.parent / METRICS, meta["history"]
        )

    def _read(self, name: str, template: Any) -> Checkpoint:
        folder = self.directory / name
        meta, wanted = self._meta(folder), flatten(template)
        limit = 2 * sum(array.nbytes for array in wanted.values()) + FILE_SLACK_BYTES
        # Before orbax sees them: it meets a damaged file in a background thread, and says so at
        # length.
        self._compare_files(folder, meta, limit)
        try:
            with hushed(), storage() as reader:
                stored = reader.restore((folder / STATE).absolute())
            arrays = {
                key: np.asarray(stored.get(key, leaf), leaf.dtype) for key, leaf in wanted.items()
            }
        except Exception as error:  # whatever a storage library raises on damaged files
            raise DamagedError("its state is not readable") from error
        if digest(arrays) != meta["state_sha256"]:
            raise DamagedError("its state differs from its digest")
        # Copies: the state is donated to the compiled step, which may not write into numpy's
        # memory.
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
                warn(
                    f"checkpoint {self.directory / name} is damaged: {one_line(error)}; trying the"
                    " one before"
                )
                continue
            self.trusted.add(name)
            return found
        if self.damaged:
            raise CheckpointError(
                f"no checkpoint in {self.directory} is readable: start again with another --out"
            )
        return None


def read_checkpoint(directory: Path, template: Any) -> Checkpoint:
    """One checkpoint by its directory, the state laid out as in `template`.

    Raises CheckpointError if it is damaged.
    """
    try:
        return Checkpoints(directory.parent)._read(directory.name, template)
    except DamagedError as error:
        raise CheckpointError(f"checkpoint {directory} is damaged: {error}") from error
