from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connector.crm.bitrix24.directory import Directory, read_directory
from connector.crm.bitrix24.wire import Wire, address, company, contact, product_row, requisites, with_bank
from connector.crm.wild import Malformed, Wild
from connector.domain import LossReason, Outcome, Requisites


def status(
    entity: str, code: str, name: str, semantics: str | None = None, extra: str = "", sort: int = 10
) -> Any:
    return {
        "ENTITY_ID": entity,
        "STATUS_ID": code,
        "NAME": name,
        "SORT": str(sort),
        "SEMANTICS": semantics,
        "EXTRA": {"SEMANTICS": extra} if extra else [],
    }


STATUSES = [
    status("DEAL_STAGE", "LOSE", "Сделка провалена", "F", "failure", 70),
    status("DEAL_STAGE", "UC_PRICE", "Не устроила цена", "F", "apology", 5),
    status("DEAL_STAGE", "NEW", "Новая", None, "process", 10),
    status("DEAL_STAGE", "WON", "Успех", "S", "success", 60),
    status("DEAL_STAGE_3", "C3:NEW", "Опт", "", "process", 10),
    status("SOURCE", "WEB", "Веб-сайт"),
    status("STATUS", "JUNK", "Мусор", "F", "apology"),
]
CATEGORIES = {
    "categories": [
        {"id": 3, "name": "Опт", "isDefault": "N"},
        {"id": 0, "name": "Общая", "isDefault": "Y"},
    ]
}


def uf(code: str, title: str, kind: str, **more: Any) -> dict[str, Any]:
    return {code: {"upperName": code, "title": title, "type": kind, **more}}


def directory(*fields: dict[str, Any]) -> Directory:
    described: dict[str, Any] = {"title": {"upperName": "TITLE", "title": "Название", "type": "string"}}
    for one in fields:
        described.update(one)
    return read_directory(Wild(CATEGORIES), Wild(STATUSES), Wild({"fields": described}))


def wire(*fields: dict[str, Any]) -> Wire:
    return Wire("main", directory(*fields), ZoneInfo("Europe/Moscow"))


def item(**more: Any) -> Wild:
    return Wild(
        {
            "id": 1042,
            "title": "Кресла",
            "categoryId": 0,
            "stageId": "NEW",
            "stageSemanticId": "P",
            "opportunity": Decimal("180000.5"),
            "currencyId": "RUB",
            "assignedById": 6,
            "createdTime": "2025-11-24T19:00:00+03:00",
            "updatedTime": "2025-11-24T19:05:00+03:00",
            "movedTime": "2025-11-24T19:04:00+03:00",
            "closedate": "2025-12-24T03:00:00+03:00",
            "contactId": 5,
            "contactIds": [4, 5],
            "companyId": 0,
            "updatedBy": 6,
            **more,
        },
        "item",
    )


def test_a_deal_is_read() -> None:
    deal = wire().deal(item(sourceId="WEB", utmSource="yandex"))
    assert deal.outcome is Outcome.OPEN
    assert deal.amount == Decimal("180000.5")
    assert deal.created_at == datetime(2025, 11, 24, 16, 0, tzinfo=UTC)
    assert deal.closed_at is None
    assert deal.contact_ids == ("5", "4")
    assert deal.company_id is None
    assert (deal.channel, deal.utm_source) == ("Веб-сайт", "yandex")


def test_an_unknown_source_keeps_its_code() -> None:
    assert wire().deal(item(sourceId="UC_9")).channel == "UC_9"


def test_an_empty_amount_and_name_are_no_surprise() -> None:
    deal = wire().deal(item(opportunity=0, title="", assignedById=None))
    assert (deal.amount, deal.name, deal.responsible_id) == (None, "Сделка #1042", None)


def test_a_deal_is_closed_when_it_moved_to_its_final_stage() -> None:
    won = item(stageId="WON", stageSemanticId="S")
    assert wire().deal(won).closed_at == datetime(2025, 11, 24, 16, 4, tzinfo=UTC)


def test_an_imported_deal_was_closed_on_the_day_that_its_card_shows() -> None:
    won = item(stageId="WON", stageSemanticId="S", movedTime=None)
    assert wire().deal(won).closed_at == datetime(2025, 12, 24, tzinfo=ZoneInfo("Europe/Moscow"))


