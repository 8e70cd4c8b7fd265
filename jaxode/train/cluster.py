"""A run of several processes, one on each host or for each device: how they come together and agree.

Every process runs the same program on its own devices and reads the images from its own disk. Process 0 alone decides
what is not the same everywhere, writes results and checkpoints, and tells the others. Only room of jax.distributed.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxode.checks import ConfigError, host_and_port, require
from jaxode.train.errors import CheckpointError, ResumeError, RunFailed, Stopped
from jaxode.train.lifeline import Door, Lifeline, knock

JOIN_SECONDS = 120
HEARTBEAT_SECONDS = 60
"""After so long a process that hangs, or one behind a broken network, is given up by JAX."""

SEVERAL = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
"""What launchers that JAX understands say of the number of processes they started."""

GRACE_SECONDS = 2.0
"""How long a failed computation waits for the news that another process has died, which is then the cause."""

SMALLEST_TEXT = 4096
"""Bytes, in which most of what process 0 tells has room."""

RETOLD = {kind.__name__: kind for kind in (ConfigError, ResumeError, CheckpointError, RunFailed)}
"""Errors that all processes come to together."""

Found = TypeVar("Found")


@dataclass
class Cluster:
    """The processes of a run; without arguments, the one process of an ordinary run."""

    index: int = 0
    count: int = 1
    lifeline: Lifeline | None = None
    at_loss: list[Callable[[str], None]] = field(default_factory=list)
    """What to do before this process ends because another has died."""
    torn: bool = False

    @property
    def first(self) -> bool:
        """Whether this is process 0."""
        return self.index == 0

    def gathered(self, numbers: Sequence[int]) -> list[list[int]]:
        """Every process's numbers, by process; waits until all have given theirs."""
        if self.count == 1:
            return [list(numbers)]
        return multihost_utils.process_allgather(np.asarray(numbers, np.int32)).tolist()

    def arrays(self, tree: Any) -> Any:
        """The arrays of process 0; the others give a pytree of the same shapes."""
        if self.count == 1:
            return tree
        return multihost_utils.broadcast_one_to_all(jax.tree.map(np.asarray, tree))

    def told(self, work: Callable[[], Any]) -> Any:
        """What process 0 finds by `work`, a JSON value; its error is raised by all.

        Raises RunFailed in the other processes in place of errors of kinds that only process 0 knows.
        """
        if self.count == 1:
            return work()
        error, text = None, b""
        if self.first:
            try:
                text = json.dumps({"found": work()}).encode()
            except Exception as caught:
                error = caught
                text = json.dumps({"kind": type(caught).__name__, "error": str(caught)}).encode()
        size = int(self.arrays(np.asarray(len(text), np.int32)))
        room = max(SMALLEST_TEXT, 1 << (size - 1).bit_length())  # few lengths, for each compiles a program
        text = bytes(self.arrays(np.frombuffer(text.ljust(room), np.uint8)))
        if error is not None:
            raise error
        answer = json.loads(text)
        if "error" in answer:
            raise RETOLD.get(answer["kind"], RunFailed)(answer["error"])
        return answer["found"]

    def in_turn(self, work: Callable[[], Found]) -> Found:
        """What each process finds by `work`; process 0 goes first, for it may fill a disk that all see."""
        if self.first:
            found = work()
            self.gathered([0])
            return found
        self.gathered([0])
        return work()

    def alike(self, what: str, value: Any) -> None:
        """Raise ConfigError in every process unless all have the same JSON value."""
        own = json.loads(json.dumps(value))
        same = self.gathered([int(self.told(lambda: own) == own)])
        others = [str(number) for number, (good,) in enumerate(same) if not good]
        if others:
            plural = "es" if len(others) > 1 else ""
            raise ConfigError(f"process{plural} {', '.join(others)} has not the {what} of process 0")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Leave in order after an end that all processes come to, and let the others know of any other."""
        self.torn = error is not None and not isinstance(error, (Stopped, *RETOLD.values()))
        if isinstance(error, jax.errors.JaxRuntimeError) and self.lifeline is not None:
            time.sleep(GRACE_SECONDS)  # most likely another process has died, and the lifeline ends this one
        if self.lifeline is not None:
            self.lifeline.leave(f"process {self.index} has ended: {error or kind}" if self.torn else "")

    def end(self, code: int) -> int:
        """The exit code; a process torn from the others ends here with it, for JAX would wait for them."""
        if self.torn and self.count > 1:
            sys.stderr.flush()
            os._exit(code)
        return code


def wanted(coordinator: str | None, processes: int | None, process_id: int | None) -> bool:
    """Whether several processes are asked for, by arguments or by a launcher. Raises ConfigError if half is given."""
    given = {"coordinator": coordinator, "processes": processes, "process_id": process_id}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == len(given):
        return any(os.environ.get(name, "1") not in ("", "0", "1") for name in SEVERAL)
    if missing:
        raise ConfigError(f"coordinator, processes and process_id belong together: {missing[0]} is missing")
    assert coordinator is not None
    assert processes is not None
    assert process_id is not None
    host_and_port("coordinator", coordinator)
    require(processes >= 1, "processes", processes, "at least 1")
    require(0 <= process_id < processes, "process_id", process_id, f"in 0, ..., {processes - 1}")
    return processes > 1


def join(coordinator: str | None = None, processes: int | None = None, process_id: int | None = None) -> Cluster:
    """Meet the other processes; without arguments as the launcher says. To be called before JAX has done anything.

    Raises:
        RunFailed: they could not be met.
    """
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process_id,
            initialization_timeout=JOIN_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=JOIN_SECONDS,
        )
    except (RuntimeError, ValueError) as error:
        raise RunFailed(f"could not meet the other processes: {str(error).splitlines()[0]}") from error
    cluster = Cluster(jax.process_index(), jax.process_count())
    try:
        cluster.lifeline = _connected(cluster, coordinator)
    except OSError as error:
        print(
            f"note: no direct connection between the processes ({error}): a lost one is noticed late", file=sys.stderr
        )
    return cluster


def _connected(cluster: Cluster, coordinator: str | None) -> Lifeline:
    """Connections between process 0 and every other. Raises OSError."""
    host = coordinator.rpartition(":")[0] if coordinator else socket.gethostname()
    door = Door() if cluster.first else None
    found = cluster.told(lambda: [host, door.port, door.key.hex()] if door else None)
    if door is not None:
        connections = door.admit(cluster.count - 1)
    else:
        connections = knock(found[0], found[1], bytes.fromhex(found[2]), cluster.index)

    def lost(words: str) -> None:
        for action in cluster.at_loss:
            action(words)
        print(f"error: {words}: go on with --resume, with as many processes as there are", file=sys.stderr, flush=True)
        # The main thread waits for a device that waits for the lost process; nothing else would end this one.
        os._exit(1)

    return Lifeline(connections, lost)
