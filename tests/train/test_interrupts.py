"""Signals: the first is noted at once, even during a computation; the second ends the process."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from jaxode.ending_signals import ENDING
from jaxode.errors import Stopped
from jaxode.train.interrupts import Interrupts


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_while_work_goes_on(signum):
    messages = []
    with Interrupts(messages.append) as interrupts:
        started, finish = threading.Event(), threading.Event()
        interrupts.say = lambda text: (messages.append(text), finish.set())

        def work():
            started.set()
            os.kill(os.getpid(), signum)
            assert finish.wait(
                60
            )  # set by the handler, which therefore ran before the work was done
            return 7

        assert interrupts.wait(work) == 7
        assert interrupts.signum == signum
    assert len(messages) == 1
    assert signal.Signals(signum).name in messages[0]


def test_handlers_come_back():
    before = [signal.getsignal(number) for number in ENDING]
    with Interrupts():
        assert [signal.getsignal(number) for number in ENDING] != before
    assert [signal.getsignal(number) for number in ENDING] == before


def test_outside_the_main_thread_signals_are_left_alone():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def body():
        with Interrupts() as interrupts:
            seen.append((signal.getsignal(signal.SIGTERM), interrupts.wait(lambda: 3)))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [(before, 3)]


def test_the_second_signal_ends_the_process_in_the_midst_of_work():
    program = (
        "import os, signal, threading\n"
        "from jaxode.train.interrupts import Interrupts\n"
        "def work():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    assert noted.wait(60)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    threading.Event().wait(100)\n"
        "noted = threading.Event()\n"
        "with Interrupts(lambda text: noted.set()) as interrupts:\n"
        "    interrupts.wait(work)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert done.returncode == -signal.SIGTERM


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGHUP])
def test_a_compilation_is_given_up_at_once(signum):
    messages, finish = [], threading.Event()
    with (
        pytest.raises(Stopped) as stopped,
        Interrupts(messages.append) as interrupts,
        interrupts.compiling(),
    ):
        interrupts.wait(lambda: (os.kill(os.getpid(), signum), finish.wait(60)))
    finish.set()
    assert (stopped.value.signum, stopped.value.compiling) == (signum, True)
    assert messages == [
        f"{signal.Signals(signum).name}: stopping; nothing has been computed since the last"
        " checkpoint"
    ]


def test_one_of_several_processes_says_that_it_waits_for_xla():
    messages = []
    with Interrupts(messages.append) as interrupts:
        with interrupts.compiling(alone=False):
            assert interrupts.wait(lambda: os.kill(os.getpid(), signal.SIGTERM) or 7) == 7
        assert interrupts.signum == signal.SIGTERM
    assert messages == ["SIGTERM: stopping as soon as XLA has compiled; once more to stop at once"]


class Dropped:
    """Its end runs Python code of which no exception comes out, as a callback of the garbage
    collector.
    """

    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)


def lost():
    Dropped()
    time.sleep(20)


def lost_at_the_end():
    Dropped()


def swallowed():
    with contextlib.suppress(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)


def turned_into_another():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt:
        raise ImportError("half imported") from None


@pytest.mark.parametrize("work", [lost, lost_at_the_end, swallowed, turned_into_another])
def test_building_and_tracing_are_given_up_whatever_becomes_of_the_exception(work, capsys):
    begin = time.monotonic()
    with (
        pytest.raises(Stopped) as stopped,
        Interrupts(lambda text: None) as interrupts,
        interrupts.compiling(),
    ):
        work()
    assert time.monotonic() - begin < 15
    assert (stopped.value.signum, stopped.value.compiling) == (signal.SIGTERM, False)
    assert capsys.readouterr().err == ""


def test_a_terminal_that_is_closed_sends_sighup_twice_and_cpu_time_ends_every_second():
    messages = []
    with Interrupts(messages.append) as interrupts:
        for signum in (signal.SIGXCPU, signal.SIGXCPU, signal.SIGHUP):
            os.kill(os.getpid(), signum)
        assert interrupts.signum == signal.SIGXCPU
    (line,) = messages
    assert line.startswith(
        "SIGXCPU: the limit on CPU time (ulimit -t) is near: saving and stopping; "
    )


def test_under_nohup_sighup_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGHUP)
            assert interrupts.signum is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_terminal_that_is_gone_does_not_keep_a_run_from_saving():
    def say(text):
        raise OSError(5, "Input/output error")

    with Interrupts(say) as interrupts:
        os.kill(os.getpid(), signal.SIGHUP)
        assert interrupts.signum == signal.SIGHUP
