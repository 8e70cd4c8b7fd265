"""Collectives read off a program's text, the prediction made of them, and the command line.

A real program on several devices is in tests/multidevice.
"""

from __future__ import annotations

import argparse
import json

import pytest

from scripts import collectives as command
from scripts.scaling import report
from scripts.scaling.hlo import collectives
from scripts.scaling.prediction import GIVEN, collective, speedup, step

ADD = """
%add (x: f32[], y: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%x, %y)
}
"""

NESTED = f"""HloModule jit_step, is_scheduled=true
{ADD}
%stage (p.1: (s32[], f32[3,4])) -> (s32[], f32[3,4]) {{
  %all-reduce.7 = (f32[3,4]{{1,0}}, /*index=1*/f64[5]{{0}}) all-reduce(%a, %b), channel_id=1, to_apply=%add, \
metadata={{op_name="jit(step)/while/body/transpose(jvp())/while/body/psum" stack_frame_id=3}}
  ROOT %tuple.1 = (s32[], f32[3,4]{{1,0}}) tuple(%i, %a)
}}

%below (p.2: (s32[], f32[3,4])) -> pred[] {{
  ROOT %lt = pred[] compare(%i, %n), direction=LT
}}

%asked (p.3: f32[]) -> f32[] {{
  ROOT %all-reduce.8 = pred[] all-reduce(%p.3), to_apply=%add
}}

%solve (p.4: (s32[], f32[3,4])) -> (s32[], f32[3,4]) {{
  %while.1 = (s32[], f32[3,4]{{1,0}}) while(%t), condition=%below.1, body=%stage, \
backend_config={{"known_trip_count":{{"n":"6"}},"known_init_step":{{"init":"0","step":"1"}}}}
  %cond = f32[] conditional(%p, %u, %v), branch_computations={{%asked, %other}}
  ROOT %all-gather.2 = bf16[8,16]{{1,0}} all-gather(%x), dimensions={{0}}, metadata={{op_name="jit(step)/jvp()/while"}}
}}

%outlined (p.5: (s32[], f32[3,4])) -> (s32[], f32[3,4]) {{
  ROOT %while.2 = (s32[], f32[3,4]{{1,0}}) while(%t), condition=%below.2, body=%solve
}}

%train (p.6: (s32[], f32[3,4])) -> (s32[], f32[3,4]) {{
  %call = (s32[], f32[3,4]{{1,0}}) call(%p.6), to_apply=%outlined
  ROOT %all-reduce.9 = s32[] all-reduce(%k), to_apply=%add
}}

ENTRY %main (p.7: (s32[], f32[3,4])) -> (s32[], f32[3,4]) {{
  %while.3 = (s32[], f32[3,4]{{1,0}}) while(%t), condition=%below.3, body=%train
  ROOT %all-reduce.10 = f32[]{{:T(128)}} all-reduce(%l), to_apply=%add
}}
"""


def test_collectives_know_the_loops_and_branches_they_are_in():
    found = {item.name: item for item in collectives(NESTED)}
    assert {name: item.nest for name, item in found.items()} == {
        "all-reduce.7": (None, None, 6),
        "all-reduce.8": (None, None, None),
        "all-gather.2": (None, None),
        "all-reduce.9": (None,),
        "all-reduce.10": (),
    }
    sizes = [(item.kind, item.numbers, item.bytes) for item in found.values()]
    assert sizes[:3] == [("all-reduce", 17, 88), ("all-reduce", 1, 1), ("all-gather", 128, 256)]
    inner, outer = (command.row(found[name], 5) for name in ("all-reduce.7", "all-reduce.9"))
    assert (inner["where"], inner["times"], outer["where"]) == ("backward", 5, "step")
    assert command.row(found["all-gather.2"], 5)["where"] == "forward"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            " all-reduce(%k)",
            " all-reduce-start(%k)",
            "asynchronous collectives are not counted, got all-reduce-start",
        ),
        ("bf16[8,16]", "f8e4m3[8,16]", "a number's type must be one of pred.* got f8e4m3"),
        (
            "%cond = f32[] conditional",
            "%cond = f32[] call(%u), to_apply=%asked\n  %b = f32[] conditional",
            "2 places",
        ),
    ],
)
def test_what_cannot_be_counted_is_refused(old, new, message):
    assert old in NESTED
    with pytest.raises(ValueError, match=message):
        collectives(NESTED.replace(old, new))


