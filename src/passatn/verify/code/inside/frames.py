"""JSON messages behind their length, over a descriptor."""

import json
import os
import struct
from typing import Any

LENGTH = struct.Struct(">I")
MAX_BYTES = 64 * 2**20


class FrameError(Exception):
    """The other side closed, or wrote something that is no message."""


def read_frame(descriptor: int) -> Any:
    """The next message, and not a byte more. Raises FrameError."""
    size = LENGTH.unpack(_read(descriptor, LENGTH.size))[0]
    if size > MAX_BYTES:
        raise FrameError("the message is too long")
    try:
        return json.loads(_read(descriptor, size))
    except (ValueError, RecursionError) as error:
        raise FrameError(f"not a message: {error}") from None


def pack_frame(message: Any) -> bytes:
    body = json.dumps(message).encode()
    if len(body) > MAX_BYTES:
        raise FrameError("the message is too long")
    return LENGTH.pack(len(body)) + body


def write_frame(descriptor: int, message: Any) -> None:
    write_all(descriptor, pack_frame(message))


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except OSError as error:
            raise FrameError(f"the other side is gone: {error}") from None


def _read(descriptor: int, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        try:
            piece = os.read(descriptor, min(size - len(data), 2**20))
        except OSError as error:
            raise FrameError(f"the other side is gone: {error}") from None
        if not piece:
            raise FrameError("the other side closed")
        data += piece
    return bytes(data)
