"""How the service and its render processes talk: frames of JSON with a length in front.

JSON and not pickle: a render process handles strangers' text, so what it answers is data, never code.
"""

from __future__ import annotations

import base64
import json
import struct
from typing import IO, Any

_LENGTH = struct.Struct(">I")
#: Larger than any kit and any document; a broken peer must not make us reserve gigabytes.
MAX_FRAME = 256 * 1024 * 1024


def send(stream: IO[bytes], message: dict[str, Any]) -> None:
    """Write one message. OSError when the other side is gone."""
    body = json.dumps(message, ensure_ascii=False).encode("utf-8")
    stream.write(_LENGTH.pack(len(body)) + body)
    stream.flush()


def receive(stream: IO[bytes]) -> dict[str, Any] | None:
    """The next message; None when the other side has closed or died, or speaks nonsense."""
    head = _exactly(stream, _LENGTH.size)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MAX_FRAME:
        return None
    body = _exactly(stream, length)
    try:
        message = None if body is None else json.loads(body)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def pack(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def unpack(text: str) -> bytes:
    return base64.b64decode(text)


def _exactly(stream: IO[bytes], size: int) -> bytes | None:
    parts, left = [], size
    while left:
        part = stream.read(left)
        if not part:
            return None
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
