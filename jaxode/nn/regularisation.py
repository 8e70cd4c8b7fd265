"""How a training loop regularises the solves of a model: what it hands out, and what comes back."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from jaxode.checks import ConfigError, require
from jaxode.config import SolveConfig
from jaxode.nn.regularised_field import FieldInputs, draw_gaussian, positions
from jaxode.types import Args, Keys, State, Training

STREAM = 2**31 - 1
"""What keys are folded with first, so that nothing else draws the same numbers."""


class Draws(NamedTuple):
    """What a solve is regularised with in one training step."""

    keys: Keys
    """For each sample, that of its noise."""
    shares: Float[Array, " B"]
    """Of each sample in the mean over the batch."""
    end: Float[Array, ""]
    """From -1 to 1: where the end time is, of STEER."""


class TrainingDraws(nnx.Variable):
    """The `Draws` of a training step, on a module whose solves are regularised."""


class Penalty(nnx.Variable):
    """What a module's regularisers add to the loss: one number, already weighted."""


class Regularised(nnx.Module):
    """A module whose solves may be regularised: `ODEBlock` and `ContinuousFlow`.

    Attributes:
      field: the vector field.
      solve: its settings, with `regularise`.
      draws: in training, what `begin_training` has handed out.
      penalty: in training, the sum of the penalties.
      backward_cost: where backward solves are counted (`jaxode.nn.solve_stats`).
    """

    solve: SolveConfig
    draws: TrainingDraws
    penalty: Penalty
    backward_cost: nnx.Variable


def regularised_modules(model: nnx.Module) -> list[Regularised]:
    """The modules of a model whose settings have regularisers, in the order of `nnx.iter_modules`.

    Args:
      model: any module.
    """
    modules = (module for _, module in nnx.iter_modules(model))
    return [each for each in modules if isinstance(each, Regularised) and each.solve.regularisers]


def begin_training(
    model: nnx.Module,
    training: Training,
    key: Key[Array, ""],
    total: Float[Array, ""] | None = None,
) -> None:
    """Have a model's ODE blocks apply their regularisers to the solves that follow.

    The trainer does it before every call in training. In a training loop of your own, call this,
    then the model, and add what `end_training` returns to the loss. Without it, as in evaluation, a
    block solves as if it had no regularisers.

    Args:
      model: whose `ODEBlock`s have settings with `regularise`; others are left alone.
      training: random keys and weights of the samples.
      key: of the whole batch, which the end time of STEER is drawn from.
      total: sum of the weights of the whole batch, of which `training` may be a part.

    Raises:
      ConfigError: weight decay for a field without weights.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jaxode import SolveConfig
      >>> from jaxode.nn import ODEBlock, begin_training, end_training
      >>> from jaxode.types import Training
      >>> block = ODEBlock(lambda t, z: jnp.ones_like(z), SolveConfig(regularise="kinetic=0.5"))
      >>> keys = jax.random.split(jax.random.key(0), 3)
      >>> begin_training(block, Training(keys, jnp.ones(3)), jax.random.key(1))
      >>> z, _ = block(jnp.zeros((3, 2)))
      >>> print(f"{end_training(block):.3f}")
      0.500
    """
    total = jnp.sum(training.weights) if total is None else total
    shares = training.weights / total
    for index, module in enumerate(regularised_modules(model)):
        number = STREAM - index
        keys = jax.vmap(lambda key, n=number: jax.random.fold_in(key, n))(training.keys)
        end = jax.random.uniform(
            jax.random.fold_in(key, number), (), shares.dtype, minval=-1, maxval=1
        )
        module.draws = TrainingDraws(Draws(keys, shares, end))
        module.penalty = Penalty(decay(module).astype(shares.dtype) * jnp.sum(shares))


def end_training(model: nnx.Module) -> Float[Array, ""]:
    """What the regularisers of a model add to the loss, for the calls since `begin_training`.

    Afterwards the model solves as in evaluation again.

    Args:
      model: any module.

    Returns:
      A sum over ODE blocks, weighted; 0 for a model without regularisers. Of a part of a batch it
      is that part's share of the batch's mean.

    Example:
      >>> from jaxode.nn import ODEBlock, end_training
      >>> float(end_training(ODEBlock(lambda t, z: -z)))
      0.0
    """
    variables = nnx.to_flat_state(nnx.pop(model, Penalty))
    nnx.pop(model, TrainingDraws)
    found = [variable.get_value() for _, variable in variables]
    return sum(found[1:], found[0]) if found else jnp.zeros(())


def decay(module: Regularised) -> Float[Array, ""]:
    """Half the weighted sum of squares of the weights of a module's field.

    Args:
      module: with a field.

    Raises:
      ConfigError: it is to be weighted and there are none.
    """
    weight, found = module.solve.regularisers.weight_decay, jnp.zeros(())
    if not weight:
        return found
    field = getattr(module, "field", None)
    params = jax.tree.leaves(nnx.state(field, nnx.Param)) if isinstance(field, nnx.Module) else []
    weights = [leaf for leaf in params if leaf.ndim >= 2]
    if not weights:
        raise ConfigError(
            "regularise weight_decay needs a field that is an nnx.Module with weights, which are"
            f" parameters of two or more axes, got {type(field).__name__}"
        )
    squares = jnp.stack([jnp.sum(jnp.square(leaf)) for leaf in weights])
    return weight / 2 * jnp.sum(squares)


def check_steer(solve: SolveConfig, t0: float, t1: float) -> None:
    """Raise ConfigError if STEER could turn a solve from t0 to t1 around.

    Args:
      solve: settings of the solve.
      t0: start.
      t1: end, without STEER.
    """
    steer, length = solve.regularisers.steer, abs(t1 - t0)
    allowed = f"below the length of the solve, {length:g}"
    require(steer < length, "regularise steer", steer, allowed)


def inputs_of_solve(
    module: Regularised, draws: Draws, z: State, span: tuple[float, float] | None, args: Args
) -> FieldInputs:
    """What the field of a regularised solve reads.

    Args:
      module: whose solve it is.
      draws: of the training step.
      z: the state at the start.
      span: t0 and t1; None for a solve through given times.
      args: the field's own argument.

    Raises:
      ConfigError: there is no span for STEER; or the state has not as many samples as there are
        keys.
    """
    regularisers, noise, speed = module.solve.regularisers, None, None
    if regularisers.steer:
        if span is None:
            raise ConfigError("regularise steer needs a solve from t0 to t1, without ts")
        length = span[1] - span[0]
        end = draws.end.astype(jax.tree.leaves(z)[0].dtype)
        speed = 1 + regularisers.steer * end / length
    if regularisers.integrals or regularisers.error:
        sizes = sorted({leaf.shape[0] if leaf.ndim else 0 for leaf in jax.tree.leaves(z)})
        count = draws.shares.shape[0]
        allowed = f"for a state of {count} samples, as many as there are keys of the batch"
        require(sizes == [count], "regularise", sizes, allowed)
    if regularisers.jacobian:
        noise = draw_gaussian(draws.keys, positions(module.field, z))  # type: ignore[attr-defined]
    return FieldInputs(noise, speed, args)
