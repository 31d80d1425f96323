"""Read the declarations of a compiled Lean file (`.olean`) as they are, without asking Lean.

What a process prints can be imitated by what it is fed; the file that Lean writes at the end says which constants the
kernel has accepted, with their types and proofs. Layout (Lean 4.35.0): a header of 88 bytes (marker, version, git hash,
base address), a pointer to the root, then objects of 8 bytes of header (…, number of fields, tag) and 8 bytes a field;
pointers are absolute, odd ones are small numbers.

    module = read_olean(data)
    module["Nat.add_comm"].kind, module["Nat.add_comm"].constants
"""

import hashlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from passatn.lean.errors import LeanError

KINDS = ("axiom", "def", "theorem", "opaque", "quot", "inductive", "constructor", "recursor")
_FORMAT_VERSION = 2
_HEADER_SIZE = 88
_BASE_OFFSET = 80
_ARRAY, _STRING, _MPZ = 246, 249, 250
_BVAR, _FVAR, _MVAR, _SORT, _CONST, _APP, _LAM, _FORALL, _LET, _LIT, _MDATA, _PROJ = range(12)
_POINTER = struct.Struct("<Q")
T = TypeVar("T")


@dataclass(frozen=True)
class Declaration:
    """One constant. `constants`: names that its type and value (or constructors) mention.

    `type_digest` and `value_digest` are equal for terms that are equal up to names of bound variables and annotations.
    """

    name: str
    kind: str
    num_levels: int
    constants: frozenset[str]
    type_digest: bytes
    value_digest: bytes
    value_head: str


def read_olean(data: bytes) -> dict[str, Declaration]:
    """The declarations by name. Raises LeanError for anything that is not such a file."""
    try:
        return _Reader(data).declarations()
    except (struct.error, LookupError, ValueError) as error:
        raise LeanError(f"not an .olean file of Lean 4.35.0: {type(error).__name__}") from None


