"""The judge: every kind of answer is recognised, so that an attack can find something."""

import sys
import time

import pytest

from scripts.fuzzing.report import as_json, columns, faults, markdown, table
from scripts.fuzzing.verdict import Answer, Case, Finding, carry_out, of_call, of_command


def command(code, err="", out=""):
    def main(argv):
        print(out, end="")
        print(err, end="", file=sys.stderr)
        return code

    return of_command(main, [], lambda text: "" if text == "good" else "bad")[0]


LINE = "prog: error: --x must be 1, got 2\n"


@pytest.mark.parametrize(
    ("answer", "ended"),
    [
        (Answer.CLEAR_LINE, (2, LINE)),
        (Answer.CLEAR_LINE, (1, "note: something else\n" + LINE)),
        (Answer.ACCEPTED, (0, "", "good")),
        (Answer.WRONG, (0, "", "other")),
        (Answer.UNCLEAR, (2, "")),
        (Answer.UNCLEAR, (2, LINE + LINE)),
        (Answer.UNCLEAR, (2, "prog: error: \x1b[31mred\n")),
        (Answer.UNCLEAR, (2, "prog: error: " + "long " * 500 + "\n")),
        (Answer.UNCLEAR, (-6, LINE)),
        (Answer.UNCLEAR, (0, "\x1b[31m\n", "good")),
        (Answer.TRACEBACK, (1, "Traceback (most recent call last):\n" + LINE)),
    ],
)
def test_a_command_is_judged_by_its_code_and_its_lines(answer, ended):
    assert command(*ended) is answer


def test_a_call_is_judged_by_its_error_or_its_result():
    def call(work, wrong=""):
        return of_call(work, (ValueError,), lambda _: wrong)[0]

    def raising(error):
        raise error

    assert call(lambda: 1) is Answer.ACCEPTED
    assert call(lambda: 1, "other numbers") is Answer.WRONG
    assert call(lambda: raising(ValueError("one line"))) is Answer.CLEAR_LINE
    assert call(lambda: raising(ValueError("two\nlines"))) is Answer.UNCLEAR
    with pytest.raises(KeyError):
        call(lambda: raising(KeyError("a")))


def test_a_traceback_a_hang_and_a_waste_of_memory_are_found():
    def raising():
        raise KeyError("a")

    def hanging():
        while True:
            time.sleep(0.01)

    def wasting():
        bytearray(500 << 20)
        return Answer.ACCEPTED, ""

    assert carry_out(Case("", raising)).answer is Answer.TRACEBACK
    assert carry_out(Case("", hanging), seconds=0.2).answer is Answer.HANG
    assert carry_out(Case("", wasting)).answer is Answer.MEMORY
    assert carry_out(Case("", lambda: (Answer.ACCEPTED, ""))).answer is Answer.ACCEPTED


def test_a_handler_that_catches_the_alarm_is_rung_again():
    def stubborn():
        caught = 0
        while caught < 2:
            try:
                time.sleep(5)
            except BaseException:
                caught += 1
                if caught == 2:
                    raise
        return Answer.ACCEPTED, ""

    assert carry_out(Case("", stubborn), seconds=0.1).answer is Answer.HANG


def test_the_table_counts_and_names_what_is_not_right():
    found = {
        "one": [Finding("a", Answer.CLEAR_LINE), Finding("b", Answer.HANG, "no answer")],
        "two": [Finding("c", Answer.ACCEPTED)],
    }
    assert columns(found["one"]) == (1, 0, 1)
    assert table(found).splitlines()[-1] == "| **all** | 3 | 1 | 1 | 1 |"
    assert faults(found) == ["one: hang: b: no answer"]


@pytest.mark.parametrize("stopped", [True, False])
def test_a_record_says_whether_the_attack_was_stopped(stopped):
    origin = {
        "command": "c",
        "date": "d",
        "device": "x",
        "cores": 2,
        "versions": {"jax": "0"},
        "commit": None,
    }
    assert ("The attack was stopped" in markdown({}, origin, 0, stopped)) == stopped
    assert as_json({}, origin, 0, stopped)["stopped"] is stopped
