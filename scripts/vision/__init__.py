"""Backbones of detectors and encoders of depth compared: sizes, work, time, memory, scores."""
