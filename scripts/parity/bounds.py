"""The table of tolerances of the parity map: that of `jaxode.parity`, so that there is one."""

from jaxode.parity.bounds import BOUNDS as BOUNDS
from jaxode.parity.bounds import Bound as Bound
from jaxode.parity.bounds import gradient_bound as gradient_bound
