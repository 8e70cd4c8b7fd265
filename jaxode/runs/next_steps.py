"""The last lines of a run: where its results are, what to open, what to do next."""

from __future__ import annotations

from pathlib import Path


def where_text(out: Path, following: str) -> str:
    """Where the results of a run are, which pictures there are, and what to type next.

    Args:
        out: the run's directory.
        following: what to type.
    """
    pictures = sorted(path.name for path in out.glob("*.png"))
    where = f"results in {out}{', pictures: ' if pictures else ''}{', '.join(pictures)}"
    return f"{where}\nnext: {following}"
