"""The arrays of a checkpoint on disk. Only room of Orbax.

Orbax writes a folder of arrays from background threads and reports an error of one in hundreds of
lines, or not at all. Here an error is one exception, with nothing printed beside it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
from jaxtyping import PyTree

SLACK_BYTES = 1 << 17
"""What a checkpoint takes beside its arrays."""

Arrays = dict[str, np.ndarray]
"""Every array of a pytree under its path."""


def flatten(state: PyTree) -> Arrays:
    """Every array of a pytree under its path, as NumPy arrays.

    Args:
        state: a pytree of arrays.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, types, shapes and bytes, in hexadecimal digits."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        total.update(f"{name} {array.dtype} {array.shape}\n".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def write_arrays(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays into a new folder.

    Args:
        folder: does not exist yet; its parent does.
        arrays: by name. Those without elements are left out, for Orbax refuses them.

    Raises:
        OSError: there is not enough room.
        Exception: whatever Orbax raises.
    """
    total = sum(array.nbytes for array in arrays.values())
    # Orbax writes every array, then gathers them in one file, before it deletes the first copy.
    reserve(folder.with_name("trial"), 2 * total + SLACK_BYTES)
    with quiet(), storage() as writer:
        writer.save(folder.absolute(), {key: array for key, array in arrays.items() if array.size})


def read_arrays(
    folder: Path, template: Mapping[str, np.ndarray], optional: tuple[str, ...] = ()
) -> Arrays:
    """The arrays in a folder that `write_arrays` has written.

    Args:
        folder: the folder.
        template: names, types and, for those without elements, shapes.
        optional: beginnings of names that are read if they were written, whether or not the
            template has them.

    Raises:
        Exception: whatever Orbax and NumPy raise on damaged files.
    """
    with quiet(), storage() as reader:
        stored = reader.restore(folder.absolute())
    names = [name for name in template if name in stored or not name.startswith(optional)]
    found = {
        name: np.asarray(stored.get(name, template[name]), template[name].dtype) for name in names
    }
    more = (name for name in stored if name not in found and name.startswith(optional))
    return found | {name: np.asarray(stored[name]) for name in more}


def storage() -> ocp.Checkpointer:
    """Orbax for this process alone.

    Of several processes one writes and reads, and it must not wait for the others.
    """
    this = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=this, active_processes={this}, barrier_sync_key_prefix=f"process-{this}"
    )
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Orbax's threads from printing the traceback of an error that is raised as well."""
    levels = {name: logging.getLogger(name).level for name in ("absl", "asyncio")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def reserve(path: Path, size: int) -> None:
    """Make sure that a file of `size` bytes fits on the disk.

    Args:
        path: a file that does not exist; it is removed again.
        size: in bytes.

    Raises:
        OSError: it does not fit.
    """
    try:
        with open(path, "wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.write(bytes(size))
    finally:
        path.unlink(missing_ok=True)


def synchronise(path: Path) -> None:
    """Wait until a file's content, or a directory's names, have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def synchronise_all(directory: Path) -> None:
    """Wait until everything in a directory has reached the disk.

    A power cut after the rename then loses nothing.
    """
    for folder, _, files in os.walk(directory):
        for path in (Path(folder), *(Path(folder) / name for name in files)):
            synchronise(path)


def failure_reason(error: BaseException, directory: Path, size: int) -> str:
    """Why a save failed, in a few words, which Orbax reports at length or loses.

    Args:
        error: what was raised.
        directory: on the disk that was written to.
        size: bytes that were to be written.
    """
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.strerror:
            return link.strerror
        link = link.__cause__ or link.__context__
    if shutil.disk_usage(directory).free < size:
        return "No space left on device"
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
