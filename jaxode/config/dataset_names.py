"""Names of data sets: one name, or one that stands for many, as `tfds:NAME` does."""

from __future__ import annotations

NYU_DEPTH = "nyuv2"
"""NYU Depth v2 as pictures of 8 bits, a quarter of their sides."""


def family(name: str) -> str:
    """The name by which a data set is registered.

    Args:
      name: of a data set.

    Returns:
      `tfds:NAME` for `tfds:mnist`, and any name without a colon itself.

    Example:
      >>> from jaxode.config.dataset_names import family
      >>> family("tfds:imagenet_resized/64x64"), family("mnist")
      ('tfds:NAME', 'mnist')
    """
    before, colon, _ = name.partition(":")
    return f"{before}:NAME" if colon else name


def folder_name(name: str) -> str:
    """The folder of a data set's runs: its name, of which a colon begins another folder.

    Args:
      name: of a data set.

    Example:
      >>> from jaxode.config.dataset_names import folder_name
      >>> folder_name("tfds:mnist")
      'tfds/mnist'
    """
    return name.replace(":", "/")
