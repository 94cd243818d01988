"""Changes to deals of amoCRM and the values of their fields, against the sandbox."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from connector.domain import DealChanges
from connector.errors import CrmError
from tests.contract.desk import Desk
from tests.contract.office import Office, fresh_deal, seen

pytestmark = pytest.mark.parametrize("office", ["amocrm"], indirect=True)


@pytest.fixture
def desk(office: Office) -> Desk:
    return Desk(office)


def update(office: Office, deal_id: int, **changes: Any) -> bool:
    return office.client.update_deal(str(deal_id), DealChanges(**changes))


def test_what_a_parallel_change_wrote_stays(office: Office) -> None:
    deal = fresh_deal(office, tags=["старый"])
    seen(office, deal)
    office.portal.update_deal(deal.id, {"name": "Чай", "tags": ["старый", "чужой"]}, by=2)
    assert update(office, deal.id, amount=Decimal(5000), add_tags=("новый",), remove_tags=("старый",))
    now = office.portal.deals[deal.id]
    assert (now.name, now.amount, sorted(now.tags)) == ("Чай", Decimal(5000), ["новый", "чужой"])


def test_a_deal_that_is_so_already_is_not_written(office: Office) -> None:
    deal = fresh_deal(office, tags=["срочно"], responsible_id=2)
    before = office.portal.revision
    assert not update(
        office,
        deal.id,
        name=deal.name,
        amount=Decimal("999.6"),
        stage_id=deal.stage,
        responsible_id="2",
        add_tags=("срочно",),
        remove_tags=("нет такого",),
    )
    assert office.portal.revision == before


def test_a_reason_is_written_with_the_lost_stage_and_needs_it(office: Office) -> None:
    deal = fresh_deal(office)
    reasons = [str(reason) for reason in office.portal.loss_reasons]
    with pytest.raises(CrmError, match=r"loss_reason_id: .*143") as caught:
        update(office, deal.id, loss_reason_id=reasons[0])
    assert caught.value.kind == "rejected"
    assert update(office, deal.id, stage_id="143", loss_reason_id=reasons[0])
    assert update(office, deal.id, loss_reason_id=reasons[1])
    lost = office.portal.deals[deal.id]
    assert (lost.stage, str(lost.loss_reason_id)) == ("143", reasons[1])


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"amount": Decimal("NaN")}, "amount"),
        ({"amount": Decimal("1E+40")}, "amount"),
        ({"amount": Decimal(-1)}, "amount"),
        ({"responsible_id": "Мария"}, "responsible_id"),
        ({"stage_id": "143", "loss_reason_id": "дорого"}, "loss_reason_id"),
        ({"pipeline_id": "../account"}, "pipeline_id"),
    ],
)
def test_what_amocrm_could_not_mean_is_refused_by_its_path(
    office: Office, changes: dict[str, Any], path: str
) -> None:
    deal = fresh_deal(office)
    with pytest.raises(CrmError) as caught:
        update(office, deal.id, **changes)
    assert caught.value.kind == "rejected"
    assert caught.value.detail.startswith(f"{path}: ")
    assert office.portal.deals[deal.id] == deal


def test_in_an_account_with_kopecks_the_budget_is_exact(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(office.sandbox.amocrm.world.switches, "minor_units", True)
    deal = fresh_deal(office)
    assert update(office, deal.id, amount=Decimal("1000.50"))
    assert office.portal.deals[deal.id].amount == Decimal("1000.5")
    assert not update(office, deal.id, amount=Decimal("1000.499"))


#: amoCRM's type, more of the definition, what people see, the same said otherwise, what cannot be.
WRITTEN = [
    ("text", {}, "ул. Ленина, 5", "  ул. Ленина, 5 ", None),
    ("textarea", {}, "Первая строка\nвторая", None, None),
    ("streetaddress", {}, "г. Москва, Николоямская, 28", None, None),
    ("url", {}, "https://romashka.example/kp?id=1", None, None),
    ("tracking_data", {}, "yandex", None, None),
    ("numeric", {}, "1500.5", "1 500,50", "много"),
    ("monetary", {}, "99", "99.00", "Infinity"),
    ("checkbox", {}, "да", "true", "возможно"),
    ("checkbox", {}, "нет", "0", None),
    ("date", {}, "2026-12-31", "31.12.2026", "31.02.2026"),
    ("birthday", {}, "1988-02-29", "29.02.1988", "вчера"),
    ("date_time", {}, "2026-12-31T18:30:00+03:00", "31.12.2026 18:30", "в среду"),
    ("select", {"enums": ["Опт", "Розница"]}, "Розница", " розница", "Мелкий опт"),
    ("radiobutton", {"enums": ["Да, но позже", "Нет"]}, "Да, но позже", "да,  но позже", "Может быть"),
    ("multiselect", {"enums": ["А", "Б", "Да, но позже"]}, "А, Да, но позже", "А; Да, но позже", "А, Ж"),
    ("smart_address", {}, "Николоямская, 28", '{"address_line_1": "Николоямская, 28"}', '{"улица": "1"}'),
    ("legal_entity", {}, "ООО «Ромашка»", '{"name": "ООО «Ромашка»"}', "[]"),
]


@pytest.mark.parametrize(
    ("kind", "more", "text", "otherwise", "wrong"), WRITTEN, ids=[f"{row[0]}-{row[2][:8]}" for row in WRITTEN]
)
def test_a_value_of_every_type_is_written_read_compared_and_cleared(
    office: Office, desk: Desk, kind: str, more: dict[str, Any], text: str, otherwise: str | None, wrong: str
) -> None:
    name = f"Поле {kind} {text[:8]}"
    enums = [{"value": value, "sort": n} for n, value in enumerate(more.get("enums", []))]
    field_id = desk.add_field("leads", kind, name, **({"enums": enums} if enums else {}))
    deal = fresh_deal(office)
    if wrong is not None:
        with pytest.raises(CrmError) as caught:
            update(office, deal.id, fields={name: wrong})
        assert caught.value.kind == "rejected"
        assert f"fields.{name}: " in str(caught.value)
        assert desk.values(deal.id, field_id) is None
    assert update(office, deal.id, fields={name: text})
    assert seen(office, deal).fields[name] == text
    assert not update(office, deal.id, fields={str(field_id): text})
    if otherwise is not None:
        assert not update(office, deal.id, fields={name.upper(): otherwise})
    assert update(office, deal.id, fields={name: ""})
    assert name not in seen(office, deal).fields
    assert not update(office, deal.id, fields={name: ""})


def test_an_address_in_parts_and_requisites_are_written_as_json(office: Office, desk: Desk) -> None:
    address = desk.add_field("leads", "smart_address", "Адрес доставки")
    entity = desk.add_field("leads", "legal_entity", "Плательщик")
    deal = fresh_deal(office)
    parts = json.dumps({"city": "Москва", "zip": "109004"}, ensure_ascii=False)
    requisites = json.dumps({"name": "ООО «Ромашка»", "vat_id": "7707083893", "kpp": "770701001"})
    fields = {"Адрес доставки": parts, "Плательщик": requisites}
    assert update(office, deal.id, fields=fields)
    assert [v["value"] for v in desk.values(deal.id, address)] == ["Москва", "109004"]
    assert desk.values(deal.id, entity)[0]["value"]["vat_id"] == "7707083893"
    assert seen(office, deal).fields["Адрес доставки"] == "Москва, 109004"
    assert not update(office, deal.id, fields=fields)


def test_a_field_that_deals_have_not_is_named(office: Office) -> None:
    deal = fresh_deal(office)
    with pytest.raises(CrmError, match=r"fields\.Любимый цвет: deals have no such field"):
        update(office, deal.id, fields={"Любимый цвет": "синий"})


def test_a_refusal_of_amocrm_names_the_path_and_the_field(office: Office, desk: Desk) -> None:
    field_id = desk.add_field("leads", "select", "Тариф", enums=[{"value": "Базовый", "sort": 1}])
    deal = fresh_deal(office)
    assert update(office, deal.id, fields={"Тариф": "Базовый"})
    office.sandbox.amocrm.world.fields.get("leads", field_id).enums.clear()
    assert update(office, deal.id, fields={"Тариф": ""})
    with pytest.raises(CrmError) as caught:
        update(office, deal.id, fields={"Тариф": "Базовый"}, responsible_id="987654")
    assert caught.value.kind == "rejected"
    assert "responsible_user_id: " in str(caught.value)
    assert "(«Тариф»): " in str(caught.value)


def test_fields_are_listed_in_our_words(office: Office, desk: Desk) -> None:
    pipeline = next(iter(office.portal.pipelines.values()))
    enums = [{"value": "Ромашки", "sort": 1}, {"value": "Розы", "sort": 2}]
    choice = desk.add_field("leads", "multiselect", "Цветы", enums=enums)
    day = desk.add_field("contacts", "date", "День рождения ребёнка")
    desk.add_field("companies", "checkbox", "Работаем по ЭДО")
    assert pipeline
    deal_fields = {field.id: field for field in office.client.custom_fields("deal")}
    flowers = deal_fields[str(choice)]
    assert (flowers.name, flowers.kind, flowers.entity) == ("Цветы", "choices", "deal")
    assert list(flowers.options.values()) == ["Ромашки", "Розы"]
    contact_fields = {field.id: field for field in office.client.custom_fields("contact")}
    assert contact_fields[str(day)].kind == "date"
    assert "flag" in {field.kind for field in office.client.custom_fields("company")}


def test_the_catalogue_is_read_with_prices_units_and_vat(office: Office) -> None:
    rows = {row.name: row for deal in office.portal.deals.values() for row in deal.rows}
    products = {product.name: product for product in office.client.products()}
    assert rows
    assert products.keys() >= rows.keys()
    for name in list(rows)[:5]:
        assert products[name].currency == office.portal.currency
        assert products[name].price is not None
        assert products[name].sku
