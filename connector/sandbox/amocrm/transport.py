"""HTTP as the account's front end speaks it: bodies in whole, in chunks or packed, answers with headers.

Knows Flask and `Reply`; no entity and no token. What the reference does not say of the front end (packed
bodies either way, slashes at the end) is this sandbox's choice: take all of it, send packed only by switch.
"""

from __future__ import annotations

import gzip
import zlib
from uuid import uuid4

from flask import Request, Response

from connector.sandbox.amocrm.request import Call
from connector.sandbox.amocrm.wire import ApiError, Reply, problem

#: Larger bodies are refused; a part of a file is at most 512 KB, 250 leads are far below.
MAX_BODY = 16 * 1024 * 1024
#: Answers below this size are sent as they are even where packing is on.
_WORTH_PACKING = 1024


def read_call(request: Request) -> Call:
    """The request without its body, which is read once the caller is known: see `read_body`."""
    path = request.path
    return Call(
        method=request.method,
        path=path.rstrip("/") if path.startswith("/api/") else path,
        query_string=request.query_string.decode("utf-8", "replace"),
        body=b"",
        content_type=(request.content_type or "").lower(),
        headers=request.headers,
    )


def read_body(request: Request) -> bytes:
    """The body, unpacked. ApiError 413 for one that is or becomes too large, 400 for a broken one."""
    if (request.content_length or 0) > MAX_BODY:
        raise _too_large()
    raw = request.stream.read(MAX_BODY + 1)
    if len(raw) > MAX_BODY:  # sent in chunks, so nobody said how long it would be
        raise _too_large()
    packing = request.headers.get("Content-Encoding", "identity").strip().lower()
    if packing in ("", "identity"):
        return raw
    if packing not in ("gzip", "x-gzip", "deflate"):
        raise ApiError(problem(415, f"Unsupported Content-Encoding: {packing[:40]}"))
    return _unpacked(raw, wbits=15 + 32)


def _unpacked(raw: bytes, wbits: int) -> bytes:
    unpacker = zlib.decompressobj(wbits)
    try:
        whole = unpacker.decompress(raw, MAX_BODY + 1)
    except zlib.error:
        raise ApiError(problem(400, "Request body cannot be unpacked")) from None
    if len(whole) > MAX_BODY:
        raise _too_large()
    if not unpacker.eof:
        raise ApiError(problem(400, "Request body cannot be unpacked"))
    return whole


def _too_large() -> ApiError:
    return ApiError(problem(413, "Request body is too large"))


def to_response(reply: Reply, request: Request, *, may_pack: bool) -> Response:
    """What Flask sends; empty answers carry no Content-Type."""
    body, packed = reply.body, False
    if may_pack and len(body) >= _WORTH_PACKING and "gzip" in request.headers.get("Accept-Encoding", ""):
        body, packed = gzip.compress(body, compresslevel=1), True
    response = Response(body, reply.status, content_type=reply.content_type)
    response.headers.extend(reply.headers)
    response.headers["X-Request-Id"] = str(uuid4())
    if packed:
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Vary"] = "Accept-Encoding"
    if reply.status == 204 or (reply.status == 202 and not reply.body):
        del response.headers["Content-Type"]
    return response
