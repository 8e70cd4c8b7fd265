"""Parameters to and from PyTorch: its names and layout, and weight files. Imports no torch."""

from jaxode.interop.layout import Layout as Layout
from jaxode.interop.layout import layout_of as layout_of
from jaxode.interop.pytorch_layout import InteropError as InteropError
from jaxode.interop.pytorch_layout import from_torch as from_torch
from jaxode.interop.pytorch_layout import to_torch as to_torch
from jaxode.interop.pytorch_layout import torch_names as torch_names
from jaxode.interop.torchvision_models import torchvision_model as torchvision_model
from jaxode.interop.weight_files import WeightFile as WeightFile
from jaxode.interop.weight_files import read_weight_file as read_weight_file
from jaxode.interop.weight_files import read_weights as read_weights
from jaxode.interop.weight_files import write_weights as write_weights
