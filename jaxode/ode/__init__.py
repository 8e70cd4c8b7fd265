"""The solve layer: the only room that names Diffrax."""

from jaxode.ode.failures import SolveError as SolveError
from jaxode.ode.failures import explain_failure as explain_failure
from jaxode.ode.solve import Stats as Stats
from jaxode.ode.solve import VectorField as VectorField
from jaxode.ode.solve import odeint as odeint
from jaxode.ode.trajectory import trajectory as trajectory
