"""Thirty faults in the data of a deal: nothing leaves, one task names the field; mended, it goes itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connector.config import CrmName
from connector.sandbox.app import Sandbox
from connector.sandbox.legal_ids import company_inn
from tests.documents.sellers import FIELD, TRADER, kit_with_two_sellers
from tests.e2e.stand import Stand

INVOICE, CONTRACT = "Счёт выставлен", "Встреча проведена"

Spoil = Callable[[Stand, int], None]


@dataclass(frozen=True)
class Fault:
    """`spoil` a good deal; the task must name `where` and, after it, `reason`."""

    name: str
    stage: str
    spoil: Spoil
    where: str
    reason: str = ""
    crms: tuple[CrmName, ...] = ("amocrm", "bitrix24")


def deal(**changes: Any) -> Spoil:
    return lambda stand, deal_id: _change(stand, deal_id, changes)


def row(**changes: Any) -> Spoil:
    def spoil(stand: Stand, deal_id: int) -> None:
        (first,) = stand.portal.deals[deal_id].rows
        _change(stand, deal_id, {"rows": [replace(first, **changes)]})

    return spoil


def client(**changes: str) -> Spoil:
    def spoil(stand: Stand, deal_id: int) -> None:
        company = stand.portal.companies[stand.portal.deals[deal_id].company_id or 0]
        assert company.requisites is not None
        requisites = {"requisites": replace(company.requisites, **changes)}
        stand.portal.update("company", company.id, requisites, by=stand.manager_id)

    return spoil


def field(name: str, value: str) -> Spoil:
    return deal(fields={name: value})


def company_name(name: str) -> Spoil:
    def spoil(stand: Stand, deal_id: int) -> None:
        company_id = stand.portal.deals[deal_id].company_id or 0
        stand.portal.update("company", company_id, {"name": name}, by=stand.manager_id)

    return spoil


def _change(stand: Stand, deal_id: int, changes: dict[str, Any]) -> None:
    stand.portal.update_deal(deal_id, changes, by=stand.manager_id)


DETAILS = "Реквизиты → "
ON_TOP = {"net_price": Decimal("100000.01"), "is_vat_on_top": True, "price": Decimal("122000.02")}
FAULTS = (
    Fault("no inn", INVOICE, client(inn=""), DETAILS + "ИНН"),
    Fault("slip in inn", INVOICE, client(inn="7707083894"), DETAILS + "ИНН", "контрольная цифра"),
    Fault("short inn", INVOICE, client(inn="770708389"), DETAILS + "ИНН", "10 или 12 цифр"),
    Fault("no amount", INVOICE, deal(amount=None), "Сделка → Сумма"),
    Fault("amount of nothing", INVOICE, deal(amount=Decimal(0)), "Сделка → Сумма"),
    Fault("negative amount", INVOICE, deal(amount=Decimal(-122000)), "Сделка → Сумма", "-122000"),
    Fault("no rows", INVOICE, deal(rows=[]), "Сделка → Товары", "ни одной строки"),
    Fault("another amount", INVOICE, deal(amount=Decimal(121999)), "сумма сделки", "разница 1,00"),
    Fault("another price", INVOICE, row(price=Decimal(150000)), "сумма сделки", "разница 28 000,00"),
    Fault("negative price", INVOICE, row(price=Decimal(-5)), "строка 1", "цена -5"),
    Fault(
        *("price in parts", INVOICE, row(price=Decimal("122000.005"))),
        *("строка 1", "целые копейки", ("amocrm",)),
    ),
    Fault("no quantity", INVOICE, row(quantity=Decimal(0)), "строка 1", "количество 0"),
    Fault("last year's rate", INVOICE, row(vat_rate=Decimal(20)), "строка 1", "20 % на"),
    Fault("no such rate", INVOICE, row(vat_rate=Decimal(13)), "строка 1", "13 % на"),
    Fault("another's rate", INVOICE, row(vat_rate=Decimal(7)), "строка 1", "со ставкой 22 %"),
    Fault("vat on top", INVOICE, row(**ON_TOP), "сумма сделки", "разница 0,01", ("bitrix24",)),
    Fault("unclear discount", INVOICE, field("Скидка", "10"), "сумма сделки", "со скидкой 10 %"),
    Fault("no discount", INVOICE, field("Скидка", "как всем"), "поле «Скидка»", "не понять"),
    Fault("discount not taken", INVOICE, field("Скидка", "10 %"), "сумма сделки", "разница 12 200,00"),
    Fault("all of it", INVOICE, field("Скидка", "122000 руб."), "Скидка", "дают 122 000,00"),
    Fault("no date", INVOICE, field("Дата отгрузки", "завтра"), "Дата отгрузки", "не дата"),
    Fault("unknown seller", INVOICE, field(FIELD, "ООО «Юг»"), f"поле «{FIELD}»", "нет в company.yml"),
    Fault("seller without vat", INVOICE, field(FIELD, TRADER), "строка 1", "работает без НДС"),
    Fault("foreign money", INVOICE, deal(currency="XAU"), "Сделка → Валюта", "«XAU»", ("bitrix24",)),
    Fault("nobody", INVOICE, deal(company_id=None, contact_ids=[]), "Компания (или Контакт)"),
    Fault("endless name", CONTRACT, company_name("я" * 250 + " и " + "ю" * 250), "Название", "длиннее 300"),
    Fault("no kpp", CONTRACT, client(kpp=""), DETAILS + "КПП"),
    Fault("slip in ogrn", CONTRACT, client(ogrn="1027700132196"), DETAILS + "ОГРН", "опечатка"),
    Fault("no bank", CONTRACT, client(bik=""), DETAILS + "БИК"),
    Fault("another bank", CONTRACT, client(account="4" * 20), DETAILS + "Расчётный счёт", "не подходит"),
    Fault("no address", CONTRACT, client(address=""), DETAILS + "Юридический адрес"),
    Fault("no director", CONTRACT, client(director_name=""), DETAILS + "Руководитель"),
    Fault("rare name", CONTRACT, client(director_name="Заяц Пётр Ильич"), "родительном падеже", "Заяц"),
)


@pytest.fixture(scope="module")
def faulty(crm: CrmName, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder: Path = tmp_path_factory.mktemp("faults")
    kit = kit_with_two_sellers(folder / "kit")
    with Stand(sandbox, crm, f"sqlite:///{folder}/connector.db", templates=kit) as stand:
        yield stand


def asked(stand: Stand, deal_id: int) -> list[str]:
    return [text for text in stand.task_texts(deal_id) if "без них не уйдёт" in text]


def test_each_fault_holds_the_document_with_one_task_and_mended_it_goes_by_itself(faulty: Stand) -> None:
    stand = faulty
    faults = [fault for fault in FAULTS if stand.crm in fault.crms]
    assert len(faults) >= 30
    deals: dict[str, int] = {}
    for fault in faults:
        deal_id = stand.add_deal(fault.name, email=_email(stand, fault))
        fault.spoil(stand, deal_id)
        deals[fault.name] = deal_id
    stand.app.directories.refresh("main")
    for fault in faults:
        stand.move(deals[fault.name], fault.stage)
    stand.settle()
    silent = [name for name, deal_id in deals.items() if not asked(stand, deal_id)]
    assert silent == []

    for fault in faults:
        deal_id = deals[fault.name]
        (task,) = [_plain(text) for text in asked(stand, deal_id)]
        assert fault.where in task, (fault.name, task)
        assert fault.reason in task[task.index(fault.where) :], (fault.name, task)
        # A proposal needs no requisites: it may be made, but leaves only with the contract.
        made = [name for name in stand.file_names(deal_id) if not name.startswith("Коммерческое")]
        assert made == [], fault.name
        assert stand.letters(_email(stand, fault)) == [], fault.name

    mended: dict[str, Spoil] = {
        "no inn": client(inn=company_inn(54321)),
        "another amount": deal(amount=Decimal(122000)),
        "discount not taken": deal(amount=Decimal(109800)),
        "unknown seller": field(FIELD, ""),
        "no kpp": client(kpp="770101001"),
    }
    for name, mend in mended.items():
        mend(stand, deals[name])
    ready = [fault for fault in faults if fault.name in mended]
    stand.wait_for(lambda: all(stand.letters(_email(stand, fault)) for fault in ready), "all letters")
    stand.settle()
    for fault in ready:
        assert len(stand.letters(_email(stand, fault))) == 1
        assert all(task.is_done for task in stand.tasks(deals[fault.name]) if "не уйдёт" in _said(task))


def _said(task: Any) -> str:
    return f"{task.text}\n{task.description}"


def _email(stand: Stand, fault: Fault) -> str:
    return f"fault-{fault.name.replace(' ', '-')}-{stand.crm}@example.ru".replace("'", "")


def _plain(text: str) -> str:
    return text.replace("\u00a0", " ")
