"""A pickle machine that runs nothing: it builds plain values, and knows a few calls by name.

Python's own reader imports and calls whatever a pickle names. Here a name that is not in a table
ends the reading, and what stands in the table are functions of this package. The opcodes are
decoded by the standard library's `pickletools`.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from jaxode.interop.pickle_objects import Named, Opaque, Record, RefusedName, hashable

Calls = Mapping[str, Callable[..., Any]]
"""What a pickle may call, by module and name."""

MOST_OPCODES = 10**6
"""Of one pickle: a thousand tensors take 40,000."""


VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
}  # fmt: skip
"""Opcodes whose argument is the value."""

CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": set,
}
"""Opcodes that push a new value."""

TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_pickle(
    stream: BinaryIO, calls: Calls, persistent: Callable[[Any], Any] | None = None
) -> Any:
    """The value of the pickle that begins at a stream's position; the stream is left behind it.

    Args:
      stream: of bytes.
      calls: what the pickle may call; all else that it names is refused.
      persistent: makes a value of a persistent id; without it such ids are refused.

    Raises:
      RefusedName: the pickle refers to another function or class.
      ValueError: it is damaged, or longer than allowed.

    Example:
      >>> import io, pickle
      >>> from jaxode.interop.pickle_machine import read_pickle
      >>> read_pickle(io.BytesIO(pickle.dumps({"a": [1, (2.5, None)]})), {})
      {'a': [1, (2.5, None)]}
      >>> read_pickle(io.BytesIO(pickle.dumps(print)), {})
      Traceback (most recent call last):
      jaxode.interop.pickle_objects.RefusedName: builtins.print
    """
    machine = _Machine(calls, persistent)
    try:
        return machine.run(stream)
    except (RefusedName, io.UnsupportedOperation):
        raise
    except Exception as error:  # whatever damaged bytes lead to
        raise ValueError(f"it is no whole pickle: {error or type(error).__name__}") from error


class _Machine:
    """The stack, the marks in it and the memo of one pickle."""

    def __init__(self, calls: Calls, persistent: Callable[[Any], Any] | None) -> None:
        self.calls, self.persistent = calls, persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, stream: BinaryIO) -> Any:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count == MOST_OPCODES:
                raise ValueError(f"it has more than {MOST_OPCODES} steps")
            name = opcode.name
            if name == "STOP":
                return self.stack.pop()
            if name in VALUES:
                self.stack.append(argument)
            elif name in CONSTANTS:
                self.stack.append(CONSTANTS[name]())
            elif name in TUPLES:
                self.stack.append(tuple(self.take(TUPLES[name])))
            elif (step := getattr(self, f"do_{name.lower()}", None)) is not None:
                step(argument)
            else:
                raise ValueError(f"{name} is no step of a file of weights")
        raise ValueError("it ends early")

    def take(self, count: int) -> list[Any]:
        """The topmost values, off the stack and in their order."""
        start = len(self.stack) - count
        if start < (self.marks[-1] if self.marks else 0):
            raise ValueError("it takes more from the stack than there is")
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def above_mark(self) -> list[Any]:
        """The values above the last mark, off the stack."""
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def named(self, name: str) -> None:
        if name not in self.calls:
            raise RefusedName(name)
        self.stack.append(Named(name))

    def called(self, function: Any, arguments: Any) -> Any:
        if not (isinstance(function, Named) and isinstance(arguments, tuple)):
            raise ValueError("it calls what is no function")
        return self.calls[function.name](*arguments)

    def add_items(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        if len(pairs) % 2 or not isinstance(target, dict):
            raise ValueError("it adds keys to what is no dict")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            target[hashable(key)] = value

    def add_members(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise ValueError("it appends to what is no list")
        self.stack[-1].extend(values)

    def do_proto(self, version: int) -> None:
        """Any version: the opcodes are of all of them."""

    def do_frame(self, size: int) -> None:
        """A hint on how much to read at once."""

    def do_mark(self, _: None) -> None:
        self.marks.append(len(self.stack))

    def do_pop(self, _: None) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.stack.pop()

    def do_pop_mark(self, _: None) -> None:
        self.above_mark()

    def do_dup(self, _: None) -> None:
        self.stack.append(self.stack[-1])

    def do_tuple(self, _: None) -> None:
        self.stack.append(tuple(self.above_mark()))

    def do_list(self, _: None) -> None:
        self.stack.append(self.above_mark())

    def do_frozenset(self, _: None) -> None:
        self.stack.append(frozenset(map(hashable, self.above_mark())))

    def do_dict(self, _: None) -> None:
        pairs = self.above_mark()
        self.stack.append({})
        self.add_items(pairs)

    def do_append(self, _: None) -> None:
        self.add_members(self.take(1))

    def do_appends(self, _: None) -> None:
        self.add_members(self.above_mark())

    def do_setitem(self, _: None) -> None:
        self.add_items(self.take(2))

    def do_setitems(self, _: None) -> None:
        self.add_items(self.above_mark())

    def do_additems(self, _: None) -> None:
        members = self.above_mark()
        self.stack[-1].update(map(hashable, members))

    def do_get(self, place: int) -> None:
        self.stack.append(self.memo[place])

    do_binget = do_long_binget = do_get

    def do_put(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    do_binput = do_long_binput = do_put

    def do_memoize(self, _: None) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def do_global(self, words: str) -> None:
        self.named(words.replace(" ", ".", 1))

    def do_stack_global(self, _: None) -> None:
        module, name = self.take(2)
        self.named(f"{module!s}.{name!s}")

    def do_reduce(self, _: None) -> None:
        self.stack.append(self.called(*self.take(2)))

    do_newobj = do_reduce

    def do_build(self, _: None) -> None:
        """Attributes of an object: kept of a record, and of no use in any other."""
        (state,) = self.take(1)
        target = self.stack[-1]
        if isinstance(target, Record) and isinstance(state, dict):
            target.update({key: value for key, value in state.items() if isinstance(key, str)})
        elif not isinstance(target, (dict, Opaque)):
            raise ValueError("it sets attributes of what has none")

    def do_binpersid(self, _: None) -> None:
        (name,) = self.take(1)
        if self.persistent is None:
            raise ValueError("it refers to numbers outside")
        self.stack.append(self.persistent(name))
