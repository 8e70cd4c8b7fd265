"""Where two runs part: the first layer whose output differs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxode.parity.calls import Calls
from jaxode.parity.findings import FirstDifference
from jaxode.parity.layer_errors import LayerError
from jaxode.parity.layouts import fitting
from jaxode.parity.pairing import Counterparts


def first_difference(
    errors: Sequence[LayerError], calls: Calls, limit: float
) -> FirstDifference | None:
    """The first layer, in the order of PyTorch's calls, whose output differs.

    Args:
      errors: of the layers.
      calls: of the PyTorch modules.
      limit: up to which outputs and inputs agree.

    Returns:
      The layer, or None if all agree.
    """
    differing = [each for each in errors if each.error > limit]
    if not differing:
        return None
    first = min(differing, key=lambda each: each.number)
    before = [
        each
        for each in errors
        if each.error <= limit and calls.by_name[each.theirs][0].number < first.number
    ]
    after = max(before, key=lambda each: calls.by_name[each.theirs][0].number, default=None)
    inputs = None if first.input_error is None else first.input_error > limit
    return FirstDifference(
        first.theirs, first.ours, first.error, after.theirs if after else "", inputs, first.note
    )


def first_other_shape(
    modules: Sequence[Counterparts], theirs: Calls, traced: Calls
) -> FirstDifference | None:
    """The first layer whose output has another size, where an error kept the numbers away.

    Args:
      modules: that hold the same layers.
      theirs: calls of the PyTorch modules.
      traced: the nnx module's calls until the error.
    """
    chosen = [each for each in modules if each.theirs in theirs.by_name]
    last = ""
    for each in sorted(chosen, key=lambda each: theirs.by_name[each.theirs][0].number):
        if each.ours not in traced.by_name:
            continue
        given = theirs.by_name[each.theirs][0].outputs
        mine = traced.by_name[each.ours][0].outputs
        if given and mine and each.kind != "container":
            if not any(fitting(given[0], o.shape, ()) or o.size == given[0].size for o in mine):
                ends = f"{list(given[0].shape)} in PyTorch and {list(mine[0].shape)} in nnx"
                inputs = theirs.by_name[each.theirs][0].inputs, traced.by_name[each.ours][0].inputs
                differ = None
                if len(inputs[0]) == len(inputs[1]) > 0:
                    differ = not fitting(inputs[0][0], inputs[1][0].shape, ())
                note = f"its output is {ends}"
                return FirstDifference(each.theirs, each.ours, math.inf, last, differ, note)
            last = each.theirs
    return None
