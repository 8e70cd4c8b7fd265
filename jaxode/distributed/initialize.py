"""Joining a run of several processes: the meeting, then JAX's own start."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import jax
from jax.extend import backend

from jaxode.checks import JOIN_SECONDS, require
from jaxode.distributed.joining import Joining
from jaxode.distributed.meeting import Meeting, listen
from jaxode.distributed.membership import Membership
from jaxode.distributed.process_group import ProcessGroup
from jaxode.distributed.rendezvous import Rendezvous
from jaxode.distributed.secret import secret_of
from jaxode.distributed.timeout import Timeout
from jaxode.distributed.tunnel import Tunnel
from jaxode.distributed.watchdog import SILENCE_SECONDS, Watchdog
from jaxode.errors import RunFailed

USUAL_SECONDS = 60.0
LATER = 60
"""Seconds by which JAX's own timeouts come later: they end a process with a stack trace."""


def initialize_distributed(
    member: Membership,
    *,
    secret_file: Path | None = None,
    timeout: float = USUAL_SECONDS,
) -> ProcessGroup:
    """Meet the other processes and start JAX in all of them, before it has done anything else.

    Args:
        member: which process of which run this is.
        secret_file: where process 0 writes the run's secret for the others; by default in the
            user's cache directory.
        timeout: seconds within which all must be ready.

    Raises:
        ConfigError: the secret cannot be used, or the timeout is none.
        RunFailed: the processes could not meet.
    """
    require(timeout in JOIN_SECONDS, "join_timeout", timeout, f"a number of seconds {JOIN_SECONDS}")
    limit = Timeout.after(timeout)
    meeting = meet(member, secret_file, limit)
    cluster = ProcessGroup(member.index, member.count)
    cluster.watchdog = Watchdog(member.index, meeting.channels, cluster.end_because_lost)
    with within(cluster, limit):
        start(member, meeting, limit)
        cluster.all_gather([0])  # connects the devices' collectives
    return cluster


def meet(member: Membership, secret_file: Path | None, timeout: Timeout) -> Meeting:
    """The connections between process 0 and every other. Raises ConfigError, RunFailed."""
    source, program = secret_of(member, secret_file), identity()
    if member.index > 0:
        try:
            return Joining(member, program, source.read, timeout).connect()
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
def within(cluster: ProcessGroup, timeout: Timeout) -> Iterator[None]:
    """End this process with one line if the work within fails or is not done at the deadline.

    JAX waits in C++, which neither an exception nor a signal reaches, and once more at exit.
    """

    def end(reason: str, code: int = 1) -> None:
        cluster.abandon(reason)
        cluster.end_because_lost(cluster.index, reason, code)

    late = f"JAX has not started in all processes within {timeout}"
    timer = threading.Timer(timeout.left, end, [late])
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        cluster.wait_for_news(error)
        reason = (str(error) or type(error).__name__).splitlines()[0]
        end(f"JAX could not start in all processes: {reason}")
    except KeyboardInterrupt as stop:  # or a kind of it that knows its signal
        end("interrupted", 128 + getattr(stop, "signum", signal.SIGINT))
    finally:
        timer.cancel()


def start(member: Membership, meeting: Meeting, timeout: Timeout) -> None:
    """Start JAX in this process; returns when it has started in all. Raises what JAX raises."""
    for option in ("jax_enable_preemption_service", "jax_check_proxy_envs"):
        # The first would take SIGTERM, and the second warns of proxies that a Unix socket ignores.
        with contextlib.suppress(AttributeError):
            jax.config.update(option, False)
    with Tunnel(member.index, meeting.tunnels, timeout.end) as tunnel:
        jax.distributed.initialize(
            tunnel.address,
            member.count,
            member.index,
            coordinator_bind_address=tunnel.address,
            initialization_timeout=int(timeout.left) + LATER,
            heartbeat_timeout_seconds=int(SILENCE_SECONDS) + LATER,
            shutdown_timeout_seconds=int(SILENCE_SECONDS) + LATER,
        )
    bind_collectives(meeting.address)


def bind_collectives(address: str) -> None:
    """Let CPU devices' collectives listen at the address that the other processes reach.

    Gloo's own choice is the address of the machine's name, which may be in another network.
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