def test_pipelines_are_told_by_semantics_and_the_default_one_is_first() -> None:
    main, wholesale = directory().pipelines
    assert (main.id, main.is_main, wholesale.id) == ("0", True, "3")
    assert [(stage.id, stage.outcome) for stage in main.stages] == [
        ("NEW", Outcome.OPEN),
        ("UC_PRICE", Outcome.LOST),
        ("WON", Outcome.WON),
        ("LOSE", Outcome.LOST),
    ]
    assert [stage.id for stage in wholesale.stages] == ["C3:NEW"]


def test_a_lost_stage_that_says_more_than_lost_is_the_reason() -> None:
    assert directory().loss_reasons() == [LossReason("UC_PRICE", "Не устроила цена")]
    assert wire().deal(item(stageId="UC_PRICE", stageSemanticId="F")).loss_reason_id == "UC_PRICE"
    assert wire().deal(item(stageId="LOSE", stageSemanticId="F")).loss_reason_id is None


LIST = uf(
    "UF_CRM_1",
    "Причина отказа",
    "enumeration",
    items=[{"ID": "77", "VALUE": "Дорого"}, {"ID": "78", "VALUE": "Конкурент"}],
)


@pytest.mark.parametrize(
    ("value", "reason"), [(77, "77"), ("78", "78"), ([78], "78"), (0, None), (None, None)]
)
def test_a_field_with_the_reason_wins_over_the_stage(value: object, reason: str | None) -> None:
    assert directory(LIST).loss_reasons() == [LossReason("77", "Дорого"), LossReason("78", "Конкурент")]
    lost = item(stageId="UC_PRICE", stageSemanticId="F", UF_CRM_1=value)
    assert wire(LIST).deal(lost).loss_reason_id == reason


def test_a_free_text_reason_is_its_own_id() -> None:
    lost = item(stageId="LOSE", stageSemanticId="F", UF_CRM_1="Передумали")
    assert wire(uf("UF_CRM_1", "Причина отказа", "string")).deal(lost).loss_reason_id == "Передумали"


def test_a_deal_that_is_not_lost_has_no_reason() -> None:
    assert wire(LIST).deal(item(UF_CRM_1=77)).loss_reason_id is None


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("string", "  строка ", "строка"),
        ("double", Decimal("1.5"), "1.5"),
        ("boolean", "Y", "да"),
        ("boolean", False, "нет"),
        ("boolean", "", None),
        ("date", "2025-12-24T03:00:00+03:00", "2025-12-24"),
        ("datetime", "2025-12-24T03:00:00+03:00", "2025-12-24T03:00:00+03:00"),
        ("money", "300.50|RUB", "300.50"),
        ("address", "г. Москва, Тверская, 1|55;37|9", "г. Москва, Тверская, 1"),
        ("enumeration", 5, "Гостиницы"),
        ("enumeration", ["5", "6"], "Гостиницы, Кафе"),
        ("enumeration", 0, None),
        ("file", {"id": 1, "url": "https://x.test"}, None),
        ("file", [{"id": 1, "url": "https://x.test"}], None),
        ("string", [], None),
        ("string", None, None),
    ],
)
def test_custom_fields_become_texts_by_their_visible_name(kind: str, value: Any, text: str | None) -> None:
    choices = [{"ID": "5", "VALUE": "Гостиницы"}, {"ID": "6", "VALUE": "Кафе"}]
    deal = wire(uf("UF_CRM_2", "Поле", kind, items=choices)).deal(item(UF_CRM_2=value))
    assert deal.fields == ({} if text is None else {"Поле": text})


def test_phones_come_from_the_multifield_else_from_the_single_one() -> None:
    fm = [
        {"id": 1, "typeId": "PHONE", "valueType": "WORK", "value": "+7 999 000-00-01"},
        {"id": 2, "typeId": "EMAIL", "valueType": "WORK", "value": "a@romashka.example"},
        {"id": 3, "typeId": "PHONE", "valueType": "HOME", "value": "+7 999 000-00-02"},
    ]
    found = contact(Wild({"id": 4, "name": "Ольга", "lastName": "Светлова", "fm": fm}), {})
    assert found.phones == ("+7 999 000-00-01", "+7 999 000-00-02")
    assert found.emails == ("a@romashka.example",)
    assert found.name == "Ольга Светлова"
    assert contact(Wild({"id": 4, "name": "О", "phone": "+7", "fm": []}), {}).phones == ("+7",)


