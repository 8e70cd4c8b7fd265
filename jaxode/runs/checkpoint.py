"""Checkpoints on disk: written whole or not at all, and known to be whole when they are read.

A checkpoint is a directory of two things: `state`, which Orbax writes, and `meta.json`, which holds
digests of the state's arrays, of each file, of its history and of itself. It is made under another
name and renamed when it is whole and on the disk. The history itself lies in one file beside all
checkpoints, which is appended to: each checkpoint stores how many of its first lines are its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxode.checks import one_line
from jaxode.errors import NOT_WRITTEN, CheckpointError
from jaxode.runs import checkpoint_folder
from jaxode.runs.checkpoint_folder import META, STATE, UNFINISHED, remove, temporary
from jaxode.runs.checkpoint_meta import (
    FORMAT,
    DamagedError,
    compare_files,
    file_digests,
    read_meta,
    sealed,
)
from jaxode.runs.checkpoint_storage import (
    Arrays,
    digest,
    failure_reason,
    flatten,
    read_arrays,
    synchronise,
    synchronise_all,
    write_arrays,
)
from jaxode.runs.history import HISTORY, METRICS, History, HistoryFile, first_lines
from jaxode.strict_json import JsonObject

KEEP_LAST = 2

OPTIONAL = (".totals.backward.",)
"""Parts of the state that a checkpoint may lack, or have unasked for.

Earlier versions did not count backward solves, and who loads a model does not ask for the counts.
Where they are missing they are as at the start.
"""

FILE_SLACK_BYTES = 1 << 24
"""How much larger than all arrays a file of a checkpoint may be to be read."""


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint, as `Checkpoints` reads it.

    Args:
        name: of its directory.
        state: a pytree of arrays.
        meta: the meta data passed to `Checkpoints.save`.
    """

    name: str
    state: PyTree
    meta: JsonObject


