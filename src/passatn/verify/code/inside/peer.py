"""Calls between the examiner and the program, over one socket.

Either side may hold objects of the other by number, as a `Remote`. The examiner's rule: an operation on a program's
object goes to the program only where it does not tell what the test expects. So calls, attributes, items, length and
iteration are passed on; comparison, `in` and arithmetic are not, since an object that claims to equal everything would
pass every test. What comes back is data, compared here by Python's own types.
"""

import builtins
import types
from collections.abc import Callable
from typing import Any

from .frames import FrameError, pack_frame, read_frame, write_all
from .values import ValueCodec

_MAX_MESSAGE = 300


class PeerGoneError(BaseException):
    """The other side ended or broke the protocol. No Exception, so that no test can swallow it."""


class UnsendableError(BaseException):
    """A value that cannot be sent; no Exception, as above."""


class ProgramExitError(BaseException):
    """The program called sys.exit, or raised something else that is no Exception."""


class Remote:
    """An object of the other side."""

    __slots__ = ("_number", "_peer")

    def __init__(self, peer: "Peer", number: int) -> None:
        object.__setattr__(self, "_peer", peer)
        object.__setattr__(self, "_number", number)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._peer.request("call", self._number, list(args), kwargs)

    def __getattr__(self, name: str) -> Any:
        return self._peer.request("getattr", self._number, [name])

    def __setattr__(self, name: str, value: Any) -> None:
        self._peer.request("setattr", self._number, [name, value])


def _forward(operation: str) -> Callable[..., Any]:
    def method(self: Remote, *args: Any) -> Any:
        return self._peer.request(operation, self._number, list(args))

    return method


def _special_method(name: str) -> Callable[..., Any]:
    return lambda target, *args: getattr(type(target), name)(target, *args)


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "call": lambda target, *args, **kwargs: target(*args, **kwargs),
    "getattr": getattr,
    "setattr": setattr,
}
_FUNCTIONS: tuple[Callable[..., Any], ...] = (len, iter, next, bool, str, repr, int, float)
for _function in _FUNCTIONS:
    _OPERATIONS[_function.__name__] = _function
    setattr(Remote, f"__{_function.__name__}__", _forward(_function.__name__))
for _name in ("getitem", "setitem", "delitem", "enter", "exit"):
    _OPERATIONS[_name] = _special_method(f"__{_name}__")
    setattr(Remote, f"__{_name}__", _forward(_name))


