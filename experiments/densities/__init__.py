"""Density estimation by continuous normalizing flows: settings, data, training and pictures."""
