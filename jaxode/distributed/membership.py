"""Which process of which run this is: by arguments, or by the variables of SLURM or Open MPI."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from jaxode.checks import PROCESSES, ConfigError, host_and_port, require

OPEN_MPI, SLURM = "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"
"""The variables in which launchers say how many processes they have started."""
LAUNCHERS = {OPEN_MPI: "OMPI_COMM_WORLD_RANK", SLURM: "SLURM_PROCID"}
"""The number of processes, and of this one. In JAX's order: mpirun may itself run under SLURM."""
FIRST_PORT, PORT_COUNT = 61440, 4096
"""Ports that Linux gives to no outgoing connection; as in JAX, the job's number selects one."""
NODE = re.compile(r"([^,\[\]]+)(?:\[([^,\-\]]+))?")
MPIRUN = re.compile(r"(\d+)[^;]*;(?:tcp://([^,:]+)|tcp6://\[([^,\]]+))", re.ASCII)


@dataclass(frozen=True)
class Membership:
    """A process of a run of several.

    Args:
        host: name or address of process 0's machine.
        port: at which process 0 listens there.
        index: the number of this process, from 0.
        count: how many processes there are.
        job: the launcher's name for the run; empty without one.
    """

    host: str
    port: int
    index: int
    count: int
    job: str = ""

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def membership(
    coordinator: str | None,
    processes: int | None,
    process_id: int | None,
    environment: Mapping[str, str] = os.environ,
) -> Membership | None:
    """Which process this is, by arguments or by a launcher's variables.

    Args:
        coordinator: HOST:PORT at which process 0 listens. Under a launcher it may be given alone.
        processes: how many processes the run has.
        process_id: the number of this one, from 0.
        environment: the variables.

    Returns:
        The membership; None for an ordinary run of one process.

    Raises:
        ConfigError: one of the three is missing, or a value is out of range.

    Example:
        >>> from jaxode.distributed import membership
        >>> membership("10.0.0.1:5000", 2, 1, {})
        Membership(host='10.0.0.1', port=5000, index=1, count=2, job='')
    """
    counts = {name: environment.get(name, "1") for name in LAUNCHERS}
    launcher = next((name for name, count in counts.items() if count not in ("", "0", "1")), None)
    if processes is None and process_id is None and launcher is not None:
        coordinator = coordinator or environment.get("JAX_COORDINATOR_ADDRESS")
        return launched(launcher, coordinator, environment)
    given = {"coordinator": coordinator, "processes": processes, "process_id": process_id}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == len(given):
        return None
    if coordinator is None or processes is None or process_id is None:
        together = "coordinator, processes and process_id belong together"
        raise ConfigError(f"{together}: {missing[0]} is missing")
    host, port = host_and_port("coordinator", coordinator)
    checked(processes, process_id)
    return Membership(host, port, process_id, processes) if processes > 1 else None


def checked(processes: int, process_id: int) -> None:
    """Raise ConfigError unless a run can have so many processes, and one of that number."""
    require(processes in PROCESSES, "processes", processes, f"a whole number {PROCESSES}")
    require(0 <= process_id < processes, "process_id", process_id, f"in 0, ..., {processes - 1}")


def launched(launcher: str, coordinator: str | None, environment: Mapping[str, str]) -> Membership:
    """The membership in a launcher's variables.

    Args:
        launcher: one of LAUNCHERS.
        coordinator: HOST:PORT; by default what the launcher gives.
        environment: the variables.

    Raises:
        ConfigError: a variable is missing or invalid.
    """
    count, index = number(launcher, environment), number(LAUNCHERS[launcher], environment)
    checked(count, index)
    host, port, job = (by_mpirun if launcher == OPEN_MPI else by_slurm)(environment)
    if environment.get("JAX_COORDINATOR_PORT"):
        port = number("JAX_COORDINATOR_PORT", environment)
    if coordinator is None and not host:
        where = "the launcher does not say where process 0 runs"
        raise ConfigError(f"{where}: give --coordinator HOST:PORT")
    address = coordinator or Membership(host, port, index, count).address
    host, port = host_and_port("coordinator", address)
    return Membership(host, port, index, count, job)


def number(name: str, environment: Mapping[str, str]) -> int:
    """A whole number in a variable. Raises ConfigError."""
    text = environment.get(name, "")
    good = re.fullmatch("[0-9]{1,9}", text) is not None
    require(good, name, text, "a whole number, which the launcher sets")
    return int(text)


def by_slurm(environment: Mapping[str, str]) -> tuple[str, int, str]:
    """The first machine of the step, a port, and the name of the step."""
    # As in node1,other2 and in node[001-015,020].
    node = NODE.match(environment.get("SLURM_STEP_NODELIST", ""))
    job = number("SLURM_JOB_ID", environment)
    step = environment.get("SLURM_STEP_ID", "")  # several steps of a job may run at once
    moved = int(step) if re.fullmatch("[0-9]{1,9}", step) else 0
    host = node[1] + (node[2] or "") if node else ""
    return host, FIRST_PORT + (job + moved) % PORT_COUNT, f"slurm-{job}-{step}"


def by_mpirun(environment: Mapping[str, str]) -> tuple[str, int, str]:
    """The machine of mpirun, a port, and the name of the job. Open MPI 5 gives none of these."""
    uri = MPIRUN.match(environment.get("OMPI_MCA_orte_hnp_uri", ""))
    if uri is None:
        return "", FIRST_PORT, environment.get("PMIX_NAMESPACE", "")
    job = int(uri[1]) // PORT_COUNT  # the number of a job is a multiple of 4096
    return uri[2] or uri[3], FIRST_PORT + job % PORT_COUNT, f"mpi-{job}"
