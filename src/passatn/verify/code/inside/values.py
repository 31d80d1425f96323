"""Python values as JSON: data travels, code does not.

Numbers, strings, None and the containers and number types below are rebuilt on the other side from their data alone.
An instance of a class that both sides define (the problem's own, never the program's) travels as its attributes.
Whatever else there is stays where it is, and the other side gets a number to call it by; see `peer`.

    [1, (2.5, "x")]  <->  ["list", 1, ["tuple", 2.5, "x"]]
"""

import array
import builtins
import collections
import datetime
import decimal
import fractions
import math
from collections.abc import Callable
from typing import Any

_EXACT_INT = 2**53
_SEQUENCES: dict[str, Any] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "deque": collections.deque,
}
_MAPPINGS: dict[str, Any] = {
    "OrderedDict": collections.OrderedDict,
    "Counter": collections.Counter,
    "dict": dict,
}
_TEXTS: dict[str, tuple[type, Callable[[Any], str], Callable[[str], Any]]] = {
    "bytes": (bytes, bytes.hex, bytes.fromhex),
    "bytearray": (bytearray, bytearray.hex, bytearray.fromhex),
    "Decimal": (decimal.Decimal, str, decimal.Decimal),
    "Fraction": (fractions.Fraction, str, fractions.Fraction),
    "datetime": (datetime.datetime, datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    "date": (datetime.date, datetime.date.isoformat, datetime.date.fromisoformat),
    "time": (datetime.time, datetime.time.isoformat, datetime.time.fromisoformat),
}
_VIEWS: dict[str, Any] = {
    "dict_keys": type({}.keys()),
    "dict_values": type({}.values()),
    "dict_items": type({}.items()),
}

_PURE_FUNCTIONS = ("abs", "all", "any", "chr", "divmod", "len", "max", "min", "ord", "pow", "round", "sorted", "sum")
_TRAVELLING = {
    name: value
    for name, value in vars(builtins).items()
    if name in _PURE_FUNCTIONS or (isinstance(value, type) and not name.startswith("_"))
}
"""Builtins are sent by name: the types, and the functions that do nothing but compute."""
_TRAVELLING_NAMES = {id(value): name for name, value in _TRAVELLING.items()}


class ValueCodec:
    """Encodes and decodes for one side.

    `shared` maps names to the classes both sides define; `export(value)` gives what other values are sent as, and
    `resolve(tag, number)` is its counterpart.
    """

    def __init__(self, export: Callable[[Any], list[Any]], resolve: Callable[[str, int], Any]) -> None:
        self.shared: dict[str, type] = {}
        self._export, self._resolve = export, resolve

    def encode(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | str | float):
            return value if type(value) in (type(None), bool, str, float) else _plain(value)
        if isinstance(value, int):
            return int(value) if abs(value) < _EXACT_INT else ["int", hex(value)]
        for tag, kind in (*_SEQUENCES.items(), *_VIEWS.items()):
            if isinstance(value, kind):
                return [tag, *map(self.encode, value)]
        for tag, kind in _MAPPINGS.items():
            if isinstance(value, kind):
                return [tag, *([self.encode(key), self.encode(item)] for key, item in value.items())]
        for tag, (kind, to_text, _) in _TEXTS.items():
            if isinstance(value, kind):
                return [tag, to_text(value)]
        return self._encode_rare(value)

    def decode(self, message: Any) -> Any:
        """Raises ValueError, TypeError or another Exception where the message is not of the form above."""
        if not isinstance(message, list):
            if isinstance(message, dict):
                raise ValueError("an object where a value was expected")
            return message
        tag, parts = message[0], message[1:]
        if tag in _SEQUENCES:
            return _SEQUENCES[tag](map(self.decode, parts))
        if tag in _MAPPINGS:
            return _MAPPINGS[tag]({self.decode(key): self.decode(item) for key, item in parts})
        if tag in _TEXTS:
            return _TEXTS[tag][2](parts[0])
        return self._decode_rare(tag, parts)

    def _encode_rare(self, value: Any) -> Any:
        if isinstance(value, complex):
            return ["complex", value.real, value.imag]
        if isinstance(value, range):
            return ["range", *map(self.encode, (value.start, value.stop, value.step))]
        if isinstance(value, datetime.timedelta):
            return ["timedelta", value.days, value.seconds, value.microseconds]
        if isinstance(value, array.array):
            return ["array", value.typecode, *map(self.encode, value)]
        if id(value) in _TRAVELLING_NAMES:
            return ["builtin", _TRAVELLING_NAMES[id(value)]]
        name = type(value).__name__
        if name in self.shared and type(value) is self.shared[name]:
            return ["instance", name, *([key, self.encode(item)] for key, item in vars(value).items())]
        return self._export(value)

    def _decode_rare(self, tag: str, parts: list[Any]) -> Any:
        if tag == "int":
            return int(parts[0], 16)
        if tag == "complex":
            return complex(*parts)
        if tag == "range":
            return range(*map(self.decode, parts))
        if tag == "timedelta":
            return datetime.timedelta(*parts)
        if tag == "array":
            return array.array(parts[0], map(self.decode, parts[1:]))
        if tag in _VIEWS:
            return _view(tag, [self.decode(part) for part in parts])
        if tag == "builtin":
            return _TRAVELLING[parts[0]]
        if tag == "instance":
            return self._instance(parts[0], parts[1:])
        return self._resolve(tag, parts[0])

    def _instance(self, name: str, attributes: list[Any]) -> Any:
        """Attributes that would hide a method are refused: methods are the class's own."""
        instance: Any = object.__new__(self.shared[name])
        for key, item in attributes:
            if callable(getattr(type(instance), key, None)):
                raise ValueError(f"the attribute {key!r} hides a method")
            vars(instance)[key] = self.decode(item)
        return instance


def _plain(value: Any) -> Any:
    """The data of an instance of a subclass of str or float (an enumeration's member, say)."""
    return str.__str__(value) if isinstance(value, str) else float(math.fsum([value]))


def _view(tag: str, items: list[Any]) -> Any:
    if tag == "dict_items":
        return dict(items).items()
    if tag == "dict_keys":
        return dict.fromkeys(items).keys()
    return dict(enumerate(items)).values()