def test_requisites_are_put_together_from_three_lists() -> None:
    row = Wild(
        {
            "ID": "31",
            "RQ_COMPANY_NAME": "ООО «Ромашка»",
            "RQ_INN": "7700000000",
            "RQ_KPP": None,
            "RQ_OGRN": "1027700000000",
            "RQ_DIRECTOR": "Светлова О. П.",
            "RQ_BASE_DOC": "Устава",
        }
    )
    details = with_bank(requisites(row), Wild({"RQ_BIK": "044525000", "RQ_ACC_NUM": "40702810000000000001"}))
    assert (details.full_name, details.inn, details.kpp) == ("ООО «Ромашка»", "7700000000", "")
    assert (details.bik, details.account, details.bank_name) == ("044525000", "40702810000000000001", "")
    kpp = uf("UF_CRM_5", "КПП", "string")
    fields = directory(kpp).fields
    found = company(Wild({"id": 8, "title": "Ромашка", "UF_CRM_5": "770001001"}), fields, details)
    assert found.requisites.kpp == "770001001"


def test_a_sole_trader_is_named_by_the_person() -> None:
    row = Wild({"RQ_LAST_NAME": "Светлова", "RQ_FIRST_NAME": "Ольга", "RQ_OGRNIP": "304770000000000"})
    assert requisites(row) == Requisites(full_name="Светлова Ольга", ogrn="304770000000000")


def test_the_legal_address_wins_over_the_physical_one() -> None:
    rows = [
        {"TYPE_ID": "1", "ADDRESS_1": "ул. Фактическая, 1"},
        {"TYPE_ID": "6", "POSTAL_CODE": "101000", "CITY": "Москва", "ADDRESS_1": "ул. Тверская, 1"},
    ]
    assert address(Wild(rows)) == "101000, Москва, ул. Тверская, 1"
    assert address(Wild(rows[:1])) == "ул. Фактическая, 1"
    assert address(Wild([])) == ""


@pytest.mark.parametrize(("rate", "expected"), [(22, Decimal(22)), (0, Decimal(0)), (None, None)])
def test_a_row_without_a_tax_rate_leaves_it_to_the_seller(rate: int | None, expected: Decimal | None) -> None:
    row = product_row(Wild({"productName": "Кофе", "price": 90, "taxRate": rate}))
    assert (row.vat_rate, row.unit, row.quantity) == (expected, "шт.", Decimal(1))
    assert (row.is_vat_free, row.net_price, row.discount) == (False, None, 0)


@pytest.mark.parametrize(
    ("prices", "discount", "net_price", "net_discount"),
    [
        # The reference's own row: 10 % off 100 000, VAT of 10 % within.
        (
            {"price": 90000, "priceExclusive": 81818.18, "priceNetto": 90909.09, "priceBrutto": 100000}
            | {"discountSum": 9090.91, "taxRate": 10, "taxIncluded": "Y"},
            "10000",
            None,
            "0",
        ),
        (
            {"price": 109.8, "priceExclusive": 90, "priceNetto": 100, "priceBrutto": 122, "discountSum": 10}
            | {"taxRate": 22, "taxIncluded": "N"},
            "12.20",
            "90",
            "10",
        ),
        ({"price": 90, "discountSum": 10, "taxRate": 22, "taxIncluded": "Y"}, "12.20", None, "0"),
        ({"price": 90, "priceExclusive": 90, "taxRate": None, "taxIncluded": "N"}, "0", None, "0"),
        ({"price": 90, "priceExclusive": 90, "taxRate": 0, "taxIncluded": "N"}, "0", None, "0"),
        # A markup.
        ({"price": 110, "priceBrutto": 100, "discountSum": -10, "taxRate": 0}, "0", None, "0"),
    ],
)
def test_prices_of_a_row_with_and_without_vat(
    prices: dict[str, Any], discount: str, net_price: str | None, net_discount: str
) -> None:
    row = product_row(Wild(json.loads(json.dumps({"productName": "Кофе", **prices}), parse_float=Decimal)))
    assert row.discount == Decimal(discount)
    assert row.net_price == (None if net_price is None else Decimal(net_price))
    assert row.net_discount == Decimal(net_discount)


def test_a_row_without_a_price_is_read_and_left_to_the_document() -> None:
    assert product_row(Wild({"productName": "Кофе", "price": None})).price.is_nan()


def test_an_answer_of_another_shape_names_the_place() -> None:
    with pytest.raises(Malformed) as caught:
        wire().deal(item(createdTime="вчера"))
    assert caught.value.path == "item['createdTime']"
