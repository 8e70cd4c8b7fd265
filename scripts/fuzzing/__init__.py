"""Fuzzing: hostile inputs, kills, signals and full disks, counted by kind of answer."""
