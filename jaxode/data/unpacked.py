"""The names that a published gzip file has when it is unpacked, as torchvision stores it."""

from __future__ import annotations

from jaxode.data.specs import SourceFile

_GZIP = ".gz"


def names(file: SourceFile) -> tuple[str, ...]:
    """Names of a file: the published one and, of a gzip file, those of what it unpacks to."""
    if not file.name.endswith(_GZIP) or file.name.endswith(".tar.gz"):  # an archive is used packed
        return (file.name,)
    bare = file.name.removesuffix(_GZIP)
    return file.name, bare, bare.replace("-idx", ".idx")  # the last is Kaggle's


def expected(file: SourceFile, name: str) -> SourceFile:
    """The file itself, or what it unpacks to if `name` is a name of that."""
    if name == file.name:
        return file
    return SourceFile(name, *(file.unpacked or (None, None)))
