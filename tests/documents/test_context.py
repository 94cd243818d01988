"""What holds a document: every datum that is missing or wrong, with its place in the CRM."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.documents.freeze import freeze, thaw
from connector.documents.kit import Kit
from connector.documents.places import FAULTS
from connector.documents.render import RenderPool
from connector.domain import Company, Contact, DealCard, ProductRow, Requisites, User
from connector.errors import HeldError, RenderError
from tests.documents.samples import CARD, COMPANY, CONTACT, DEAL, ROWS, build, kit, with_requisites

DETAILS = "Сделка → Компания → Реквизиты → "


def held(pool: RenderPool, kind: str, card: DealCard) -> dict[str, str]:
    """Name -> place of all that holds the document."""
    with pytest.raises(HeldError) as error:
        pool.check(kind, build(card, kind=kind))
    return {field.name: field.where for field in error.value.missing}


@pytest.mark.parametrize(
    ("kind", "card", "name", "place"),
    [
        ("invoice", with_requisites(inn=""), "клиент.инн", DETAILS + "ИНН"),
        ("invoice", with_requisites(inn="   "), "клиент.инн", DETAILS + "ИНН"),
        ("invoice", with_requisites(inn="7707083894"), "клиент.инн", "контрольная цифра"),
        ("invoice", with_requisites(kpp="77070100"), "клиент.кпп", "нужно 9 знаков"),
        ("contract", with_requisites(kpp=""), "клиент.кпп", DETAILS + "КПП"),
        ("contract", with_requisites(ogrn="1027700132196"), "клиент.огрн", "опечатка"),
        ("contract", with_requisites(bik="12345"), "клиент.бик", "нужно 9 цифр"),
        ("contract", with_requisites(account="4" * 20), "клиент.счёт", "не подходит к БИК"),
        ("contract", with_requisites(corr_account="30101810145250000974"), "клиент.корсчёт", "Корреспондент"),
        ("contract", with_requisites(address=""), "клиент.адрес", DETAILS + "Юридический адрес"),
        ("contract", with_requisites(full_name=""), "клиент.полное_название", "Полное название"),
        ("contract", with_requisites(basis=""), "клиент.основание", "Основание полномочий"),
        (
            "contract",
            with_requisites(director_name="Заяц Пётр Иванович"),
            "клиент.директор_родительный",
            "«Заяц Пётр Иванович» не удалось просклонять уверенно",
        ),
        ("contract", with_requisites(director_post="Гуру"), "клиент.должность_родительный", "«Гуру»"),
        ("contract", replace(CARD, company=None), "клиент.паспорт", "Контакт → поле «Паспорт»"),
        (
            "invoice",
            replace(CARD, company=None, contacts=()),
            "клиент",
            "Сделка → Компания (или Контакт)",
        ),
        ("invoice", replace(CARD, rows=()), "товары", "нет ни одной строки"),
        ("invoice", replace(CARD, rows=ROWS[:2]), "итого.сумма", "390 401,00"),
        ("invoice", replace(CARD, deal=replace(DEAL, amount=None)), "сделка.сумма", "Сделка → Сумма"),
        ("contract", replace(CARD, deal=replace(DEAL, amount=Decimal(0))), "сделка.сумма", "ноль"),
        (
            "proposal",
            replace(CARD, rows=(replace(ROWS[0], vat_rate=Decimal(20)),)),
            "товары[1].ставка",
            "не существует",
        ),
        (
            "proposal",
            replace(CARD, company=replace(COMPANY, name="я" * 301)),
            "клиент.название",
            "длиннее 300",
        ),
    ],
)
def test_a_fault_in_the_data_holds_the_document(
    pool: RenderPool, kind: str, card: DealCard, name: str, place: str
) -> None:
    found = held(pool, kind, card)
    assert place.replace("\u00a0", " ") in found[name].replace("\u00a0", " ")
    assert all(text[0].isupper() or text.startswith("templates/") for text in found.values())


def test_everything_that_is_missing_is_named_at_once(pool: RenderPool) -> None:
    found = held(pool, "contract", with_requisites(inn="", kpp="", bik="1", director_name="", address=""))
    assert {"клиент.инн", "клиент.кпп", "клиент.бик", "клиент.адрес"} <= set(found)
    assert len(set(found.values())) == len(found)


def test_a_document_that_does_not_use_a_datum_is_not_held_by_it(pool: RenderPool) -> None:
    pool.check(
        "proposal", build(with_requisites(inn="7707083894", account="", director_name=""), kind="proposal")
    )
    pool.check("invoice", build(with_requisites(account="", director_name="", basis="")))


def test_a_private_person_pays_an_invoice_without_an_inn(pool: RenderPool) -> None:
    pool.check("invoice", build(replace(CARD, company=None)))


def test_a_deal_without_products_goes_as_one_line_where_our_company_names_it() -> None:
    name = "Оборудование и услуги по заявке покупателя"
    file = "documents/company.yml"
    text = kit().files[file].decode().replace("    логотип:", f"    позиция: {name}\n    логотип:", 1)
    named = Kit.from_files({**kit().files, file: text.encode()})
    context = build(replace(CARD, rows=()), kit=named)
    (row,) = context["товары"]
    assert (row["название"], row["сумма"]) == (name, DEAL.amount)
    assert context["итого"]["сумма"] == DEAL.amount
    assert "товары" not in build(replace(CARD, rows=(), deal=replace(DEAL, amount=Decimal(0))), kit=named)


def test_the_number_is_the_only_thing_that_a_check_does_without(pool: RenderPool) -> None:
    context = build(number=None)
    pool.check("invoice", context)
    with pytest.raises(HeldError) as error:
        pool.render("invoice", context)
    assert [field.name for field in error.value.missing] == ["документ.номер"]


def test_a_datum_that_was_filled_in_lets_the_document_go(pool: RenderPool) -> None:
    held(pool, "invoice", with_requisites(inn=""))
    pool.check("invoice", build(with_requisites(inn="7707083893")))


def test_requisites_are_taken_from_custom_fields_where_the_crm_has_no_place_for_them() -> None:
    bare = replace(
        COMPANY,
        requisites=replace(COMPANY.requisites, inn="", director_name=""),
        fields={"инн": "7707 083893"},
    )
    context = build(
        replace(CARD, company=replace(bare, fields={**bare.fields, "Руководитель": "Цой Юрий Львович"}))
    )
    assert context["клиент"]["инн"] == "7707083893"
    assert context["клиент"]["директор_родительный"] == "Цоя Юрия Львовича"


def test_a_genitive_that_a_person_wrote_wins() -> None:
    for card in (
        with_requisites(director_name="Заяц Иван Петрович"),  # written in company.yml
        replace(
            CARD,
            company=replace(COMPANY, fields={"Руководитель в родительном падеже": "Зайца Ивана Петровича"}),
        ),
    ):
        assert build(card)["клиент"]["директор_родительный"] == "Зайца Ивана Петровича"


def test_an_empty_field_is_absent_and_never_blank() -> None:
    def no_blank(value: object) -> bool:
        if isinstance(value, dict):
            return all(no_blank(item) for item in value.values())
        if isinstance(value, list):
            return all(no_blank(item) for item in value)
        return value is not None and value != ""

    bare = DealCard(replace(DEAL, name="", amount=None), (replace(CONTACT, name="", emails=()),), None, ())
    for card in (CARD, bare, DealCard(DEAL)):
        context = build(card, responsible=None)
        assert no_blank({key: value for key, value in context.items() if key != FAULTS})


def test_strangers_text_is_cleaned() -> None:
    dirty = "ООО\u202e «Ромашка»\x00\ud800\r\nвторая  строка\u0301"
    context = build(replace(CARD, company=replace(COMPANY, name=dirty)))
    assert context["клиент"]["название"] == "ООО «Ромашка» вторая строка\u0301"


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("Дубравина Анна Олеговна", "Анна Олеговна"),
        ("Анна Олеговна Дубравина", "Анна Олеговна"),
        ("Иван Ильич Лесной", "Иван Ильич"),
        ("Анна", "Анна"),
        ("Анна Дубравина", "Анна Дубравина"),
    ],
)
def test_a_letter_addresses_a_person_by_name_and_patronymic(name: str, address: str) -> None:
    assert build(replace(CARD, contacts=(replace(CONTACT, name=name),)))["контакт"]["обращение"] == address


def test_cases_follow_the_clients_industry() -> None:
    def cases(card: DealCard) -> list[str]:
        return [case["название"] for case in build(card, kind="proposal")["кейсы"]]

    assert cases(CARD)[0] == "Отель «Тихая гавань»"
    by_field = replace(CARD, deal=replace(DEAL, tags=(), fields={"Отрасль": "Медицина"}))
    assert cases(by_field)[0] == "Клиника «Участие»"
    anyone = cases(replace(CARD, deal=replace(DEAL, tags=("рыболовство",))))
    assert anyone == ["Двадцать офисов за один квартал", "Переезд без остановки"]


def test_foreign_currency_has_no_russian_payment_code() -> None:
    context = build(replace(CARD, deal=replace(DEAL, currency="USD")))
    assert "qr" not in context["оплата"]


def test_a_frozen_context_comes_back_the_same() -> None:
    context = build(kind="contract")
    assert thaw(json.loads(json.dumps(freeze(context)))) == context


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=False) | st.dates(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["$decimal", "$$date"]), inner)
    ),
    max_leaves=20,
)


@given(json_like)
def test_freezing_loses_nothing(value: object) -> None:
    assert thaw(json.loads(json.dumps(freeze(value)))) == value


def test_what_is_no_data_cannot_be_frozen() -> None:
    for value in (1.5, {1, 2}, object()):
        with pytest.raises(TypeError):
            freeze({"a": value})


def test_an_unknown_kind_is_a_mistake_of_the_rule(pool: RenderPool) -> None:
    with pytest.raises(RenderError, match="нет такого вида"):
        pool.check("letter", {})


known = st.sampled_from(["{{ x }}", "ИП ", "7707083893", "\ud800", "x" * 400, "Устав"])
texts = st.text(max_size=40) | known
odd = st.sampled_from([Decimal("NaN"), Decimal("Infinity"), Decimal(10) ** 40])
amounts = st.none() | st.decimals(places=3) | odd


@settings(deadline=None)
@given(st.data())
def test_no_deal_whatever_it_holds_breaks_the_context(data: st.DataObject) -> None:
    def some(count: int) -> list[str]:
        return [data.draw(texts) for _ in range(count)]

    rows = tuple(
        ProductRow(
            data.draw(texts),
            data.draw(amounts) or Decimal(0),
            data.draw(amounts) or Decimal(0),
            data.draw(texts),
            data.draw(amounts) or Decimal(0),
            data.draw(amounts),
        )
        for _ in range(data.draw(st.integers(0, 2)))
    )
    card = DealCard(
        replace(
            DEAL,
            name=data.draw(texts),
            amount=data.draw(amounts),
            tags=tuple(some(2)),
            fields=dict([some(2)]),
        ),
        (Contact("1", *some(1), emails=tuple(some(1)), post=data.draw(texts), fields=dict([some(2)])),),
        data.draw(st.sampled_from([None, Company("1", *some(1), requisites=Requisites(*some(12)))])),
        rows,
    )
    for kind in (None, "contract", "invoice"):
        context = build(card, kind=kind, responsible=User("1", data.draw(texts)))
        assert thaw(json.loads(json.dumps(freeze(context)))) == context
