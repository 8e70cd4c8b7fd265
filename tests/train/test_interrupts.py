"""Signals: the first is noted at once, even during a computation; the second ends the process."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from jaxode.train.interrupts import Interrupts


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_while_work_goes_on(signum):
    said = []
    with Interrupts(said.append) as interrupts:
        started, finish = threading.Event(), threading.Event()
        interrupts.say = lambda text: (said.append(text), finish.set())

        def work():
            started.set()
            os.kill(os.getpid(), signum)
            assert finish.wait(60)  # set by the handler, which therefore ran before the work was done
            return 7

        assert interrupts.wait(work) == 7
        assert interrupts.signum == signum
    assert len(said) == 1
    assert signal.Signals(signum).name in said[0]


def test_handlers_come_back():
    before = [signal.getsignal(number) for number in Interrupts.signals]
    with Interrupts():
        assert [signal.getsignal(number) for number in Interrupts.signals] != before
    assert [signal.getsignal(number) for number in Interrupts.signals] == before


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
        [sys.executable, "-c", program], timeout=60, check=False, env={**os.environ, "PYTHONPATH": "."}
    )
    assert done.returncode == -signal.SIGTERM
