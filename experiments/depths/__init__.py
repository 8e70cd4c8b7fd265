"""Depth from one picture: settings, data, training, pictures."""