def test_the_formula_by_hand():
    given = GIVEN._replace(
        fixed=1.0,
        each=0.5,
        inside=2.0,
        inside_speed=10.0,
        between=3.0,
        between_speed=5.0,
        machine=4,
        slowest=1.5,
    )
    assert collective(40, 1, given) == 0
    assert collective(40, 4, given) == 2 + 2 * 3 / 4 * 40 / 10
    assert collective(40, 12, given) == 2 + 3 * 2 + 2 * 3 / 4 * 40 / 10 + 2 * 2 / 3 * 40 / 5
    assert step([(40, 3), (0, 2)], 8, 1, given) == 5
    assert step([(40, 3), (0, 2)], 8, 4, given) == 1.5 * 5 + 3 * 8 + 2 * 2
    free = GIVEN._replace(fixed=0.0)
    assert (
        speedup([], 64, strong=True, given=free)
        == speedup([], 64, strong=False, given=free)
        == pytest.approx(64)
    )
    assert (
        speedup([], 64, strong=True) < 8
    )  # each device's 16 images take less than a step's fixed time
    assert (
        speedup(iter([(10**6, 30)]), 64, strong=False)
        < speedup([(10**6, 1)], 64, strong=False)
        < 64
    )


def made_up(parallel, kind):
    """Measured: 4 large collectives in the solve under jit, one beside it."""
    if (parallel, kind) == ("pmap", "checkpointed"):
        return {"parallel": parallel, "case": kind, "refused": "no such thing"}
    shape = {"kind": "all-reduce", "nest": [None, None, 2]}
    rows = [
        {
            **shape,
            "numbers": 2000,
            "bytes": 8000,
            "where": "backward",
            "times": 4 if parallel == "jit" else 0,
        },
        {**shape, "numbers": 3, "bytes": 12, "where": "forward", "times": 2},
        {**shape, "numbers": 5000, "bytes": 20000, "where": "step", "times": 1},
    ]
    counts = {"solves": 8, "nfe": [64], "accepted": [12], "rejected": [4]}
    return {"parallel": parallel, "case": kind, "parameters": 7000, **counts, "rows": rows}


def test_the_files_hold_what_was_measured_and_predicted(tmp_path, monkeypatch):
    monkeypatch.setattr(
        command, "measured", lambda options, parallel, kind, data: made_up(parallel, kind)
    )
    command.carry_out(
        argparse.Namespace(devices=8, batch_size=16, width=4, out=tmp_path), "the command"
    )
    found = json.loads((tmp_path / "communication.json").read_text())
    assert [case["case"] for case in found["cases"]].count("resnet") == 2
    assert len(found["cases"]) == 12
    text = (tmp_path / "communication.md").read_text()
    assert (
        "| jit, tape | 8 in 1.5 + 0.5 | 4 × 8,000 B | 1 × 20,000 B | 2 × 12 B | 0 | 7 | 0.05 |"
        in text
    )
    assert "pmap, checkpointed: no such thing." in text
    assert text == report.markdown(found)  # nothing but the JSON is needed
    flows = report.predicted(found)
    assert [flow[0] for flow in flows.values()] == [(8000, 4), (8000, 0), (8000, 1)]
    assert [flow[1:] for flow in flows.values()] == [[(12, 2), (20000, 1)]] * 3
    tables = [
        [line.count("|") for line in part.splitlines()]
        for part in text.split("\n\n")
        if part.startswith("|")
    ]
    assert len(tables) == 4
    assert all(len(set(table)) == 1 for table in tables)
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--devices", "1"], "--devices must be a whole number from 2 to 256, got 1"),
        (
            ["--devices", "8", "--batch-size", "12"],
            "--batch-size must be a multiple of --devices = 8, got 12",
        ),
        (["--width", "33"], "--width must be at most 32"),
        (["--device", "8"], "did you mean --devices"),
    ],
)
def test_a_wrong_request_is_one_line(words, message, tmp_path, capsys):
    assert command.main([*words, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
