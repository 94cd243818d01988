from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connector.crm.amocrm.wire import Wire, elements, pipeline, product_row, user
from connector.crm.wild import Malformed, Wild
from connector.domain import Outcome, ProductRow, Requisites

WIRE = Wire("main", "RUB", ZoneInfo("Europe/Moscow"))


def lead(**more: Any) -> Wild:
    return Wild(
        {
            "id": 50110021,
            "name": "Кресла",
            "price": 180000,
            "responsible_user_id": 9310001,
            "status_id": 61200010,
            "pipeline_id": 7710402,
            "created_at": 1764000000,
            "updated_at": 1764000300,
            "closed_at": None,
            "custom_fields_values": None,
            "_embedded": {"tags": [], "companies": [], "contacts": []},
            **more,
        }
    )


def field(name: str, kind: str, *values: Any, code: str | None = None, field_id: int = 1) -> dict[str, Any]:
    wrapped = [
        value if isinstance(value, dict) and "value" in value else {"value": value} for value in values
    ]
    return {
        "field_id": field_id,
        "field_name": name,
        "field_code": code,
        "field_type": kind,
        "values": wrapped,
    }


def test_a_fresh_enquiry_without_name_person_and_budget_is_read() -> None:
    deal = WIRE.deal(lead(name="", price=0, responsible_user_id=0, updated_by=0))
    assert deal.name == "Сделка #50110021"
    assert (deal.amount, deal.responsible_id, deal.changed_by) == (None, None, None)
    assert (deal.contact_ids, deal.company_id, deal.loss_reason_id, deal.channel) == ((), None, None, None)


@pytest.mark.parametrize(
    ("status_id", "outcome"), [(142, Outcome.WON), (143, Outcome.LOST), (144, Outcome.OPEN)]
)
def test_the_outcome_is_the_systems_two_stages(status_id: int, outcome: Outcome) -> None:
    assert WIRE.deal(lead(status_id=status_id)).outcome is outcome


def test_kopecks_win_over_the_whole_number_where_the_account_has_them() -> None:
    exact = WIRE.deal(lead(price=10, price_with_minor_units=Decimal("10.55")))
    assert (exact.amount, exact.is_amount_whole) == (Decimal("10.55"), False)
    assert WIRE.deal(lead(price=10)).is_amount_whole


def test_the_main_contact_comes_first() -> None:
    embedded = {
        "contacts": [{"id": 1, "is_main": False}, {"id": 2, "is_main": True}],
        "companies": [{"id": 9}],
    }
    deal = WIRE.deal(lead(_embedded=embedded))
    assert deal.contact_ids == ("2", "1")
    assert deal.company_id == "9"


def test_a_source_is_known_by_name_else_by_number() -> None:
    assert WIRE.deal(lead(_embedded={"source": {"id": 7, "name": "Сайт"}})).channel == "Сайт"
    assert WIRE.deal(lead(source_id=7)).channel == "7"


def test_utm_marks_are_found_by_code_or_by_name() -> None:
    custom = [
        field("Метка", "tracking_data", "yandex", code="UTM_SOURCE"),
        field("utm_medium", "text", "cpc"),
    ]
    deal = WIRE.deal(lead(custom_fields_values=custom))
    assert (deal.utm_source, deal.utm_medium, deal.utm_campaign) == ("yandex", "cpc", "")


@pytest.mark.parametrize(
    ("kind", "values", "text"),
    [
        ("text", ["  строка "], "строка"),
        ("numeric", ["1.5"], "1.5"),
        ("checkbox", [True], "да"),
        ("checkbox", [False], "нет"),
        ("date", [1764018000], "2025-11-25"),
        ("date_time", [1764000300], "2025-11-24T19:05:00+03:00"),
        ("birthday", [-86400], "1969-12-31"),
        ("date", ["25.11.2025"], "25.11.2025"),
        ("select", [{"value": "Гостиницы", "enum_id": 1}], "Гостиницы"),
        ("multiselect", [{"value": "A", "enum_id": 1}, {"value": "Б", "enum_id": 2}], "A, Б"),
        ("linked_entity", [{"value": {"name": "Договор 5", "entity_id": 1}}], "Договор 5"),
        ("file", [{"value": {"file_uuid": "u", "file_name": "смета.pdf"}}], "смета.pdf"),
    ],
)
def test_custom_fields_become_texts_by_their_visible_name(kind: str, values: list[Any], text: str) -> None:
    assert WIRE.deal(lead(custom_fields_values=[field("Поле", kind, *values)])).fields == {"Поле": text}


def test_of_two_fields_with_one_name_the_first_filled_is_taken() -> None:
    custom = [field("Поле", "text", ""), field("Поле", "text", "а"), field("Поле", "text", "б")]
    assert WIRE.deal(lead(custom_fields_values=custom)).fields == {"Поле": "а"}