class Peer:
    """One side of the socket. `serves_all` is the program's side: it has nothing to protect. The other serves only
    calls of functions that the tests themselves define and pass on."""

    def __init__(self, descriptor: int, *, serves_all: bool) -> None:
        self._descriptor, self._serves_all = descriptor, serves_all
        self._objects: dict[int, Any] = {}
        self._remotes: dict[int, Remote] = {}
        self.codec = ValueCodec(self._export, self._resolve)
        self.failure: BaseException | None = None
        """The first error that ends everything, kept because a test's bare `except:` could swallow it."""
        self.prepared_failure: Callable[[BaseException], bytes | None] = lambda error: None

    def send(self, message: dict[str, Any]) -> None:
        try:
            write_all(self._descriptor, pack_frame(message))
        except FrameError as error:
            raise self._fail(PeerGoneError(str(error))) from None

    def receive(self) -> dict[str, Any]:
        try:
            message = read_frame(self._descriptor)
        except FrameError as error:
            raise self._fail(PeerGoneError(str(error))) from None
        if not isinstance(message, dict):
            raise self._fail(PeerGoneError("not a message"))
        return message

    def request(self, operation: str, number: int, args: list[Any], kwargs: dict[str, Any] | None = None) -> Any:
        """The result of an operation on the other side's object, or what it raised.

        StopIteration counts only for `next`: elsewhere it would cut short a `map` over test cases.
        """
        kwargs = kwargs or {}
        sent = [self.codec.encode(value) for value in args]
        keywords = {name: self.codec.encode(value) for name, value in kwargs.items()}
        self.send({"operation": operation, "number": number, "args": sent, "kwargs": keywords})
        while "operation" in (reply := self.receive()):
            self.answer(reply)
        if "raised" in reply:
            error = self._exception(reply["raised"])
            if isinstance(error, StopIteration) and operation != "next":
                raise RuntimeError("the program raised StopIteration") from None
            raise error
        try:
            self._apply_changes(args, reply.get("changed") or {})
            return self.codec.decode(reply["value"])
        except PeerGoneError:
            raise
        except Exception as error:
            raise self._fail(PeerGoneError(f"the reply cannot be read ({type(error).__name__})")) from None

    def serve(self) -> None:
        """Answer until the other side closes."""
        while True:
            self.answer(self.receive())

    def answer(self, message: dict[str, Any]) -> None:
        try:
            reply = pack_frame(self._perform(message))
        except PeerGoneError:
            raise
        except BaseException as error:
            reply = self.prepared_failure(error) or pack_frame({"raised": describe(error, self.codec.shared)})
        try:
            write_all(self._descriptor, reply)
        except FrameError as error:
            raise self._fail(PeerGoneError(str(error))) from None

    def _perform(self, message: dict[str, Any]) -> dict[str, Any]:
        operation, target = message["operation"], self._objects[message["number"]]
        if not self._serves_all and operation != "call":
            raise TypeError("the tests' functions can be called, nothing else")
        args = [self.codec.decode(value) for value in message["args"]]
        kwargs = {name: self.codec.decode(value) for name, value in message["kwargs"].items()}
        value = self.codec.encode(_OPERATIONS[operation](target, *args, **kwargs))
        return {"value": value, "changed": self._changes(message["args"], args)}

    def _changes(self, before: list[Any], args: list[Any]) -> dict[str, Any]:
        """Arguments that the call changed in place, by position."""
        changed = {}
        for index, (old, value) in enumerate(zip(before, args, strict=True)):
            if isinstance(value, list | dict | set | bytearray) and (new := self.codec.encode(value)) != old:
                changed[str(index)] = new
        return changed

    def _fail(self, error: BaseException) -> BaseException:
        self.failure = self.failure or error
        return error

    def _apply_changes(self, args: list[Any], changed: dict[str, Any]) -> None:
        for index, message in changed.items():
            target, value = args[int(index)], self.codec.decode(message)
            if isinstance(target, list | bytearray):
                target[:] = value
            elif isinstance(target, dict | set):
                target.clear()
                target.update(value)

    def _export(self, value: Any) -> list[Any]:
        if isinstance(value, Remote):
            return ["yours", object.__getattribute__(value, "_number")]
        if not self._serves_all and not isinstance(value, types.FunctionType):
            raise self._fail(UnsendableError(type(value).__name__))
        number = id(value)
        self._objects[number] = value
        return ["mine", number]

    def _resolve(self, tag: str, number: int) -> Any:
        if tag == "mine":
            return self._remotes.setdefault(int(number), Remote(self, int(number)))
        if tag == "yours":
            return self._objects[number]
        raise ValueError(f"unknown kind of value {str(tag)[:20]!r}")

    def _exception(self, raised: dict[str, Any]) -> BaseException:
        """The exception that the other side raised, as the nearest type that both sides know."""
        text = f"{raised.get('message', '')}"[:_MAX_MESSAGE]
        error: BaseException | None = None
        for name in raised.get("types", []):
            kind = self.codec.shared.get(name) or getattr(builtins, name, None)
            if isinstance(kind, type) and issubclass(kind, Exception):
                error = _make(kind, text)
                break
        error = error or self._fail(ProgramExitError(text))
        error.__dict__["raised"] = raised
        return error


def _make(kind: type[Exception], text: str) -> Exception:
    try:
        error = kind.__new__(kind)
    except TypeError:
        return RuntimeError(text)
    error.args = (text,)
    return error


def describe(error: BaseException, shared: dict[str, type]) -> dict[str, Any]:
    """What the other side is told of an exception: its types, message, and the limit that it comes from, if any."""
    names = [kind.__name__ for kind in type(error).__mro__]
    known = [name for name in names if name in shared or hasattr(builtins, name)]
    try:
        message = " ".join(str(error).split())[:_MAX_MESSAGE]
    except BaseException:
        message = ""
    return {"name": names[0], "types": known, "message": message, "errno": getattr(error, "errno", None)}
