"""What models are made of: kernels, layers, vector fields, blocks, stems and heads."""

from jaxode.nn.divergence import LogDensityField as LogDensityField
from jaxode.nn.divergence import draw_noise as draw_noise
from jaxode.nn.divergence import exact_divergence as exact_divergence
from jaxode.nn.divergence import hutchinson_divergence as hutchinson_divergence
from jaxode.nn.fields import ConvField as ConvField
from jaxode.nn.flow_fields import ConcatSquash as ConcatSquash
from jaxode.nn.flow_fields import ConcatSquashField as ConcatSquashField
from jaxode.nn.flow_fields import HyperField as HyperField
from jaxode.nn.heads import Head as Head
from jaxode.nn.layers import Conv as Conv
from jaxode.nn.layers import GroupNorm as GroupNorm
from jaxode.nn.layers import Linear as Linear
from jaxode.nn.layers import TimeConv as TimeConv
from jaxode.nn.norm_relu_conv import NormReluConv as NormReluConv
from jaxode.nn.ode_block import ODEBlock as ODEBlock
from jaxode.nn.ode_block import count_backward as count_backward
from jaxode.nn.regularisation import begin_training as begin_training
from jaxode.nn.regularisation import end_training as end_training
from jaxode.nn.solve_stats import BackwardSolveCost as BackwardSolveCost
from jaxode.nn.solve_stats import SolveStats as SolveStats
from jaxode.nn.solve_stats import solve_stats as solve_stats
from jaxode.nn.stems import Downsample as Downsample
