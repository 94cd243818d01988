"""Where in the CRM a person fills in what a template calls by a Russian name; pure.

The list is also what a template may ask for: a name that is not here and not in the context is a slip of
the template's author, never a reason to trouble a manager.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from connector.errors import ConnectorError, HeldError, MissingField, RenderError

#: The key of a context under which wrong data are named: {name: where, with the reason}.
FAULTS = "_ошибки"

_CLIENT = "Сделка → Компания → "
_DETAILS = _CLIENT + "Реквизиты → "
_CONTACT = "Сделка → Контакт → "
PLACES: Mapping[str, str] = {
    "сделка.название": "Сделка → Название",
    "сделка.сумма": "Сделка → Сумма",
    "сделка.отрасль": "Сделка → поле «Отрасль» (или Компания → поле «Отрасль»)",
    "сделка.предоплата": "Сделка → поле «Предоплата»",
    "клиент": "Сделка → Компания (или Контакт)",
    "клиент.название": _CLIENT + "Название",
    "клиент.полное_название": _DETAILS + "Полное название",
    "клиент.инн": _DETAILS + "ИНН",
    "клиент.кпп": _DETAILS + "КПП",
    "клиент.огрн": _DETAILS + "ОГРН (у предпринимателя ОГРНИП)",
    "клиент.адрес": _DETAILS + "Юридический адрес",
    "клиент.банк": _DETAILS + "Банк",
    "клиент.бик": _DETAILS + "БИК",
    "клиент.счёт": _DETAILS + "Расчётный счёт",
    "клиент.корсчёт": _DETAILS + "Корреспондентский счёт",
    "клиент.директор": _DETAILS + "Руководитель (фамилия, имя, отчество)",
    "клиент.должность": _DETAILS + "Должность руководителя",
    "клиент.директор_родительный": _CLIENT + "поле «Руководитель в родительном падеже»",
    "клиент.должность_родительный": _CLIENT + "поле «Должность в родительном падеже»",
    "клиент.подписант": _DETAILS + "Руководитель (фамилия, имя, отчество)",
    "клиент.действующего": _DETAILS + "Руководитель (фамилия, имя, отчество)",
    "клиент.основание": _DETAILS + "Основание полномочий (Устав, доверенность)",
    "клиент.паспорт": _CONTACT + "поле «Паспорт»",
    "клиент.email": _CLIENT + "E-mail",
    "клиент.телефон": _CLIENT + "Телефон",
    "контакт": "Сделка → Контакт",
    "контакт.имя": _CONTACT + "Имя",
    "контакт.обращение": _CONTACT + "Имя",
    "контакт.email": _CONTACT + "E-mail",
    "контакт.телефон": _CONTACT + "Телефон",
    "контакт.должность": _CONTACT + "Должность",
    "товары": "Сделка → Товары",
    "итого": "Сделка → Товары и сумма сделки",
    "менеджер": "Сделка → Ответственный",
    "менеджер.имя": "Сделка → Ответственный",
    "менеджер.email": "Настройки CRM → Сотрудники → E-mail ответственного",
    "кейсы": "templates/materials/index.yml",
    "опции": "templates/documents/products.yml",
    "документ.номер": "присваивается при выпуске документа",
    "оплата.qr": "templates/documents/company.yml → банковские реквизиты",
}
#: How the filter «родительный» names a text that it does not decline with certainty.
GENITIVE = "родительный падеж: "
_OF_SUMS = ("итого", "товары", "оплата")
_SUM_FAULT = re.compile(r"итого|товары|продавец|сделка\.(сумма|скидка|отгрузка)")
_FIELDS = {"сделка": "Сделка", "контакт": "Сделка → Контакт", "клиент": "Сделка → Компания"}


def missing_fields(name: str, context: Mapping[str, Any]) -> list[MissingField]:
    """What a person has to fill in for a missing name, with the reason where a datum is there but wrong.

    An empty list means that no datum can help: the name is a slip of the template.
    """
    faults: Mapping[str, str] = context.get(FAULTS, {})
    section, _, field = name.partition(".")
    if name in faults:
        return [MissingField(name, faults[name])]
    if section in _OF_SUMS and section not in context:
        # The sums exist together or not at all: tell everything that is wrong with them.
        wrong = [MissingField(key, place) for key, place in faults.items() if _SUM_FAULT.match(key)]
        return wrong or _field(name, PLACES.get(section))
    if section not in context and section in faults:
        return [MissingField(section, faults[section])]
    if section in PLACES and section not in context:
        return _field(section, PLACES[section])
    owner, _, own_field = name.partition(".поля.")
    if own_field and owner in _FIELDS:
        return _field(name, f"{_FIELDS[owner]} → поле «{own_field}»")
    if section == "продавец" and field:
        return _field(name, f"templates/documents/company.yml → {field}")
    if section == "документы":
        kind, _, asked = field.partition(".")
        if asked == "ссылка" and kind in context.get(section, {}):
            return _field(name, "ссылку на документ отозвали; выдать новую: connector documents link")
        return _field(name, "документ ещё не выпущен: поставьте его раньше письма в том же правиле")
    if name.startswith(GENITIVE):
        return _field(
            name, f"templates/documents/company.yml → родительный → «{name.removeprefix(GENITIVE)}»"
        )
    return _field(name, PLACES.get(name))


def held(what: str, template: str, names: Iterable[str], context: Mapping[str, Any]) -> ConnectorError:
    """The error for what a render missed: HeldError for data, RenderError for a slip of the template."""
    missing: dict[str, MissingField] = {}
    for name in names:
        fields = missing_fields(name, context)
        if not fields:
            return RenderError(template, _unknown(name, context))
        for field in fields:
            missing.setdefault(field.where, field)
    listed = ", ".join(field.name for field in missing.values())
    return HeldError(f"{what}: не хватает данных ({listed})", tuple(missing.values()), what)


def _field(name: str, place: str | None) -> list[MissingField]:
    return [MissingField(name, place)] if place else []


def _unknown(name: str, context: Mapping[str, Any]) -> str:
    known = {*PLACES, *_paths(context, "")}
    near = difflib.get_close_matches(name, known, 1, 0.6)
    hint = f"; может быть, «{near[0]}»?" if near else ""
    return f"в шаблоне неизвестное имя «{name}»{hint}"


def _paths(value: Any, path: str) -> Iterable[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            inner = f"{path}.{key}" if path else str(key)
            yield inner
            yield from _paths(item, inner)