class Checkpoints:
    """The checkpoints of one run, of which the last two and the best are kept.

    Args:
        directory: their folder, which need not exist.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import jax.numpy as jnp
        >>> from jaxode.runs import Checkpoints
        >>> state = {"w": jnp.arange(3.0)}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Checkpoints(Path(folder)).save("epoch-00001-step-0000000010", state, {"a": 1})
        ...     checkpoint = Checkpoints(Path(folder)).load(state, warn=print)
        >>> checkpoint.name, checkpoint.state["w"].tolist(), checkpoint.meta["a"]
        ('epoch-00001-step-0000000010', [0.0, 1.0, 2.0], 1)
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.history = HistoryFile(directory / HISTORY)
        self.trusted: set[str] = set()
        """Names of checkpoints that were read or written here and are whole."""
        self.damaged: set[str] = set()

    def names(self) -> list[str]:
        """Names of the complete checkpoints, oldest first."""
        return checkpoint_folder.names(self.directory)

    def save(self, name: str, state: PyTree, meta: JsonObject, best: str | None = None) -> None:
        """Write a checkpoint, then delete all but the last two and the best.

        Nothing is written if a checkpoint of that name was read or written here before.

        Args:
            name: see `checkpoint_folder.checkpoint_name`.
            state: a pytree of arrays.
            meta: JSON values, of which `history` must begin with that of the last call.
            best: name of the best checkpoint, if there is one.

        Raises:
            CheckpointError: it could not be written; names the directory and the reason. The
                earlier checkpoints are untouched.
        """
        if name in self.trusted:
            return
        arrays = flatten(state)
        unfinished = temporary(self.directory, UNFINISHED)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            unfinished.mkdir()
            self._fill(unfinished, arrays, meta)
            if os.path.lexists(self.directory / name):
                remove(self.directory / name)  # a damaged one
            os.replace(unfinished, self.directory / name)
            synchronise(self.directory)
        except Exception as error:
            place = self.directory if self.directory.is_dir() else Path(".")
            cause = failure_reason(error, place, sum(array.nbytes for array in arrays.values()))
            shutil.rmtree(unfinished, ignore_errors=True)
            with contextlib.suppress(OSError):
                self.directory.rmdir()  # only if there is nothing in it
            raise CheckpointError(f"{NOT_WRITTEN} in {self.directory}: {cause}") from error
        self.trusted.add(name)
        self.damaged.discard(name)
        self._prune(best)

    def _fill(self, folder: Path, arrays: Arrays, meta: JsonObject) -> None:
        """Write all of a checkpoint into its folder, and its history beside it."""
        write_arrays(folder / STATE, arrays)
        content = {**meta, "format": FORMAT, "state_sha256": digest(arrays)}
        content["files_sha256"] = file_digests(folder / STATE)
        content["history"] = self.keep_history(meta.get("history", []))
        (folder / META).write_text(sealed(content), encoding="utf-8")
        synchronise_all(folder)

    def keep_history(self, history: History) -> JsonObject:
        """Make the file of the history hold this one.

        Returns:
            number of epochs and digest, by which a checkpoint identifies it.

        Raises:
            OSError: the file could not be written.
        """
        if history:
            self.history.write(history)
        return {"epochs": len(history), "sha256": self.history.digest.hexdigest()}

    def _prune(self, best: str | None) -> None:
        names = self.names()
        good = [name for name in names if name not in self.damaged]
        for name in set(names) - {*good[-KEEP_LAST:], best}:
            remove(self.directory / name)
            self.trusted.discard(name)

    def load(self, template: PyTree, warn: Callable[[str], None]) -> Checkpoint | None:
        """The newest checkpoint that is whole.

        Args:
            template: a pytree of the state's structure, types and shapes.
            warn: receives a line about each damaged checkpoint that is newer.

        Returns:
            The checkpoint, or None if the folder has none at all.

        Raises:
            CheckpointError: all are damaged.
        """
        for name in reversed(self.names()):
            try:
                return self._read(name, template)
            except DamagedError as error:
                self.damaged.add(name)
                place, cause = self.directory / name, one_line(error)
                warn(f"checkpoint {place} is damaged: {cause}; trying the one before")
        if self.damaged:
            raise CheckpointError(
                f"no checkpoint in {self.directory} is readable: start again with another --out"
            )
        return None

    def read(self, name: str, template: PyTree) -> Checkpoint:
        """One checkpoint.

        Args:
            name: its name.
            template: a pytree of the state's structure, types and shapes.

        Raises:
            CheckpointError: it is damaged.
        """
        try:
            return self._read(name, template)
        except DamagedError as error:
            place = self.directory / name
            raise CheckpointError(f"checkpoint {place} is damaged: {error}") from error

    def _read(self, name: str, template: PyTree) -> Checkpoint:
        folder = self.directory / name
        meta, expected = self.meta(name), flatten(template)
        limit = 2 * sum(array.nbytes for array in expected.values()) + FILE_SLACK_BYTES
        # Before Orbax opens them: it meets a damaged file in a background thread.
        compare_files(folder / STATE, meta["files_sha256"], limit)
        try:
            arrays = read_arrays(folder / STATE, expected, OPTIONAL)
        except Exception as error:  # whatever a storage library raises on damaged files
            raise DamagedError("its state is not readable") from error
        if digest(arrays) != meta["state_sha256"]:
            raise DamagedError("its state differs from its digest")
        # Copies: the state is donated to the compiled step, which may not write into NumPy's
        # memory.
        leaves = [jnp.array(arrays.get(name, expected[name]), copy=True) for name in expected]
        self.trusted.add(name)
        return Checkpoint(name, jax.tree.unflatten(jax.tree.structure(template), leaves), meta)

    def meta(self, name: str) -> JsonObject:
        """The meta data of a checkpoint, with its history.

        Raises:
            DamagedError: they cannot be read or differ from their digest.
        """
        meta = read_meta(self.directory / name / META)
        return {**meta, "history": self._history(meta)} if meta["format"] == FORMAT else meta

    def _history(self, meta: JsonObject) -> History:
        """The lines of history that a checkpoint's meta data identify. Raises DamagedError."""
        count, expected = meta["history"]["epochs"], meta["history"]["sha256"]
        if not count:
            return []
        try:
            history = self.history.read(count, expected)
            if history is None:
                history = first_lines(self.directory.parent / METRICS, count, expected)
        except ValueError as error:
            raise DamagedError(f"its history is not readable: {error}") from error
        if history is None:
            raise DamagedError(
                f"its history of {count} epochs is neither in {HISTORY} nor in {METRICS}"
            )
        return history
