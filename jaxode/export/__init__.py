"""A trained model in formats that other programs read.

`save` writes StableHLO, ONNX, safetensors or PyTorch's weights.
"""

from jaxode.export.formats import FORMATS as FORMATS
from jaxode.export.formats import save as save
