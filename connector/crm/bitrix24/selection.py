"""Which fields of a deal long lists ask for: those that are read and no others, which is half of the bytes.

Must not know how a list is walked. The documentation promises the fields that are named; whether the list of
a deal's contacts can be named, it does not say. So each row is looked at, and one that lacks something is an
`Incomplete` answer: whoever walks the list asks for whole deals from there on.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from connector.crm.bitrix24.directory import Directory
from connector.crm.bitrix24.wire import DEAL_FIELDS
from connector.crm.wild import Wild

#: All fields of an item.
WHOLE: Sequence[str] = ("*",)


class Incomplete(Exception):
    """The portal left out fields that it was asked for by name."""


def deal_fields(directory: Directory) -> list[str]:
    """The names of all that is read of a deal."""
    return [*DEAL_FIELDS, *directory.fields]


def check(item: Wild, names: Set[str]) -> None:
    """Raise Incomplete unless the item, a deal, has all these fields.

    A deal that has contacts has a main one, and that one is among them.
    """
    value = item.value
    if not isinstance(value, dict) or not value.keys() >= names:
        raise Incomplete
    main = item.id_at("contactId")
    if main is not None and main not in {one.id() for one in item["contactIds"].each()}:
        raise Incomplete
