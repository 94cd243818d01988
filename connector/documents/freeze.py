"""A context as JSON and back, without loss: what a document was made from is kept beside it.

Decimal and date become one-key dicts («$decimal», «$date»); a real key that begins with «$» gets another.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any


def freeze(value: Any) -> Any:
    """`value` made of what JSON has. TypeError for what is no dict, list, text, number, Decimal or date."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Decimal):
        return {"$decimal": str(value)}
    if isinstance(value, date) and not isinstance(value, datetime):
        return {"$date": value.isoformat()}
    if isinstance(value, Mapping):
        return {_escaped(key): freeze(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [freeze(item) for item in value]
    raise TypeError(f"{type(value).__name__} cannot be kept in a context")


def thaw(value: Any) -> Any:
    """What `freeze` was given; tuples come back as lists."""
    if isinstance(value, list):
        return [thaw(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((key, item),) = value.items()
        if key == "$decimal":
            return Decimal(item)
        if key == "$date":
            return date.fromisoformat(item)
    return {key[1:] if key.startswith("$$") else key: thaw(item) for key, item in value.items()}


def _escaped(key: str) -> str:
    return "$" + key if key.startswith("$") else key
