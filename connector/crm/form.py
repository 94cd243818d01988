"""A hostile HTTP body -> a tree of texts: PHP-nested forms and JSON, within fixed bounds.

Both CRMs write their webhooks as PHP's http_build_query does. Must not know any CRM. Whatever comes in, the
only exception that comes out is `BadWebhook`, after time linear in the body's length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from connector.crm.wild import Wild
from connector.errors import BadWebhook

#: Far above the largest body seen (mass moves send one item a deal), far below what could hurt.
MAX_BYTES = 1 << 20
MAX_PAIRS = 20_000
MAX_DEPTH = 16
MAX_KEY_CHARS = 500

_BLOCK = 16_384

_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)\Z")
_CHARSETS = {"utf-8": "utf-8", "utf8": "utf-8", "windows-1251": "cp1251", "cp1251": "cp1251"}

Tree = dict[str, "str | Tree"]


def read_form(body: bytes, content_type: str) -> Wild:
    """The body of a PHP-style form as a tree of maps; lists are maps with the keys «0», «1», …

    A missing content type counts as a form. Of two equal keys the later wins, as in PHP; a key that is a
    value and a parent at once keeps its value under the name «».
    """
    media, charset = _content_type(content_type)
    if media not in ("", "application/x-www-form-urlencoded"):
        raise BadWebhook("content-type", "is not application/x-www-form-urlencoded")
    _check_size(body)
    if body.count(b"&") >= MAX_PAIRS:
        raise BadWebhook("body", f"has more than {MAX_PAIRS} fields")
    tree: Tree = {}
    for pair in body.split(b"&"):
        raw_key, _, raw_value = pair.partition(b"=")
        if raw_key:
            _put(tree, _segments(_decode(raw_key, charset)), _decode(raw_value, charset))
    return Wild(tree)


def read_form_or_json(body: bytes, content_type: str) -> Wild:
    """Like `read_form`; a JSON object is taken too."""
    media, _ = _content_type(content_type)
    if media != "application/json":
        return read_form(body, content_type)
    _check_size(body)
    try:
        data = json.loads(body, parse_constant=_refuse_constant)
        clean = _clean(data, 0)
    except (ValueError, RecursionError):
        raise BadWebhook("body", "is not readable JSON") from None
    if not isinstance(clean, dict):
        raise BadWebhook("body", "is not a JSON object")
    return Wild(clean)


def plain(value: object, leave_out: frozenset[str] = frozenset()) -> object:
    """A copy fit for storing as JSON, without the keys in `leave_out` (lower case) at any depth."""
    if isinstance(value, Mapping):
        return {
            str(key): plain(part, leave_out)
            for key, part in value.items()
            if str(key).lower() not in leave_out
        }
    if isinstance(value, list):
        return [plain(part, leave_out) for part in value]
    return value


def _content_type(header: str) -> tuple[str, str]:
    media, _, rest = header.partition(";")
    charset = re.search(r"charset=\"?([A-Za-z0-9_-]{1,40})", rest[:200])
    name = charset.group(1).lower() if charset else "utf-8"
    if name not in _CHARSETS:
        raise BadWebhook("content-type", "names an unknown charset")
    return media.strip().lower(), _CHARSETS[name]


def _check_size(body: bytes) -> None:
    if not body.strip():
        raise BadWebhook("body", "is empty")
    if len(body) > MAX_BYTES:
        raise BadWebhook("body", f"is larger than {MAX_BYTES} bytes")


def _decode(raw: bytes, charset: str) -> str:
    """Text of one key or value. Damaged bytes and NUL, which PostgreSQL cannot keep, become U+FFFD."""
    text = _unquoted(raw.replace(b"+", b" ")).decode(charset, "replace")
    return text.replace("\0", "\ufffd")


def _unquoted(raw: bytes) -> bytes:
    """`raw` without its percent signs, a block at a time: the library makes an object of each of them, which
    would be two hundred bytes of memory for each byte of a hostile body."""
    parts, start = [], 0
    while start < len(raw):
        end = start + _BLOCK
        # No block may end within a %XX; a run of bare percent signs may be cut anywhere.
        end -= next((back for back in (1, 2) if raw[end - back : end - back + 1] == b"%"), 0)
        parts.append(unquote_to_bytes(raw[start:end]))
        start = end
    return b"".join(parts)


def _segments(key: str) -> list[str]:
    """`leads[add][0][id]` as its parts; a key whose brackets do not match is one plain name."""
    if len(key) > MAX_KEY_CHARS:
        raise BadWebhook("body", f"has a name longer than {MAX_KEY_CHARS} characters")
    match = _KEY.match(key)
    parts = [key] if match is None else [match.group(1), *re.findall(r"\[([^\[\]]*)\]", match.group(2))]
    if len(parts) > MAX_DEPTH:
        raise BadWebhook(parts[0][:40], f"is nested deeper than {MAX_DEPTH}")
    if any(part.startswith("__") for part in parts):
        raise BadWebhook(parts[0][:40], "has a name that begins with two underscores")
    return parts


def _put(tree: Tree, parts: list[str], value: str) -> None:
    node = tree
    for part in parts[:-1]:
        name = part or str(len(node))
        below = node.get(name)
        if not isinstance(below, dict):
            below = {} if below is None else {"": below}
            node[name] = below
        node = below
    last = parts[-1] or str(len(node))
    known = node.get(last)
    if isinstance(known, dict):
        known[""] = value
    else:
        node[last] = value


def _clean(value: object, depth: int) -> object:
    """JSON without NUL and lone surrogates, which no store can keep."""
    if depth > MAX_DEPTH:
        raise BadWebhook("body", f"is nested deeper than {MAX_DEPTH}")
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {str(_clean(key, depth + 1)): _clean(part, depth + 1) for key, part in value.items()}
    if isinstance(value, list):
        return [_clean(part, depth + 1) for part in value]
    return value


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
