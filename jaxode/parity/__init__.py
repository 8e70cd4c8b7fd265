"""Proof that an nnx module computes what a PyTorch module does. Needs PyTorch: `jaxode[torch]`."""

from jaxode.parity.calls import Solve as Solve
from jaxode.parity.check import check as check
from jaxode.parity.findings import Comparison as Comparison
from jaxode.parity.findings import FirstDifference as FirstDifference
from jaxode.parity.findings import SolveComparison as SolveComparison
from jaxode.parity.layer_errors import LayerError as LayerError
from jaxode.parity.report import ParityReport as ParityReport
