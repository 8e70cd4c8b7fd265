"""The command line: a parser made from the settings' dataclasses, and one module a command.

Nothing here is imported by the rest of `jaxode`.
"""
