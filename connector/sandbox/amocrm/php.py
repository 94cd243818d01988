"""PHP's way of writing nested data as a form: reading it from a query, writing it to a link or a webhook.

Pure; knows nothing of deals. Source: reference 3 (filters) and 6.3 (transport).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, quote_plus

#: Deeper keys than any filter has are cut off, as PHP does by its own limit.
_MAX_DEPTH = 12


def parse_query(query: str) -> dict[str, Any]:
    """`filter[id][]=1&filter[id][]=2` as `{"filter": {"id": {"0": "1", "1": "2"}}}`; leaves are strings.

    A later scalar replaces an earlier value of the same key, as in PHP.
    """
    root: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
        path = _split_key(key)
        if path:
            _put(root, path, value)
    return root


def _split_key(key: str) -> list[str]:
    head, bracket, rest = key.partition("[")
    if not head or not bracket:
        return [key] if key else []
    parts = [head]
    rest = "[" + rest
    while rest.startswith("[") and "]" in rest and len(parts) < _MAX_DEPTH:
        part, rest = rest[1:].split("]", 1)
        parts.append(part)
    return parts


def _put(root: dict[str, Any], path: list[str], value: str) -> None:
    node = root
    for part in path[:-1]:
        key = part or str(len(node))
        child = node.get(key)
        if not isinstance(child, dict):
            child = node[key] = {}
        node = child
    node[path[-1] or str(len(node))] = value


def build_query(data: Mapping[str, Any]) -> str:
    """`http_build_query`: brackets and everything but `A-Za-z0-9-_.` percent-encoded, a space as `+`.

    None is left out, booleans are 1 and 0, other leaves are written by `str`.
    """
    return "&".join(f"{_encode(key)}={_encode(value)}" for key, value in _flatten(data, ""))


def _encode(text: str) -> str:
    return quote_plus(text, safe="").replace("~", "%7E")


def _flatten(data: Any, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _flatten(value, f"{prefix}[{key}]" if prefix else str(key))
    elif isinstance(data, Sequence) and not isinstance(data, str):
        for index, value in enumerate(data):
            yield from _flatten(value, f"{prefix}[{index}]")
    elif data is not None:
        yield prefix, _scalar(data)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)
