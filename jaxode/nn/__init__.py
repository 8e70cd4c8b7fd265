"""What models are made of: kernels, layers, vector fields, blocks, stems and heads."""

from jaxode.nn.ode_block import ODEBlock as ODEBlock
from jaxode.nn.ode_block import SolveStats as SolveStats
from jaxode.nn.ode_block import solve_stats as solve_stats
