"""What a pickle would import, read from its opcodes. Nothing is imported, built or called.

A pickle runs code by importing a callable (GLOBAL, INST, STACK_GLOBAL, an extension code) and calling it.
The two names that STACK_GLOBAL takes lie on the stack, put there by any detour through the memo, so the stack
and the memo are followed symbolically: every value is a text, a mark, or unknown. `pickletools` says what
each opcode pops and pushes.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UNKNOWN = "?"
"""A name that is not a text known from the pickle: computed, or of another type."""
MAX_OPCODES = 20_000_000
"""Beyond, a pickle counts as one that cannot be looked through; about a minute's work."""
MAX_ARGUMENT = 2**31
"""Bytes that one opcode may bring along; they are read into memory."""
_TEXTS = frozenset(
    ("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING")
)
_BYTES = frozenset(("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8", "BINSTRING", "SHORT_BINSTRING"))
_NESTED = tuple(bytes((0x80, protocol)) for protocol in range(1, 6))
_PUTS = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_GETS = frozenset(("GET", "BINGET", "LONG_BINGET"))
_LEAST_PICKLE = 4
_MARK = object()
_ANYTHING = object()


@dataclass(frozen=True, slots=True)
class Imports:
    """What one pickle would import.

    Attributes:
        names: (module, name) pairs, `UNKNOWN` for what cannot be told.
        nested: bytes in it that look like pickles themselves.
        number: the whole number that it is, for a pickle of nothing else; else None.
        fault: why it could not be read to its end; "" where it could.
    """

    names: frozenset[tuple[str, str]]
    nested: tuple[bytes, ...] = ()
    number: int | None = None
    fault: str = ""


class Bounded:
    """A stream of which no more is read than it has, whatever length an opcode claims.

    Args:
        stream: at the beginning of what is to be read.
        left: bytes from there to the end.
    """

    def __init__(self, stream: BinaryIO, left: int) -> None:
        self._stream = stream
        self._left = left
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes that are still to be read."""
        return self._left

    def read(self, n: int) -> bytes:
        """Up to `n` bytes.

        Raises:
            ValueError: there are so many, and they are more than `MAX_ARGUMENT`.
        """
        if min(n, self._left) > MAX_ARGUMENT:
            raise ValueError(f"an opcode brings {n:,} bytes, more than the {MAX_ARGUMENT:,} that are read")
        return self._taken(self._stream.read(min(n, self._left)))

    def readline(self) -> bytes:
        """A line, or what is left of one."""
        return self._taken(self._stream.readline(self._left))

    def tell(self) -> int:
        """Bytes read so far."""
        return self._at

    def _taken(self, piece: bytes) -> bytes:
        self._left -= len(piece)
        self._at += len(piece)
        return piece


def read_imports(stream: Bounded) -> Imports:
    """Read one pickle up to its STOP; the stream is left behind it, unless there is a fault."""
    machine = _Machine()
    count = 0
    try:
        for opcode, argument, _ in pickletools.genops(stream):  # type: ignore[arg-type]  # needs read, readline, tell
            machine.step(opcode, argument)
            count += 1
            if count > MAX_OPCODES:
                return machine.imports(f"it has more than {MAX_OPCODES:,} opcodes")
    except ValueError as error:
        return machine.imports(f"it is no whole pickle: {error}")
    except IndexError:
        return machine.imports(f"it is no whole pickle: opcode {count + 1} takes what is not on the stack")
    return machine.imports("")


def imports_of_whole_pickle(body: bytes) -> frozenset[tuple[str, str]]:
    """What bytes would import if they are a pickle from beginning to STOP; nothing where they are none."""
    found = read_imports(Bounded(BytesIO(body), len(body)))
    return frozenset() if found.fault else found.names


@dataclass(slots=True)
class _Machine:
    """The stack and the memo of an unpickler that knows texts and marks alone."""

    stack: list[object] = field(default_factory=list)
    memo: dict[int, object] = field(default_factory=dict)
    names: set[tuple[str, str]] = field(default_factory=set)
    nested: list[bytes] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    others: bool = False

    def imports(self, fault: str) -> Imports:
        alone = len(self.numbers) == 1 and not self.others and not fault
        return Imports(frozenset(self.names), tuple(self.nested), self.numbers[0] if alone else None, fault)

    def step(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:  # noqa: ANN401 - an opcode's argument
        name = opcode.name
        self._remember(name, argument)
        if name in _SPECIAL:
            _SPECIAL[name](self, argument)
        elif name in _TEXTS:
            self.stack.append(argument)
        elif name in _PUTS:
            self.memo[int(argument)] = self.stack[-1]
        elif name in _GETS:
            self.stack.append(self.memo.get(int(argument), _ANYTHING))
        else:
            self._pop(opcode.stack_before)
            self.stack.extend([_ANYTHING] * len(opcode.stack_after))

    def _remember(self, name: str, argument: Any) -> None:  # noqa: ANN401 - an opcode's argument
        """Note numbers, and bytes that look like a pickle."""
        if name in _BYTES:
            body = argument.encode("latin-1") if isinstance(argument, str) else bytes(argument)
            if len(body) >= _LEAST_PICKLE and body.startswith(_NESTED):
                self.nested.append(body)
        if type(argument) is int and name not in {"PROTO", "FRAME"}:
            self.numbers.append(argument)
        elif name not in {"PROTO", "FRAME", "STOP"}:
            self.others = True

    def _pop(self, before: list[pickletools.StackObject]) -> None:
        if pickletools.markobject in before:
            while self.stack.pop() is not _MARK:
                pass
            before = before[: before.index(pickletools.markobject)]
        for _ in before:
            self.stack.pop()

    def mark(self, _: object) -> None:
        self.stack.append(_MARK)

    def duplicate(self, _: object) -> None:
        self.stack.append(self.stack[-1])

    def memoize(self, _: object) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def stack_global(self, _: object) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.names.add((_text(module), _text(name)))
        self.stack.append(_ANYTHING)

    def named_global(self, argument: str) -> None:
        self.names.add(_pair(argument))
        self.stack.append(_ANYTHING)

    def instance(self, argument: str) -> None:
        while self.stack.pop() is not _MARK:
            pass
        self.named_global(argument)

    def extension(self, argument: int) -> None:
        self.names.add(("copyreg", f"extension {argument}"))
        self.stack.append(_ANYTHING)


_SPECIAL: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "DUP": _Machine.duplicate,
    "MEMOIZE": _Machine.memoize,
    "STACK_GLOBAL": _Machine.stack_global,
    "GLOBAL": _Machine.named_global,
    "INST": _Machine.instance,
    "EXT1": _Machine.extension,
    "EXT2": _Machine.extension,
    "EXT4": _Machine.extension,
}


def _text(value: object) -> str:
    return value if isinstance(value, str) else UNKNOWN


def _pair(argument: str) -> tuple[str, str]:
    module, _, name = argument.partition(" ")
    return module, name


def read_pickles(stream: Bounded, most: int | None = None) -> Iterator[Imports]:
    """Read pickles that follow each other, up to the end, a fault, or `most` of them."""
    count = 0
    while stream.left and count != most:
        found = read_imports(stream)
        yield found
        if found.fault:
            return
        count += 1
