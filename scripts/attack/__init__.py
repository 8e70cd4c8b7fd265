"""Hostile inputs, kills, signals and full disks: what the program does with them, counted by kind
of answer.
"""
