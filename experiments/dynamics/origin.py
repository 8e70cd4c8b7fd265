"""Where and when a result was made, for its JSON file and in words."""

from __future__ import annotations

import os
import time
from typing import Any

from jaxode.train import provenance


def origin(command: str) -> dict[str, Any]:
    """Command, date, device, versions and commit."""
    return {
        "command": command,
        "date": time.strftime("%Y-%m-%d"),
        "device": provenance.device(),
        "cores": os.cpu_count(),
        "precision": "float64",
        "versions": provenance.versions(),
        "commit": provenance.commit(),
    }


def in_words(found: dict[str, Any]) -> str:
    """The lines below a document's title."""
    versions = ", ".join(f"{name} {found['versions'][name]}" for name in ("python", "jax", "flax", "diffrax", "optax"))
    commit = "" if found["commit"] is None else f"; commit {found['commit']}"
    return (
        f"`{found['command']}`\n\n"
        f"{found['date']}; {found['device']}, {found['cores']} cores; float64; {versions}{commit}."
    )
