"""Values of custom fields on the wire: `custom_fields_values` of API v4 and `custom_fields` of the webhooks.

Knows fields, not entities. Source: reference 4.5 (both directions) and 6.4 (webhooks).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from connector.sandbox.amocrm.fields import ENUM_TYPES, STRUCTURED_TYPES, Field, FieldBook
from connector.sandbox.amocrm.wire import MAX_UNIX, Violation, missing, not_a_choice, wrong_type

_DATES = frozenset({"date", "birthday", "date_time"})
_ADDRESS_PARTS = ("address_line_1", "address_line_2", "city", "state", "zip", "country")


class ValueCodec:
    """Translates values; `timezone` is the account's, for dates snap to its midnight (reference 8.7)."""

    def __init__(self, book: FieldBook, timezone: str) -> None:
        self._book = book
        self._zone = ZoneInfo(timezone)

    def read(self, entity: str, row: Any) -> list[dict[str, Any]] | None:
        """`custom_fields_values` of a model: filled fields only, null when there is none."""
        models = []
        for found in self._book.of(entity, row):
            values = found.get(row)
            if values:
                models.append(
                    {
                        "field_id": found.id,
                        "field_name": found.name,
                        "field_code": found.code,
                        "field_type": found.type,
                        "values": [self._model(found, value) for value in values],
                    }
                )
        return models or None

    def read_for_hook(self, entity: str, row: Any) -> list[dict[str, Any]]:
        """`custom_fields` of a webhook: v2 names, `code` last, dates as bare scalars."""
        models = []
        for found in self._book.of(entity, row):
            values = found.get(row)
            if values:
                model = {
                    "id": found.id,
                    "name": found.name,
                    "values": [self._hook_value(found, value) for value in values],
                    "code": found.code,
                }
                models.append(model)
        return models

    def event_values(self, found: Field, row: Any) -> list[dict[str, Any]]:
        """The values as an event's value_after or value_before lists them."""
        shown = []
        for value in found.get(row):
            model = self._model(found, value)
            text = model.get("value")
            shown.append(
                {
                    "custom_field_value": {
                        "field_id": found.id,
                        "field_type": EVENT_TYPES.get(found.type, 1),
                        "enum_id": model.get("enum_id"),
                        "text": str(text) if not isinstance(text, dict) else str(text.get("name", "")),
                    }
                }
            )
        return shown

    def check(self, entity: str, items: Any, path: str = "custom_fields_values") -> list[Violation]:
        """What is wrong with a written `custom_fields_values`; null is allowed."""
        if items is None:
            return []
        if not isinstance(items, list):
            return [wrong_type(path, "array")]
        found: list[Violation] = []
        for index, item in enumerate(items):
            found.extend(self._check_item(entity, item, f"{path}.{index}"))
        return found

    def _check_item(self, entity: str, item: Any, place: str) -> Iterable[Violation]:
        if not isinstance(item, dict):
            return [wrong_type(place, "array")]
        field = self._book.find(entity, item)
        if field is None:
            key = "field_code" if item.get("field_id") is None and "field_code" in item else "field_id"
            return [not_a_choice(f"{place}.{key}")]
        values = item.get("values", ...)
        if values is ...:
            return [missing(f"{place}.values")]
        if values is None:
            return []
        if not isinstance(values, list):
            return [wrong_type(f"{place}.values", "array")]
        return [
            violation
            for index, value in enumerate(values)
            for violation in self._check_value(field, value, f"{place}.values.{index}")
        ]

    def _check_value(self, field: Field, value: Any, place: str) -> list[Violation]:
        if not isinstance(value, dict):
            return [wrong_type(place, "array")]
        if field.type in ENUM_TYPES and field.type != "multitext":
            return [] if self._choice(field, value) is not None else [not_a_choice(f"{place}.value")]
        if field.type == "multitext":
            named = any(value.get(key) is not None for key in ("enum_id", "enum_code"))
            if named and self._choice(field, value) is None:
                return [not_a_choice(f"{place}.enum_code")]
        if field.type == "chained_list":
            return []
        if "value" not in value:
            return [missing(f"{place}.value")]
        inner = value["value"]
        if field.type in STRUCTURED_TYPES:
            return [] if isinstance(inner, dict) else [wrong_type(f"{place}.value", "array")]
        if field.type in _DATES:
            return [] if self._moment(inner) is not None else [wrong_type(f"{place}.value", "int")]
        if field.type in ("numeric", "price", "monetary") and not _is_number(inner):
            return [wrong_type(f"{place}.value", "numeric")]
        if isinstance(inner, (dict, list)):
            return [wrong_type(f"{place}.value", "string")]
        return []

    def changes(self, entity: str, row: Any, items: Any) -> dict[str, Any]:
        """Portal attributes after writing checked `items` into `row` (None: a new one).

        A field that is named is replaced whole, `values: null` clears it, others stay (reference 4.0).
        """
        changes: dict[str, Any] = {}
        if row is None:
            row = SimpleNamespace(id=0, fields={}, utm={}, requisites=None)
        for item in items or ():
            field = self._book.find(entity, item)
            if field is None:
                continue
            written = [self._stored(field, value) for value in item.get("values") or ()]
            changes.update(field.set(_Overlay(row, changes), [value for value in written if value != ""]))
        return changes

    def _stored(self, field: Field, value: Mapping[str, Any]) -> Any:
        if field.type == "multitext":
            text = str(value["value"])
            kind = self._choice(field, value)
            if kind is not None and field.code:
                self._book.multitext_kinds[field.code, text] = kind.value
            return text
        if field.type in ENUM_TYPES:
            chosen = self._choice(field, value)
            return chosen.value if chosen else ""
        if field.type == "chained_list":
            return {key: value.get(key) for key in ("catalog_id", "catalog_element_id")}
        if field.type == "smart_address":
            return {"value": str(value["value"]), "part": _address_part(value)}
        inner = value["value"]
        if field.type in _DATES:
            moment = self._moment(inner)
            return self._midnight(moment) if field.type != "date_time" and moment else moment
        if field.type == "checkbox":
            return inner in (True, 1, "1", "true", "Y")
        if field.type in STRUCTURED_TYPES:
            return dict(inner)
        return "" if inner is None else str(inner)

    def _choice(self, field: Field, value: Mapping[str, Any]) -> Any:
        if value.get("enum_id") is not None:
            return field.enum_by_id(value["enum_id"])
        if value.get("enum_code") is not None:
            return field.enum_by_code(value["enum_code"])
        return field.enum_by_value(value.get("value"))

    def _model(self, field: Field, value: Any) -> dict[str, Any]:
        if field.type in ENUM_TYPES:
            text = str(value)
            if field.type == "multitext":
                kind = self._book.multitext_kinds.get((field.code or "", text), "WORK")
                enum = field.enum_by_value(kind)
            else:
                enum = field.enum_by_value(text)
            return {
                "value": text,
                "enum_id": enum.id if enum else None,
                "enum_code": enum.code if enum else None,
            }
        if field.type == "smart_address" and isinstance(value, dict):
            part = value["part"]
            return {"value": value["value"], "enum_id": part, "enum_code": _ADDRESS_PARTS[part - 1]}
        if field.type == "chained_list":
            return dict(value)
        return {"value": self._scalar(field, value)}

    def _scalar(self, field: Field, value: Any) -> Any:
        if isinstance(value, datetime):
            return int(value.timestamp())
        if isinstance(value, date):
            return int(datetime.combine(value, time(), self._zone).timestamp())
        if field.type == "checkbox":
            return bool(value)
        return value if isinstance(value, dict) else str(value)

    def _hook_value(self, field: Field, value: Any) -> Any:
        model = self._model(field, value)
        if field.type in ("date", "date_time"):
            return model["value"]
        if field.type == "birthday" and isinstance(value, datetime):
            return {"value": value.astimezone(self._zone).strftime("%d.%m.%Y")}
        if field.type in ENUM_TYPES:
            return {"value": model["value"], "enum": model["enum_id"]}
        if field.type == "smart_address":
            return {"value": model["value"], "subtype": model["enum_code"]}
        return model

    def _moment(self, value: Any) -> datetime | None:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 12:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC) if 0 <= value <= MAX_UNIX else None
        try:
            moment = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=self._zone)).astimezone(UTC)

    def _midnight(self, moment: datetime) -> datetime:
        local = moment.astimezone(self._zone)
        return datetime.combine(local.date(), time(), self._zone).astimezone(UTC)


class _Overlay:
    """The entity as it will be after the changes collected so far; several fields share an attribute."""

    def __init__(self, row: Any, changes: Mapping[str, Any]) -> None:
        self._row = row
        self._changes = changes

    def __getattr__(self, name: str) -> Any:
        return self._changes[name] if name in self._changes else getattr(self._row, name)


#: Numbers of field types inside events; from old api/v2 tables (recall).
EVENT_TYPES = {
    "text": 1,
    "numeric": 2,
    "checkbox": 3,
    "select": 4,
    "multiselect": 5,
    "date": 6,
    "url": 7,
    "multitext": 8,
    "textarea": 9,
    "radiobutton": 10,
    "streetaddress": 11,
    "smart_address": 13,
    "birthday": 14,
    "legal_entity": 15,
    "items": 16,
    "date_time": 19,
    "tracking_data": 23,
}


def _is_number(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _address_part(value: Mapping[str, Any]) -> int:
    number = value.get("enum_id")
    if isinstance(number, int) and 1 <= number <= len(_ADDRESS_PARTS):
        return number
    code = value.get("enum_code")
    return _ADDRESS_PARTS.index(code) + 1 if code in _ADDRESS_PARTS else 1
