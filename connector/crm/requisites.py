"""Requisites kept in ordinary custom fields: which visible field name means which line.

Companies without the CRM's own requisites write ИНН, БИК and the like into fields of the card. Shared by the
wire modules; must not know any CRM.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, replace

from connector.domain import Requisites

#: Line of `Requisites` -> names of fields that people give it, as `_plain` writes them.
_NAMES: dict[str, tuple[str, ...]] = {
    "full_name": (
        "полное наименование",
        "полное название",
        "полное наименование организации",
        "юридическое название",
        "юридическое наименование",
        "юр название",
        "юридическое лицо",
        "юрлицо",
    ),
    "inn": ("инн",),
    "kpp": ("кпп",),
    "ogrn": ("огрн", "огрнип", "огрн огрнип"),
    "address": ("юридический адрес", "юр адрес", "адрес регистрации"),
    "bank_name": ("банк", "название банка", "наименование банка"),
    "bik": ("бик", "бик банка"),
    "account": ("расчетный счет", "р с", "рс", "р счет", "расчетный счет р с"),
    "corr_account": (
        "корр счет",
        "корсчет",
        "к с",
        "кс",
        "корреспондентский счет",
        "корр счет банка",
    ),
    "director_name": (
        "директор",
        "генеральный директор",
        "руководитель",
        "фио директора",
        "фио руководителя",
        "подписант",
    ),
    "director_post": ("должность директора", "должность руководителя", "должность подписанта"),
    "basis": ("действует на основании", "на основании", "основание полномочий", "основание подписи"),
}

_LINE_BY_NAME = {name: line for line, names in _NAMES.items() for name in names}


def from_fields(fields: Mapping[str, str]) -> Requisites:
    """The requisites that stand in custom fields, by the names people see; empty lines where none does."""
    found: dict[str, str] = {}
    for name, value in fields.items():
        line = _LINE_BY_NAME.get(_plain(name))
        if line is not None and value.strip():
            found.setdefault(line, value.strip())
    return Requisites(**found)


def merged(first: Requisites, *others: Requisites) -> Requisites:
    """`first` with its empty lines filled from the others, in their order."""
    result = first
    for other in others:
        missing = {
            line: value for line, value in asdict(other).items() if value and not getattr(result, line)
        }
        result = replace(result, **missing)
    return result


def _plain(name: str) -> str:
    """A field's name without case, dots, colons and ё."""
    words = re.findall(r"[a-zа-я0-9]+", name.lower().replace("ё", "е"))
    return " ".join(words)
