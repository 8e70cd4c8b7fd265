"""The solve layer: initial value problems and their gradients. The only room that names Diffrax.

Example:
  >>> import jax.numpy as jnp
  >>> from jaxode import SolveConfig
  >>> from jaxode.ode import odeint
  >>> z1, stats = odeint(lambda t, z, rate: -rate * z, jnp.ones(1), 0.5, SolveConfig("bosh3"))
"""

from jaxode.ode.adjoint_state import BackwardCost as BackwardCost
from jaxode.ode.event import odeint_event as odeint_event
from jaxode.ode.failures import SolveError as SolveError
from jaxode.ode.failures import explain_failure as explain_failure
from jaxode.ode.options import StepOptions as StepOptions
from jaxode.ode.solve import odeint as odeint
from jaxode.ode.solve import odeint_with_errors as odeint_with_errors
from jaxode.ode.stats import Stats as Stats
from jaxode.ode.trajectory import trajectory as trajectory
from jaxode.types import VectorField as VectorField

__all__ = [
    "BackwardCost",
    "SolveError",
    "Stats",
    "StepOptions",
    "VectorField",
    "explain_failure",
    "odeint",
    "odeint_event",
    "odeint_with_errors",
    "trajectory",
]
