"""A topic of the primer: its numbers, text and picture."""

from __future__ import annotations

from typing import Any, NamedTuple


class Topic(NamedTuple):
    """One topic of the primer."""

    name: str
    """Of its picture, without ".png", and of its numbers."""
    title: str
    text: str
    """Paragraphs and tables of Markdown, which stand below the picture."""
    numbers: dict[str, Any]
    picture: bytes