class _Reader:
    def __init__(self, data: bytes) -> None:
        if data[:5] != b"olean" or len(data) < _HEADER_SIZE + 8:
            raise LeanError("not an .olean file")
        if data[5] != _FORMAT_VERSION:
            raise LeanError(f"an .olean file of format {data[5]}, expected {_FORMAT_VERSION}")
        self._data = data
        self._base = _POINTER.unpack_from(data, _BASE_OFFSET)[0]
        self._names: dict[int, str] = {}
        self._terms: dict[int, tuple[bytes, frozenset[str]]] = {}
        self._levels: dict[int, bytes] = {}

    def declarations(self) -> dict[str, Declaration]:
        root = self._word(_HEADER_SIZE)
        infos = list(self._array(self._field(root, 2)))
        declarations = [self._declaration(info) for info in infos]
        if [declaration.name for declaration in declarations] != list(
            map(self._name, self._array(self._field(root, 1)))
        ):
            raise LeanError("an .olean file whose names are not those of its declarations")
        return {declaration.name: declaration for declaration in declarations}

    # objects

    def _word(self, offset: int) -> int:
        return int(_POINTER.unpack_from(self._data, offset)[0])

    def _offset(self, pointer: int) -> int:
        offset = pointer - self._base
        if pointer & 1 or not _HEADER_SIZE <= offset < len(self._data):
            raise IndexError(pointer)
        return offset

    def _tag(self, pointer: int) -> int:
        return self._data[self._offset(pointer) + 7]

    def _constructor(self, pointer: int) -> int:
        """The number of the constructor, boxed or not."""
        return pointer >> 1 if pointer & 1 else self._tag(pointer)

    def _field(self, pointer: int, index: int) -> int:
        offset = self._offset(pointer)
        if index >= self._data[offset + 6]:
            raise IndexError(index)
        return self._word(offset + 8 + 8 * index)

    def _array(self, pointer: int) -> Iterator[int]:
        offset = self._offset(pointer)
        if self._data[offset + 7] != _ARRAY:
            raise IndexError(pointer)
        for index in range(self._word(offset + 8)):
            yield self._word(offset + 24 + 8 * index)

    def _list(self, pointer: int) -> Iterator[int]:
        for _ in range(len(self._data)):
            if pointer & 1:
                return
            yield self._field(pointer, 0)
            pointer = self._field(pointer, 1)
        raise IndexError(pointer)

    def _string(self, pointer: int) -> bytes:
        offset = self._offset(pointer)
        if self._data[offset + 7] != _STRING:
            raise IndexError(pointer)
        return self._data[offset + 32 : offset + 32 + self._word(offset + 8) - 1]

    def _natural(self, pointer: int) -> bytes:
        if pointer & 1:
            return str(pointer >> 1).encode()
        offset = self._offset(pointer)
        if self._data[offset + 7] != _MPZ:
            raise IndexError(pointer)
        num_limbs = struct.unpack_from("<i", self._data, offset + 12)[0]
        limbs = self._offset(self._word(offset + 16))
        return b"big" + self._data[limbs : limbs + 8 * num_limbs]

    def _name(self, pointer: int) -> str:
        """As Lean prints it, without quotes; the empty string is the anonymous name."""
        if pointer not in self._names:
            parts: list[str] = []
            rest = pointer
            while not rest & 1:
                if len(parts) > len(self._data):
                    raise IndexError(pointer)
                last = self._field(rest, 1)
                parts.append((self._string(last) if self._tag(rest) == 1 else self._natural(last)).decode())
                rest = self._field(rest, 0)
            self._names[pointer] = ".".join(reversed(parts))
        return self._names[pointer]

    # terms

    def _level(self, root: int) -> bytes:
        return self._fold(root, self._levels, self._level_children, self._combine_level)

    def _level_children(self, pointer: int) -> list[int]:
        num_children = 0 if pointer & 1 else {1: 1, 2: 2, 3: 2}.get(self._tag(pointer), 0)
        return [self._field(pointer, index) for index in range(num_children)]

    def _combine_level(self, pointer: int) -> bytes:
        if pointer & 1:
            return bytes([pointer >> 1])
        tag = self._tag(pointer)
        parts = [bytes([tag]), *(self._levels[child] for child in self._level_children(pointer))]
        if tag in (4, 5):
            parts.append(self._name(self._field(pointer, 0)).encode())
        return _digest(parts)

    def _term(self, root: int) -> tuple[bytes, frozenset[str]]:
        """Digest and constants of an expression."""
        return self._fold(root, self._terms, self._children, self._combine)

    def _fold(
        self, root: int, known: dict[int, T], children: Callable[[int], list[int]], combine: Callable[[int], T]
    ) -> T:
        """What `combine` makes of `root` when its children are known; a loop, since a proof can nest them at will."""
        stack = [root]
        while stack:
            pointer = stack[-1]
            if pointer in known:
                stack.pop()
                continue
            pending = [child for child in children(pointer) if child not in known]
            if pending:
                stack.extend(pending)
                if len(stack) > len(self._data):
                    raise IndexError(root)
                continue
            known[pointer] = combine(pointer)
            stack.pop()
        return known[root]

    def _children(self, pointer: int) -> list[int]:
        first, last = {
            _APP: (0, 2),
            _LAM: (1, 3),
            _FORALL: (1, 3),
            _LET: (1, 4),
            _MDATA: (1, 2),
            _PROJ: (2, 3),
        }.get(self._tag(pointer), (0, 0))
        return [self._field(pointer, index) for index in range(first, last)]

    def _combine(self, pointer: int) -> tuple[bytes, frozenset[str]]:
        tag = self._tag(pointer)
        children = [self._terms[child] for child in self._children(pointer)]
        if tag == _MDATA:
            return children[0]
        parts = [bytes([tag]), *(digest for digest, _ in children)]
        constants = frozenset[str]().union(*(names for _, names in children))
        if tag == _CONST:
            name = self._name(self._field(pointer, 0))
            constants = frozenset([name])
            parts += [name.encode(), *(self._level(level) for level in self._list(self._field(pointer, 1)))]
        elif tag == _SORT:
            parts.append(self._level(self._field(pointer, 0)))
        elif tag == _PROJ:
            name = self._name(self._field(pointer, 0))
            constants |= {name}
            parts += [name.encode(), self._natural(self._field(pointer, 1))]
        elif tag == _BVAR:
            parts.append(self._natural(self._field(pointer, 0)))
        elif tag == _LIT:
            literal = self._field(pointer, 0)
            is_text = self._tag(literal) == 1
            parts.append((self._string if is_text else self._natural)(self._field(literal, 0)))
            parts.append(b"text" if is_text else b"number")
        elif tag in (_FVAR, _MVAR):
            raise IndexError(pointer)
        return _digest(parts), constants

    def _head(self, pointer: int) -> str:
        """The constant that a term applies, under binders and annotations; empty if it is something else."""
        for _ in range(len(self._data)):
            tag = self._tag(pointer)
            if tag not in (_APP, _LAM, _MDATA):
                return self._name(self._field(pointer, 0)) if tag == _CONST else ""
            pointer = self._field(pointer, {_APP: 0, _LAM: 2, _MDATA: 1}[tag])
        raise IndexError(pointer)

    def _declaration(self, info: int) -> Declaration:
        kind = KINDS[self._constructor(info)]
        value = self._field(info, 0)
        common = self._field(value, 0)
        name = self._name(self._field(common, 0))
        num_levels = sum(1 for _ in self._list(self._field(common, 1)))
        type_digest, constants = self._term(self._field(common, 2))
        value_digest, head = b"", ""
        if kind in ("def", "theorem", "opaque"):
            body = self._field(value, 1)
            value_digest, mentioned = self._term(body)
            constants, head = constants | mentioned, self._head(body)
        elif kind == "inductive":
            constants |= {self._name(pointer) for pointer in self._list(self._field(value, 4))}
        return Declaration(name, kind, num_levels, constants, type_digest, value_digest, head)


def _digest(parts: list[bytes]) -> bytes:
    joined = hashlib.blake2b(digest_size=16)
    for part in parts:
        joined.update(len(part).to_bytes(4, "big") + part)
    return joined.digest()
