"""What a request says, whatever its encoding: query, form, multipart or JSON, with PHP's nested keys.

Source: reference section 2.1. Knows nothing of methods.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from flask import Request

#: PHP drops variables nested deeper (`max_input_nesting_level`), its JSON reader gives up on them.
_MAX_DEPTH = 64

_KEY = re.compile(r"\[([^\]]*)\]")


class Params(Mapping[str, Any]):
    """Parameters of one call. With `any_case` the top-level names match in any case (classic methods)."""

    def __init__(self, data: Mapping[str, Any], *, any_case: bool = True) -> None:
        self._data = dict(data)
        self._names = {name.casefold(): name for name in self._data} if any_case else {}

    def __getitem__(self, name: str) -> Any:
        if name in self._data:
            return self._data[name]
        return self._data[self._names[name.casefold()]]

    def __contains__(self, name: object) -> bool:
        return name in self._data or str(name).casefold() in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def as_dict(self) -> dict[str, Any]:
        return dict(self._data)


def nest(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """`fields[PHONE][0][VALUE]=…` as nested maps; maps with the keys 0..n-1 become lists, as in PHP."""
    root: dict[str, Any] = {}
    for key, value in pairs:
        head, bracket, _ = key.partition("[")
        path = [head, *_KEY.findall(key[len(head) :])] if bracket else [key]
        if len(path) > _MAX_DEPTH:
            continue
        place = root
        for step in path[:-1]:
            name = _next_index(place) if step == "" else step
            if not isinstance(place.get(name), dict):
                place[name] = {}
            place = place[name]
        place[_next_index(place) if path[-1] == "" else path[-1]] = value
    return {name: _lists(value) for name, value in root.items()}


def from_query(text: str) -> dict[str, Any]:
    """Parameters of a query string."""
    return nest(parse_qsl(text, keep_blank_values=True))


def from_request(request: Request) -> dict[str, Any]:
    """All parameters; the body wins over the query string. Uploaded files stay in the request."""
    request.max_form_memory_size = None  # files come as base64 in forms
    data = from_query(request.query_string.decode("utf-8", "replace"))
    if request.mimetype == "application/json" or request.mimetype.endswith("+json"):
        try:
            body = json.loads(request.get_data() or b"{}")
        except (ValueError, RecursionError):
            body = {}
        # Old `task.*` methods are called with a bare list: parameters by place.
        data.update(as_map(body))
    else:
        data.update(nest(request.form.items(multi=True)))
    return data


def as_list(value: Any) -> list[Any]:
    """A parameter that should be an array: arrays and maps give their values, a scalar itself."""
    if value is None or value == "":
        return []
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else [value]


def as_map(value: Any) -> dict[str, Any]:
    """A parameter that should be an object; a list gives one with the keys 0..n-1, a scalar nothing."""
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    if isinstance(value, list | tuple):
        return {str(key): item for key, item in enumerate(value)}
    return {}


def _next_index(place: Mapping[str, Any]) -> str:
    return str(max((int(key) for key in place if key.isdigit()), default=-1) + 1)


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    items = {key: _lists(item) for key, item in value.items()}
    if all(key == str(place) for place, key in enumerate(items)):
        return list(items.values())
    return items
