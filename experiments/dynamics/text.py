"""Numbers of the documents."""

from __future__ import annotations


def number(value: float, digits: int = 3) -> str:
    """Fixed decimals with a typographic minus, which zero has not."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def loss_text(value: float) -> str:
    """Decimals where there is something to see, else the power of ten."""
    return number(value) if value >= 1e-3 else f"{value:.0e}".replace("-", "−")
