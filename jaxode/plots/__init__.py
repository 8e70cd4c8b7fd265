"""Figures, as PNG files in memory."""
