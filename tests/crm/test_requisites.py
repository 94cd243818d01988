from __future__ import annotations

import pytest

from connector.crm.requisites import from_fields, merged
from connector.domain import Requisites


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("ИНН", "inn"),
        ("инн:", "inn"),
        ("КПП", "kpp"),
        ("ОГРН/ОГРНИП", "ogrn"),
        ("БИК банка", "bik"),
        ("Р/с", "account"),
        ("Расчётный счёт", "account"),
        ("Банк", "bank_name"),
        ("Корр. счёт", "corr_account"),
        ("К/с", "corr_account"),
        ("Юридический адрес", "address"),
        ("Юр. адрес", "address"),
        ("Директор", "director_name"),
        ("Руководитель", "director_name"),
        ("ФИО руководителя", "director_name"),
        ("Должность руководителя", "director_post"),
        ("Действует на основании", "basis"),
        ("Полное наименование", "full_name"),
    ],
)
def test_a_field_is_known_by_the_name_people_give_it(name: str, line: str) -> None:
    assert from_fields({name: " значение "}) == Requisites(**{line: "значение"})


@pytest.mark.parametrize("name", ["ИНН партнёра", "Банк идей", "Адрес доставки", "Счёт", ""])
def test_other_fields_are_left_alone(name: str) -> None:
    assert from_fields({name: "значение"}) == Requisites()


def test_the_first_of_two_fields_wins_and_an_empty_one_does_not_count() -> None:
    assert from_fields(
        {"Директор": " ", "Руководитель": "Иванова А. П.", "Подписант": "X"}
    ).director_name == ("Иванова А. П.")


def test_only_empty_lines_are_filled_from_elsewhere() -> None:
    first = Requisites(inn="7700000000")
    assert merged(first, Requisites(inn="1", kpp="2"), Requisites(kpp="3", bik="4")) == Requisites(
        inn="7700000000", kpp="2", bik="4"
    )
