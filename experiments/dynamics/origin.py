"""Where and when a result was made, for its JSON file and in words."""

from __future__ import annotations

from typing import Any

from jaxode.runs import provenance


def origin(command: str) -> dict[str, Any]:
    """Where and when a result was made; these experiments compute in float64."""
    return {**provenance.origin(command), "precision": "float64"}


def in_words(found: dict[str, Any]) -> str:
    """The lines below a document's title."""
    names = ("python", "jax", "flax", "diffrax", "optax")
    versions = provenance.versions_text(found["versions"], names)
    commit = "" if found["commit"] is None else f"; commit {found['commit']}"
    return (
        f"`{found['command']}`\n\n"
        f"{found['date']}; {found['device']}, {found['cores']} cores; float64; {versions}{commit}."
    )
