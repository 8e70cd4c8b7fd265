"""PyTorch's weights: a state_dict with the names of torchdiffeq's `odenet_mnist.py`."""

from __future__ import annotations

import io

from jaxode.checks import ConfigError
from jaxode.inference import TrainedModel
from jaxode.interop import InteropError, to_torch


def to_torch_weights(trained: TrainedModel) -> bytes:
    """The bytes of `torch.save(state_dict)`.

    Raises:
      ConfigError: PyTorch is not installed, or the model has no counterpart in PyTorch.
    """
    try:
        arrays = to_torch(trained.model, channels=trained.image_shape[2])
    except InteropError as error:
        raise ConfigError(f"format torch is not for this model: {error}") from error
    try:
        import torch
    except ImportError as error:
        raise ConfigError("format torch needs PyTorch: pip install 'jaxode[torch]'") from error
    file = io.BytesIO()
    torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, file)
    return file.getvalue()
