"""Where in the CRM a person fills in what a template calls by a Russian name; pure.

The list is also what a template may ask for: a name that is not here and not in the context is a slip of
the template's author, never a reason to trouble a manager.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from connector.errors import HeldError, MissingField, RenderError

#: The key of a context under which wrong data are named: {name: where, with the reason}.
FAULTS = "_ошибки"

_CLIENT = "Сделка → Компания → "
_DETAILS = _CLIENT + "Реквизиты → "
_CONTACT = "Сделка → Контакт → "
PLACES: Mapping[str, str] = {
    "сделка.название": "Сделка → Название",
    "сделка.сумма": "Сделка → Сумма",
    "сделка.отрасль": "Сделка → поле «Отрасль» (или Компания → поле «Отрасль»)",
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
    "документ.номер": "присваивается при выпуске документа",
    "оплата.qr": "templates/documents/company.yml → банковские реквизиты",
}
_FIELDS = {"сделка": "Сделка", "контакт": "Сделка → Контакт", "клиент": "Сделка → Компания"}


def where(name: str, context: Mapping[str, Any]) -> str | None:
    """The place for a missing name, with the reason when the datum is there but wrong; None for a slip."""
    faults = context.get(FAULTS, {})
    if name in faults:
        return str(faults[name])
    if name.startswith("родительный падеж: "):
        text = name.partition(": ")[2]
        return f"templates/documents/company.yml → родительный → «{text}»"
    owner, _, field = name.partition(".поля.")
    if field and owner in _FIELDS:
        return f"{_FIELDS[owner]} → поле «{field}»"
    if name.startswith("продавец."):
        return f"templates/documents/company.yml → {name.partition('.')[2]}"
    section = name.partition(".")[0]
    if section in ("итого", "оплата", "товары") and section not in context:
        return _first_fault(faults) or PLACES.get(section)
    if section == "документы":
        return "документ ещё не выпущен: поставьте его раньше письма в том же правиле"
    if name in PLACES:
        return PLACES[name]
    if section in ("контакт", "клиент", "менеджер") and section not in context:
        return PLACES[section]
    return None


def held(what: str, template: str, names: Iterable[str], context: Mapping[str, Any]) -> Exception:
    """The error for what a render missed: HeldError for data, RenderError for a slip of the template."""
    missing, seen = [], set()
    for name in names:
        place = where(name, context)
        if place is None:
            return RenderError(template, _unknown(name, context))
        if place not in seen:
            seen.add(place)
            missing.append(MissingField(name, place))
    # One wrong sum hides the others: tell all that is known to be wrong with the rows.
    if any(field.name.partition(".")[0] in ("итого", "товары", "оплата") for field in missing):
        for name, place in context.get(FAULTS, {}).items():
            if (
                name.partition(".")[0].partition("[")[0] in ("итого", "товары", "сделка")
                and place not in seen
            ):
                seen.add(place)
                missing.append(MissingField(name, place))
    return HeldError(f"{what}: не хватает данных ({', '.join(field.name for field in missing)})", missing)


def _first_fault(faults: Mapping[str, str]) -> str | None:
    sums = [place for name, place in faults.items() if re.match(r"итого|товары|сделка", name)]
    return sums[0] if sums else None


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