def test_requisites_stand_in_the_legal_entity_field_and_its_gaps_in_others() -> None:
    entity = {
        "name": "ООО «Ромашка»",
        "vat_id": "7700000000",
        "kpp": "770001001",
        "tax_registration_reason_code": "1027700000000",
        "address": "г. Москва",
        "bank_code": "044525000",
        "bank_account_number": "40702810000000000001",
        "director": "Светлова О. П.",
    }
    custom = [
        field("Реквизиты", "legal_entity", {"value": entity}),
        field("Банк", "text", "Учебный банк"),
        field("КПП", "text", "999999999"),
        field("Телефон", "multitext", {"value": "+7 999 000-00-01", "enum_code": "WORK"}, code="PHONE"),
        field("Email", "multitext", {"value": "info@romashka.example"}, code="EMAIL"),
    ]
    company = WIRE.company(Wild({"id": 5, "name": "Ромашка", "custom_fields_values": custom}))
    assert company.requisites == Requisites(
        full_name="ООО «Ромашка»",
        inn="7700000000",
        kpp="770001001",
        ogrn="1027700000000",
        address="г. Москва",
        bank_name="Учебный банк",
        bik="044525000",
        account="40702810000000000001",
        director_name="Светлова О. П.",
    )
    assert company.phones == ("+7 999 000-00-01",)
    assert company.emails == ("info@romashka.example",)


def test_a_linked_element_becomes_a_row_when_it_has_a_price() -> None:
    linked = lead(
        _embedded={"catalog_elements": [{"id": 3, "metadata": {"quantity": Decimal("2.5"), "catalog_id": 8}}]}
    )
    element = elements(linked)[0]
    custom = [
        field("Цена", "price", "1200.50", code="PRICE"),
        field("Ставка НДС", "select", "22 %"),
        field("Ед. изм.", "select", "упак."),
    ]
    item = {"id": 3, "name": "Кофе", "custom_fields_values": custom}
    assert product_row(element, Wild(item)) == ProductRow(
        "Кофе", Decimal("2.5"), Decimal("1200.50"), "упак.", vat_rate=Decimal(22)
    )
    assert product_row(element, Wild({"id": 3, "name": "Счёт 7", "custom_fields_values": None})) is None


def test_a_product_without_a_price_is_not_left_out() -> None:
    linked = lead(_embedded={"catalog_elements": [{"id": 3, "metadata": {"quantity": 1, "catalog_id": 8}}]})
    custom = [field("Артикул", "text", "K-7", code="SKU"), field("Скидка", "text", "10 %")]
    row = product_row(elements(linked)[0], Wild({"id": 3, "name": "Кофе", "custom_fields_values": custom}))
    assert row is not None
    assert row.price.is_nan()
    assert row.discount == 0


def test_the_price_that_the_deal_chose_wins() -> None:
    linked = lead(
        _embedded={
            "catalog_elements": [{"id": 3, "metadata": {"quantity": 1, "catalog_id": 8, "price_id": 12}}]
        }
    )
    custom = [
        field("Цена", "price", "100", code="PRICE", field_id=11),
        field("Цена опт", "price", "80", field_id=12),
    ]
    row = product_row(elements(linked)[0], Wild({"id": 3, "name": "Кофе", "custom_fields_values": custom}))
    assert row is not None
    assert row.price == 80


@pytest.mark.parametrize(
    ("said", "rate", "is_free"),
    [
        ("Без НДС", None, True),
        ("НДС не облагается", None, True),
        ("0%", Decimal(0), False),
        ("10", Decimal(10), False),
        ("НДС 22%", Decimal(22), False),
        ("?", None, False),
    ],
)
def test_a_vat_rate_is_understood_in_words_and_numbers(
    said: str, rate: Decimal | None, is_free: bool
) -> None:
    custom = [field("Цена", "price", "1", code="PRICE"), field("НДС", "select", said)]
    element = elements(
        lead(_embedded={"catalog_elements": [{"id": 3, "metadata": {"quantity": 1, "catalog_id": 8}}]})
    )[0]
    row = product_row(element, Wild({"id": 3, "name": "Кофе", "custom_fields_values": custom}))
    assert row is not None
    assert (row.vat_rate, row.is_vat_free) == (rate, is_free)


@pytest.mark.parametrize(
    ("name", "said", "price", "discount"),
    [
        ("Скидка", "10 %", "1080.45", "120.05"),
        ("Скидка, %", "33", "804.33", "396.17"),
        ("Скидка", "200,50", "1000", "200.50"),
        ("Скидка", "1200.50", "1200.50", "0"),  # nothing would be left
        ("Скидка", "нет", "1200.50", "0"),
        ("Скидка действует до", "2026", "1200.50", "0"),
        ("Скидка", "до 500", "1200.50", "0"),
        ("Скидка (в процентах)", "10", "1080.45", "120.05"),
    ],
)
def test_a_field_of_the_list_takes_a_discount_off_the_price(
    name: str, said: str, price: str, discount: str
) -> None:
    custom = [field("Цена", "price", "1200.50", code="PRICE"), field(name, "text", said)]
    linked = lead(_embedded={"catalog_elements": [{"id": 3, "metadata": {"quantity": 1, "catalog_id": 8}}]})
    row = product_row(elements(linked)[0], Wild({"id": 3, "name": "Кофе", "custom_fields_values": custom}))
    assert row is not None
    assert (row.price, row.discount) == (Decimal(price), Decimal(discount))


def test_a_user_without_rights_in_the_answer_counts_as_active() -> None:
    assert user(Wild({"id": 1, "name": "Анна"})).is_active


def test_an_answer_of_another_shape_names_the_place() -> None:
    with pytest.raises(Malformed) as caught:
        pipeline(Wild({"id": 1, "name": "Продажи", "_embedded": {"statuses": [{"id": 2}]}}, "answer"))
    assert caught.value.path == "answer['_embedded']['statuses'][0]['name']"


def test_times_are_utc() -> None:
    assert WIRE.deal(lead()).created_at == datetime(2025, 11, 24, 16, 0, tzinfo=UTC)
