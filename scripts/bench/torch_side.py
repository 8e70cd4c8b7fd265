"""PyTorch's side: torch_ref's models, eager or compiled, and what a call allocates."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from jaxode.runs.provenance import processor
from scripts.bench.cases import CHANNELS_LAST, COMPILED, SAME, Case
from scripts.bench.sides import CLASSES, Outcome, Problem, Ready
from scripts.parity.measure import their_settings
from scripts.parity.subjects import first, last
from torch_ref.model import ODEBlock, build
from torch_ref.solve import Counts, Settings

OUT_OF_SIGHT = 1e-10


def place() -> torch.device:
    """The first CUDA device, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device() -> str:
    """Kind and model of it."""
    cuda = place().type == "cuda"
    return f"gpu: {torch.cuda.get_device_name()}" if cuda else f"cpu: {processor()}"


def wait() -> None:
    """Wait until all queued work is done."""
    if place().type == "cuda":
        torch.cuda.synchronize()


def model_of(case: Case, problem: Problem, side: str) -> nn.Sequential:
    """The reference with the given weights."""
    model: Any = build(
        case.model,
        case.blocks,
        channels=case.channels,
        classes=CLASSES,
        width=case.width,
        side=case.image_shape[0],
        settings=their_settings(case.solve),
    )
    model.load_state_dict(
        {name: torch.from_numpy(array) for name, array in problem.weights.items()}
    )
    model = model.to(place())
    if case.precision == "bfloat16":
        for layer in model:
            if isinstance(
                layer, ODEBlock
            ):  # a convolution of autocast's gives bfloat16; the solve's state is float32
                layer.register_forward_pre_hook(
                    lambda _, given: tuple(tensor.float() for tensor in given)
                )
    return model.to(memory_format=torch.channels_last) if side == CHANNELS_LAST else model


def pieces(model: nn.Sequential) -> nn.Sequential:
    """The model with its parts compiled.

    The solve's loop, whose length depends on the data, stays as it is.
    """
    from torch._dynamo import config  # slow to import, and not needed by the other sides

    config.allow_unspec_int_on_nn_module = (
        True  # else the field's count of its evaluations would be a constant
    )
    blocks = [number for number, layer in enumerate(model) if isinstance(layer, ODEBlock)]
    if not blocks:
        return nn.Sequential(torch.compile(model))  # type: ignore[arg-type]
    for number in blocks:
        block: Any = model[number]
        block.odefunc = torch.compile(block.odefunc)
    ends = [torch.compile(model[: blocks[0]]), torch.compile(model[blocks[-1] + 1 :])]
    return nn.Sequential(ends[0], *(model[number] for number in blocks), ends[1])  # type: ignore[arg-type]


def counted(blocks: list[Any]) -> dict[str, int | None]:
    """The numbers of the solves since `reset`, for an outcome."""
    counts = [block.solver.counts for block in blocks]
    if not counts:
        return {}
    return {
        "nfe_forward": sum(count.nfe for count in counts),
        "accepted": sum(count.steps - count.rejected for count in counts),
        "rejected": sum(count.rejected for count in counts),
    }


def reset(blocks: list[Any]) -> None:
    """Counts from zero."""
    for block in blocks:
        block.odefunc.nfe, block.solver.counts = 0, Counts()


def ready(case: Case, problem: Problem, side: str) -> Ready:
    """A side of PyTorch's in a case."""
    plain = model_of(case, problem, side)
    blocks: list[Any] = [layer for layer in plain if isinstance(layer, ODEBlock)]
    model = pieces(plain) if side == COMPILED else plain
    start = torch.from_numpy(first(problem.state if case.work == "solve" else problem.images)).to(
        place()
    )
    labels = torch.from_numpy(problem.labels).to(place())
    if side == CHANNELS_LAST:
        start = start.to(memory_format=torch.channels_last)

    def autocast() -> torch.autocast:
        return torch.autocast(place().type, torch.bfloat16, enabled=case.precision == "bfloat16")

    def training() -> tuple[Tensor, Tensor]:
        model.zero_grad(set_to_none=True)
        with autocast():
            logits = model(start)
            loss = nn.functional.cross_entropy(logits, labels)
        loss.backward()
        wait()
        return logits, loss

    @torch.no_grad()
    def forward() -> Tensor:
        with autocast():
            out = model(start) if case.work == "inference" else blocks[0](start)
        wait()
        return out

    run = training if case.work == "training" else forward
    begin = time.perf_counter()
    run()
    seconds = time.perf_counter() - begin
    if side == COMPILED:
        run()  # compiles once more: counts turn from constants into numbers of any value
        seconds = time.perf_counter() - begin
    reset(blocks)
    out: Any = run()
    if case.work == "training":
        logits, loss = out
        gradient = {name: _array(parameter.grad) for name, parameter in plain.named_parameters()}
        gradient = {name.replace("_orig_mod.", ""): array for name, array in gradient.items()}
        outcome = Outcome(_array(logits), float(loss.detach()), gradient)
        if blocks:
            outcome.nfe_backward = sum(block.solver.backward_nfe(block.odefunc) for block in blocks)
    else:
        loss = float(nn.functional.cross_entropy(out, labels)) if case.work == "inference" else None
        outcome = Outcome(last(_array(out)), loss)
    for name, value in counted(blocks).items():
        setattr(outcome, name, value)
    field = None
    if case.work == "solve":
        field = evaluations(blocks[0].odefunc, start, outcome.nfe_forward or 0)
    model.zero_grad(set_to_none=True)
    return Ready(run, outcome, seconds, allocated(run), device(), field=field)


def _array(tensor: Any) -> np.ndarray:
    return tensor.detach().cpu().float().numpy().copy()


def evaluations(field: Any, start: Tensor, number: int) -> Callable[[], Tensor]:
    """A call that evaluates the field that often, each time at what it gave before."""
    times = [
        torch.tensor(i / number, dtype=start.dtype, device=start.device) for i in range(number)
    ]

    @torch.no_grad()
    def chain() -> Tensor:
        z = start
        for time_ in times:
            z = field(time_, z)
        wait()
        return z

    return chain


def allocated(run: Callable[[], Any]) -> float:
    """Megabytes that a call adds at its peak, by torch's own allocator."""
    if place().type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        run()
    events: Any = seen.profiler
    changes = [
        (e.start_ns(), e.nbytes()) for e in events.kineto_results.events() if e.name() == "[memory]"
    ]
    allocated_bytes = peak = 0
    for _, change in sorted(changes):
        allocated_bytes += change
        peak = max(peak, allocated_bytes)
    return peak / 1e6


def reference(case: Case, problem: Problem) -> np.ndarray:
    """The final state of the ODE block in float64, at a tolerance of negligible error.

    By dopri5: where the field bends, methods of a higher order need many times the evaluations.
    """
    model = model_of(case, problem, SAME).double()
    block: Any = model[7]
    block.solver.settings = Settings(method="dopri5", rtol=OUT_OF_SIGHT, atol=OUT_OF_SIGHT)
    with torch.no_grad():
        return last(
            block(torch.from_numpy(first(problem.state)).to(place()).double()).cpu().numpy()
        )
