"""The collectives in the text of an optimised HLO module, with their loops and branches."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from typing import NamedTuple

WIDTHS = {
    "pred": 1,
    "s8": 1,
    "u8": 1,
    "bf16": 2,
    "f16": 2,
    "s16": 2,
    "u16": 2,
    "s32": 4,
    "u32": 4,
    "f32": 4,
}
WIDTHS |= {"s64": 8, "u64": 8, "f64": 8}
"""Bytes of a number."""

HEADER = re.compile(r"^(?:ENTRY )?%?([\w.-]+) .*\{$")
INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = (.*?) ([a-z][a-z-]*)\(")
COLLECTIVE = re.compile(
    r"(all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute|collective-broadcast|ragged-all-to-all)"
    r"(-start)?"
)
SHAPE = re.compile(r"\b([a-z]\w*)\[([\d,]*)\]")
CALLED = re.compile(r"\b(\w+)=(\{[^}]*\}|%?[\w.-]+)")
CALLERS = (
    "body",
    "condition",
    "to_apply",
    "calls",
    "branch_computations",
    "true_computation",
    "false_computation",
)
TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
SOURCE = re.compile(r'op_name="([^"]*)"')


class Collective(NamedTuple):
    """One instruction by which devices exchange numbers.

    kind: all-reduce, all-gather and so on. numbers, bytes: of its result on one device. nest: trips
    of the loops it is in, outermost first; None for a loop or a branch that only running the
    program tells. source: where it comes from, by JAX's metadata.
    """

    name: str
    kind: str
    numbers: int
    bytes: int
    nest: tuple[int | None, ...]
    source: str


def collectives(text: str) -> list[Collective]:
    """All collectives of a module, in the order of its text.

    Raises:
        ValueError: a type of unknown width, an asynchronous collective, or one in a computation
            with two callers: none of which XLA makes on a CPU today.
    """
    found: list[tuple[str, str, str, str, str]] = []
    callers: dict[str, list[tuple[str, tuple[int | None, ...]]]] = defaultdict(list)
    home = ""
    for line in text.splitlines():
        if header := HEADER.match(line):
            home = header[1]
        if not (instruction := INSTRUCTION.match(line)):
            continue
        name, shape, operation = instruction.groups()
        inside: tuple[int | None, ...] = ()
        if operation in ("while", "conditional"):
            trips = TRIPS.search(line)
            inside = (int(trips[1]) if trips else None,)
        for role, called in CALLED.findall(line):
            if role in CALLERS:
                for computation in re.findall(r"[\w.-]+", called):
                    callers[computation].append((home, inside))
        if kind := COLLECTIVE.fullmatch(operation):
            if kind[2]:
                raise ValueError(f"asynchronous collectives are not counted, got {operation}")
            source = SOURCE.search(line)
            found.append((name, operation, shape, home, source[1] if source else ""))

    def nest(computation: str) -> tuple[int | None, ...]:
        if not (above := callers[computation]):
            return ()
        if len(above) > 1:
            raise ValueError(
                f"a collective is in {computation}, which is called from {len(above)} places"
            )
        caller, inside = above[0]
        return (*nest(caller), *inside)

    return [
        Collective(name, kind, *size(shape), nest(home), source)
        for name, kind, shape, home, source in found
    ]


def size(shape: str) -> tuple[int, int]:
    """Numbers and bytes of an array or a tuple of arrays.

    Raises ValueError on a type of unknown width.
    """
    numbers = octets = 0
    for kind, dimensions in SHAPE.findall(shape):
        if kind not in WIDTHS:
            raise ValueError(f"a number's type must be one of {', '.join(WIDTHS)}, got {kind}")
        count = math.prod(int(length) for length in dimensions.split(",") if length)
        numbers, octets = numbers + count, octets + count * WIDTHS[kind]
    return numbers, octets
