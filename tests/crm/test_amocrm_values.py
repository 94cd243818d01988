"""Values of custom fields, both ways, without any amoCRM."""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.crm.amocrm.field_values import FieldDefinition, Unwritable, decode, encode, same
from connector.crm.wild import Wild

MOSCOW = ZoneInfo("Europe/Moscow")


def field(kind: str, *options: str) -> FieldDefinition:
    names = {str(100 + number): name for number, name in enumerate(options)}
    return FieldDefinition("1", "Поле", "", kind, names)


def read(values: list[dict[str, Any]] | None) -> tuple[Wild, ...]:
    return tuple(Wild(value, "value") for value in values or ())


def text_of(kind: str, values: list[dict[str, Any]]) -> str:
    return ", ".join(decode(kind, value, MOSCOW) for value in read(values))


@pytest.mark.parametrize("zone", ["Asia/Kamchatka", "Europe/Kaliningrad", "Europe/Moscow", "UTC"])
def test_a_day_is_that_day_whichever_midnight_it_is_kept_as(zone: str) -> None:
    place = ZoneInfo(zone)
    written = encode(field("date"), "2026-03-29", place)
    assert written is not None
    seconds = written[0]["value"]
    # Snapped to the account's midnight, as seen on a live account, or kept as it came.
    for kept in (seconds, seconds - 12 * 3600):
        assert decode("date", Wild({"value": kept}), place) == "2026-03-29"
        assert same(field("date"), read([{"value": kept}]), written, place)
    # Snapped to midnight of UTC.
    assert seconds // 86400 * 86400 == 1774742400


ITEMS = [{"sku": "34", "description": "Кресло", "unit_price": 10, "quantity": 2, "unit_type": "шт."}]
LINKED = {"name": "Товар 1", "entity_id": 527597, "entity_type": "catalog_elements", "catalog_id": 6319}
FILE = {"file_uuid": "3b45", "version_uuid": "13db", "file_name": "wiki.odt", "file_size": 20763}


@pytest.mark.parametrize(
    ("kind", "value", "added", "shown"),
    [
        ("items", ITEMS, {"total_sum": 20.0, "metadata": []}, "Кресло"),
        ("linked_entity", LINKED, {}, "Товар 1"),
        ("file", FILE, {"is_deleted": False}, "wiki.odt"),
        ("legal_entity", {"name": "ООО «Ромашка»", "vat_id": "7707083893"}, {"unp": None}, "ООО «Ромашка»"),
        ("payer", {"name": "Василий", "entity_type": "contacts", "entity_id": 17615543}, {}, "Василий"),
    ],
)
def test_an_object_is_written_as_json_and_what_amocrm_adds_is_no_difference(
    kind: str, value: Any, added: dict[str, Any], shown: str
) -> None:
    written = encode(field(kind), json.dumps(value), MOSCOW)
    assert written is not None
    kept = [{"value": {**one["value"], **added}} for one in written]
    assert text_of(kind, kept) == shown
    assert same(field(kind), read(kept), written, MOSCOW)
    kept[0]["value"][next(iter(kept[0]["value"]))] = "другое"
    assert not same(field(kind), read(kept), written, MOSCOW)


def test_a_value_that_is_not_what_its_type_promises_differs() -> None:
    for kind, text in (
        ("legal_entity", "ООО"),
        ("select", "Опт"),
        ("numeric", "1"),
        ("date_time", "2026-01-01"),
    ):
        written = encode(field(kind, "Опт"), text, MOSCOW)
        assert not same(field(kind), read([{"enum_code": "x"}]), written, MOSCOW)


def test_a_supplier_is_named_by_its_id_and_a_payer_by_its_name() -> None:
    assert encode(field("supplier"), "521717", MOSCOW) == [{"value": {"entity_id": 521717}}]
    assert encode(field("payer"), "Василий", MOSCOW) == [{"value": {"name": "Василий"}}]


def test_a_chained_list_is_written_and_read_by_ids() -> None:
    values = encode(field("chained_list"), "1001:12235, 1007:12243", MOSCOW)
    assert values == [
        {"catalog_id": 1001, "catalog_element_id": 12235},
        {"catalog_id": 1007, "catalog_element_id": 12243},
    ]
    assert text_of("chained_list", values) == "1001:12235, 1007:12243"
    assert same(field("chained_list"), read(values), values, MOSCOW)
    with pytest.raises(Unwritable, match="list id:element id"):
        encode(field("chained_list"), "Мебель", MOSCOW)


def test_phones_are_a_list_and_their_kind_is_no_difference() -> None:
    values = encode(field("multitext"), "+79121234567, +74991234567", MOSCOW)
    assert values is not None
    kept = [{"value": value["value"], "enum_id": 1, "enum": "HOME"} for value in values]
    assert same(field("multitext"), read(kept), values, MOSCOW)
    assert text_of("multitext", kept) == "+79121234567, +74991234567"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("items", "Кресло"),
        ("file", "wiki.odt"),
        ("linked_entity", "{"),
        ("legal_entity", "[1]"),
        ("smart_address", "{}"),
        ("date", "2026-13-01"),
        ("date_time", "32.01.2026 10:00"),
        ("numeric", "NaN"),
        ("numeric", "1e999999"),
        ("select", "Опт"),
        ("какой-то новый", "x"),
    ],
)
def test_what_does_not_fit_says_so(kind: str, text: str) -> None:
    with pytest.raises(Unwritable):
        encode(field(kind), text, MOSCOW)


def test_a_time_that_no_calendar_has_is_shown_as_it_is_kept() -> None:
    assert decode("date", Wild({"value": 10**17}), MOSCOW) == str(10**17)


names = st.text(st.characters(categories=("L", "Nd")), min_size=1, max_size=5)


@given(
    st.lists(st.one_of(names, st.tuples(names, names).map(", ".join)), min_size=1, max_size=6, unique=True)
)
def test_the_text_of_several_options_leads_back_to_options_of_the_same_text(options: list[str]) -> None:
    definition = field("multiselect", *options)
    text = ", ".join(options)
    values = encode(definition, text, MOSCOW)
    assert values is not None
    shown = ", ".join(definition.options[str(value["enum_id"])] for value in values)
    assert set(shown.casefold().split(", ")) == set(text.casefold().split(", "))


@given(
    st.sampled_from(["numeric", "checkbox", "date", "date_time", "smart_address", "legal_entity", "items"]),
    st.text(max_size=30),
)
def test_any_text_is_either_a_value_or_refused(kind: str, text: str) -> None:
    definition = field(kind)
    try:
        values = encode(definition, text, MOSCOW)
    except Unwritable:
        return
    assert values is None or same(definition, read(values), values, MOSCOW)
