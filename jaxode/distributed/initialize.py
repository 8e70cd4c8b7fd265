"""Joining a run of several processes: their rendezvous, then JAX's own initialisation."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import jax
from jax.extend import backend

from jaxode.checks import JOIN_SECONDS, require
from jaxode.distributed.connections import Connections, listen
from jaxode.distributed.coordination_proxy import CoordinationProxy
from jaxode.distributed.membership import Membership
from jaxode.distributed.process_group import ProcessGroup
from jaxode.distributed.rendezvous import Rendezvous
from jaxode.distributed.rendezvous_client import RendezvousClient
from jaxode.distributed.shared_secret import shared_secret
from jaxode.distributed.timeout import Timeout
from jaxode.distributed.watchdog import SILENCE_SECONDS, Watchdog
from jaxode.errors import RunFailed

DEFAULT_SECONDS = 60.0
EXTRA_SECONDS = 60
"""Seconds by which JAX's own timeouts come later: they end a process with a stack trace."""


def initialize_distributed(
    member: Membership,
    *,
    secret_file: Path | None = None,
    timeout: float = DEFAULT_SECONDS,
    report: Callable[[str], None] | None = None,
) -> ProcessGroup:
    """Connect to the other processes and start JAX in all, before it has done anything else.

    Args:
        member: which process of which run this is.
        secret_file: where process 0 writes the run's secret for the others; by default in the
            user's cache directory.
        timeout: seconds within which all must be ready.
        report: shows the line with which this process ends when another is lost; logs it by
            default.

    Returns:
        the processes of the run.

    Raises:
        ConfigError: the secret cannot be used, or the timeout is out of range.
        RunFailed: the processes could not connect.

    Example:
        In each of two processes, with its own number in place of the 0:

            member = membership("10.0.0.1:5000", 2, 0)
            with initialize_distributed(member) as cluster:
                run(config, data, out, cluster=cluster)
    """
    require(timeout in JOIN_SECONDS, "join_timeout", timeout, f"a number of seconds {JOIN_SECONDS}")
    limit = Timeout.after(timeout)
    connections = connect_processes(member, secret_file, limit)
    cluster = ProcessGroup(member.index, member.count)
    cluster.report = report or cluster.report
    cluster.watchdog = Watchdog(member.index, connections.channels, cluster.end_process)
    with ending_on_failure(cluster, limit):
        start_jax(member, connections, limit)
        cluster.all_gather([0])  # connects the devices' collectives
    return cluster


def connect_processes(
    member: Membership, secret_file: Path | None, timeout: Timeout
) -> Connections:
    """The connections between process 0 and every other.

    Args:
        member: this process.
        secret_file: as `initialize_distributed` takes it.
        timeout: for all processes.

    Raises:
        ConfigError: the secret cannot be used.
        RunFailed: the processes could not connect.
    """
    source, program = shared_secret(member, secret_file), identity()
    if member.index > 0:
        try:
            return RendezvousClient(member, program, source.read, timeout).connect()
        except RunFailed as error:
            hint = source.hint if "secret" in str(error) else ""
            raise RunFailed(f"{error}{hint}") from error
    with listen(member, timeout) as listener:
        # Published only now, for the file may be that of a run that goes on at this address.
        secret = source.publish()
        try:
            return Rendezvous(listener, member, program, secret).accept(timeout)
        finally:
            source.withdraw()


def identity() -> str:
    """What must be the same in all processes, or they wait for each other in different programs."""
    return ", ".join(f"{name} {version(name)}" for name in ("jaxode", "jax", "jaxlib"))


def version(name: str) -> str:
    """The version of an installed package, or that it is not installed but run from its source."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "from source"


@contextlib.contextmanager
def ending_on_failure(cluster: ProcessGroup, timeout: Timeout) -> Iterator[None]:
    """End this process with one line if the work within fails or is not done at the deadline.

    JAX waits in C++, which neither an exception nor a signal reaches, and once more at exit.

    Args:
        cluster: of this process.
        timeout: until when the work must be done.
    """

    def end(reason: str, code: int = 1) -> None:
        cluster.abandon(reason)
        cluster.end_process(cluster.index, reason, code)

    late = f"JAX has not started in all processes within {timeout}"
    timer = threading.Timer(timeout.left, end, [late])
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        cluster.wait_for_lost_process(error)
        reason = (str(error) or type(error).__name__).splitlines()[0]
        end(f"JAX could not start in all processes: {reason}")
    except KeyboardInterrupt as stop:  # or a kind of it that knows its signal
        end("interrupted", 128 + getattr(stop, "signum", signal.SIGINT))
    finally:
        timer.cancel()


def start_jax(member: Membership, connections: Connections, timeout: Timeout) -> None:
    """Start JAX in this process; returns when it has started in all.

    Args:
        member: this process.
        connections: to the other processes.
        timeout: for all processes.

    Raises:
        Exception: whatever JAX raises.
    """
    for option in ("jax_enable_preemption_service", "jax_check_proxy_envs"):
        # The first handles SIGTERM, and the second warns of proxies that a Unix socket ignores.
        with contextlib.suppress(AttributeError):
            jax.config.update(option, False)
    with CoordinationProxy(member.index, connections.coordination, timeout.end) as proxy:
        jax.distributed.initialize(
            proxy.address,
            member.count,
            member.index,
            coordinator_bind_address=proxy.address,
            initialization_timeout=int(timeout.left) + EXTRA_SECONDS,
            heartbeat_timeout_seconds=int(SILENCE_SECONDS) + EXTRA_SECONDS,
            shutdown_timeout_seconds=int(SILENCE_SECONDS) + EXTRA_SECONDS,
        )
    bind_collectives(connections.address)


def bind_collectives(address: str) -> None:
    """Let CPU devices' collectives listen at the address that the other processes reach.

    Gloo's own choice is the address of the machine's name, which may be in another network.

    Args:
        address: this machine's.
    """
    try:
        from jax._src import distributed, lib, xla_bridge

        make = lib._jax.make_gloo_tcp_collectives  # pyright: ignore[reportPrivateImportUsage]
        make_client = xla_bridge.make_cpu_client
    except (ImportError, AttributeError):
        return  # a later JAX: its own choice is also a single address
    if getattr(jax.config, "jax_cpu_collectives_implementation", None) != "gloo":
        return

    def client() -> object:
        service = distributed.global_state.client
        return make_client(make(distributed_client=service, hostname=address))

    backend.register_backend_factory("cpu", client, priority=0, fail_quietly=False)
