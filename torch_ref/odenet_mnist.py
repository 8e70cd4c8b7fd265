r"""The first losses of torchdiffeq's example odenet_mnist.py, on given weights and batches.

    python -m torch_ref.odenet_mnist --weights exported/weights.pt --batches exported/batches.npz

Everything is as that script has it: torchdiffeq with no options but the tolerance, SGD with
momentum 0.9, the rate 0.1 · batch size / 128 divided by ten after the epochs 60, 100 and 140, the
mean cross-entropy. Network, downsampling and blocks follow from the weights, a state_dict as that
script saves it; the batches are a .npz of `images` [N, B, H, W, C], cropped and from 0 to 1, and
`labels` [N, B]. `python -m scripts.export_for_torch --protocol odenet_mnist` writes both for a run
of jaxode. Printed is the loss of each step, as by `python -m experiments.mnist --protocol
odenet_mnist --losses N`; `python -m scripts.odenet_mnist` compares the two.

Two runs of one protocol part by rounding alone, at a ReLU near 0 by much more than it. How far they
do is seen by --round-anew: every weight is moved by one rounding before every step, the images of a
batch stand in another order, and maps lie in memory channels last, so that sums are taken in other
orders.
"""

from __future__ import annotations

import argparse
import io
import itertools
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from torch_ref.flags import WRONG_REQUEST, Parser, number, one_line, parsed, path
from torch_ref.inputs import Batch, load
from torch_ref.model import ODEBlock
from torch_ref.solve import Settings
from torch_ref.train import FAILED, INTERRUPTED
from torch_ref.updates import make_schedule, train

DECAYS = (60, 100, 140)
"""Epochs after which the learning rate is divided by ten."""

USUAL_BATCH = 128
"""Batch size for which --lr is meant."""

BATCHES_PER_EPOCH = 60_000 // USUAL_BATCH
"""Of MNIST; the last images of an epoch fill no batch and are left out."""


def rate_of(lr: float, batch_size: int, batches_per_epoch: int) -> Callable[[int], float]:
    """The learning rate of step 0, 1, ...

    Args:
      lr: for batches of 128 images.
      batch_size: images of a batch.
      batches_per_epoch: steps of an epoch.
    """
    boundaries = [epoch * batches_per_epoch for epoch in DECAYS]
    return make_schedule("milestones", lr * batch_size / USUAL_BATCH, 0, boundaries)


def round_anew(model: torch.nn.Module, generator: torch.Generator) -> None:
    """Move every parameter to one of its two neighbours among the numbers of its type.

    Args:
      model: changed in place.
      generator: of the draws, one for each number.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            up = torch.rand(parameter.shape, generator=generator) < 0.5
            towards = torch.where(up, math.inf, -math.inf).to(parameter.dtype)
            parameter.copy_(torch.nextafter(parameter, towards))


def reordered(batch: Batch, generator: torch.Generator) -> Batch:
    """A batch with its images in an order that is drawn, channels last in memory."""
    images, labels = batch
    order = torch.randperm(len(labels), generator=generator)
    return images[order].to(memory_format=torch.channels_last), labels[order]


def build_parser() -> Parser:
    """The flags, called as those of the script where it has them."""
    summary, _, rest = (__doc__ or "").partition("\n")
    parser = Parser(
        prog="python -m torch_ref.odenet_mnist",
        usage="%(prog)s --weights FILE --batches FILE [flags]",
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add, count = parser.add_argument, number(int, 1, 10**9)
    add("--weights", type=path, required=True, metavar="FILE", help="state_dict to start from")
    add("--batches", type=path, required=True, metavar="FILE", help=".npz of images and labels")
    add(
        "--tol",
        type=number(float, 1e-16, 1e3),
        default=1e-3,
        metavar="X",
        help="both tolerances (default: 0.001)",
    )
    add("--adjoint", action="store_true", help="gradient by the adjoint ODE")
    add(
        "--lr",
        type=number(float, 1e-37, 1e38),
        default=0.1,
        metavar="X",
        help=f"learning rate of batches of {USUAL_BATCH} (default: 0.1)",
    )
    add(
        "--batches-per-epoch",
        type=count,
        default=BATCHES_PER_EPOCH,
        metavar="N",
        help=f"by which the rate's epochs are counted (default: {BATCHES_PER_EPOCH})",
    )
    add("--steps", type=count, metavar="N", help="use the first N batches (default: all)")
    add("--float64", action="store_true", help="compute in float64 instead of float32")
    add(
        "--round-anew",
        type=number(int, 0, 2**31 - 1),
        metavar="SEED",
        help="before every step, move each weight to the number above or below, drawn by SEED,"
        " and take sums in another order",
    )
    add("--save", type=path, metavar="FILE", help="write state_dict and args as the script does")
    return parser


def carry_out(options: argparse.Namespace) -> None:
    """Train, and print the loss of each step before its update.

    Raises ValueError, OSError; ArithmeticError or torchdiffeq's AssertionError for a failed step.
    """
    settings = Settings(rtol=options.tol, atol=options.tol, adjoint=options.adjoint)
    dtype = torch.float64 if options.float64 else torch.float32
    model, batches = load(options.weights, options.batches, settings, dtype)
    generator = None
    if options.round_anew is not None:
        generator = torch.Generator().manual_seed(options.round_anew)
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        round_anew(model, generator)
    size = len(batches[0][0])
    rule = torch.optim.SGD(model.parameters(), options.lr, momentum=0.9)
    rate = rate_of(options.lr, size, options.batches_per_epoch)
    if generator is not None:
        batches = [reordered(batch, generator) for batch in batches[: options.steps]]
    used = itertools.islice(batches, options.steps)
    for step, found in enumerate(train(model, used, rule, rate), 1):
        if not math.isfinite(found.loss):
            raise ArithmeticError(f"step {step}: the loss is not finite")
        print(f"step {step}: loss {found.loss!r}", flush=True)
        if generator is not None:
            round_anew(model, generator)
    if options.save is not None:
        odenet = any(isinstance(layer, ODEBlock) for layer in model)
        residual = any(".downsample." in name for name in model.state_dict())
        args = argparse.Namespace(
            network="odenet" if odenet else "resnet",
            tol=options.tol,
            adjoint=options.adjoint,
            downsampling_method="res" if residual else "conv",
            nepochs=160,
            data_aug=True,
            lr=options.lr,
            batch_size=size,
            test_batch_size=1000,
            save=str(options.save.parent),
            debug=False,
            gpu=0,
        )
        save(options.save, {"state_dict": model.state_dict(), "args": args})


def save(target: Path, content: object) -> None:
    """Write what torch.save makes of it. Raises OSError."""
    packed = io.BytesIO()
    torch.save(content, packed)
    target.write_bytes(packed.getvalue())


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code.

    0, 1 for a failed step, 2 for a wrong request, 130 after Ctrl-C.
    """
    parser = build_parser()
    try:
        carry_out(parsed(parser, argv))
    except SystemExit as stop:
        return int(stop.code or 0)
    except (ValueError, OSError) as error:
        print(f"{parser.prog}: error: {one_line(error)}", file=sys.stderr)
        return WRONG_REQUEST
    except (ArithmeticError, AssertionError) as error:
        what = "a solve failed, torchdiffeq says: " if isinstance(error, AssertionError) else ""
        print(f"{parser.prog}: error: {what}{one_line(error)}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"{parser.prog}: error: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
