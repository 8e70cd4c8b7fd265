"""What every command does before its work, and how it ends if the system stops it."""

from __future__ import annotations

import atexit
import functools
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from jaxode.checks import ConfigError, one_line
from jaxode.cli import environment, resource_limits, streams
from jaxode.cli.signals import STOPPED, Interrupted, Signals, from_now_on, leave, own_name
from jaxode.ending_signals import ENDING

if TYPE_CHECKING:
    from jaxode.errors import Stopped


class Main(Protocol):
    """The main function of a command."""

    def __call__(self, argv: Sequence[str] | None = None) -> int:
        """Arguments, or None for those of the process → exit code."""
        ...


def starts_here() -> bool:
    """Whether Python runs a module by `python -m` and has only imported its package yet."""
    return sys.argv[:1] == ["-m"]


def prepare() -> None:
    """Standard streams, signals and limits of this process, before the slow imports."""
    streams.repair()
    from_now_on()
    atexit.register(shield)
    resource_limits.warn_before_kill()


def require_jax() -> None:
    """Import JAX, or end this process with one line and exit code 2."""
    try:
        environment.start_jax()
    except ConfigError as error:
        leave(report(own_name(), error, 2))


def shield() -> None:
    """Keep the interpreter's last half second from changing the exit code.

    It has no signal handlers any more by then.
    """
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)


def report(prog: str, text: object, code: int) -> int:
    """Print one line on stderr and hand the exit code on."""
    print(
        f"{prog}: error: {resource_limits.explained(one_line(text))}", file=sys.stderr, flush=True
    )
    return code


def interrupted(prog: str, signum: int, text: str) -> int:
    """Say in one line what a signal ended; returns the exit code."""
    print(f"{prog}: {text}", file=sys.stderr, flush=True)
    return STOPPED + signum


def stopped(stop: Stopped, text: str) -> int:
    """Say how to go on after a stop, and return the exit code.

    While XLA is still compiling, the process ends here.
    """
    print(text, file=sys.stderr, flush=True)
    return leave(STOPPED + stop.signum) if stop.compiling else STOPPED + stop.signum


def guarded(prog: str, body: Callable[[Signals], int], hint: str = "") -> int:
    """The exit code of a command's body, with safe streams and signals answered in one line.

    Args:
        prog: the command, for messages.
        body: its work; sets `at_once` of the signals where nothing needs to be cleaned up.
        hint: what to do after an interruption.
    """
    streams.repair()
    with Signals(prog) as signals:
        try:
            code = body(signals)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            if not code and streams.flushed() is not None:  # the help was all that was asked for
                code = 1
        except BaseException as error:
            # Once a signal has come, whatever has become of Interrupted: a library may make another
            # error of it.
            signum = signals.signum or (
                signal.SIGINT if isinstance(error, KeyboardInterrupt) else None
            )
            if signum is None:
                raise
            code = interrupted(prog, signum, f"{Interrupted(signum)}{hint and '; '}{hint}")
    lost = streams.flushed()
    if lost is not None:
        print(f"{prog}: stdout could not be written: {lost.strerror}", file=sys.stderr, flush=True)
    return code


def command(name: str, hint: str = "") -> Callable[[Main], Main]:
    """A decorator for the main function of a module: `guarded`."""

    def decorate(main: Main) -> Main:
        @functools.wraps(main)
        def guarded_main(argv: Sequence[str] | None = None) -> int:
            return guarded(f"python -m {name}", lambda signals: main(argv), hint)

        return guarded_main

    return decorate
