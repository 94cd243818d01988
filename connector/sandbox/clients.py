"""Clients for deals of a history: the format has none, so they are made from the deal, always the same.

A deal named «ООО «Ромашка» — поставка» belongs to that company, whoever else names it; any other deal gets
a company of its own. On purpose some contacts have no e-mail, some companies lack requisites, and some
deals have no contact at all: that is what a real CRM holds.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from connector.sandbox import legal_ids, names
from connector.sandbox.history_tables import DealRow
from connector.sandbox.state import Company, Contact, ProductRow, Requisites

#: What a deal's name puts between the company and the subject.
NAME_SEPARATOR = " — "
VAT_RATE = Decimal(22)

#: (name, unit) of what is sold; the first row of a deal is always a machine.
MACHINES = (
    "Кофемашина «Аврора»",
    "Кофемашина «Полюс»",
    "Кофемашина «Экватор»",
    "Кофейный автомат «Меридиан»",
)
EXTRAS = (
    ("Монтаж и пусконаладка", "усл"),
    ("Обучение персонала", "усл"),
    ("Сервисное обслуживание, 12 мес.", "усл"),
    ("Кофемолка «Метель»", "шт"),
    ("Фильтр-система «Родник»", "шт"),
    ("Кофе в зёрнах «Экваториальный»", "кг"),
)


@dataclass(slots=True)
class Client:
    """The people and the company behind one or more deals. `contacts[0]` is the main one."""

    company: Company
    contacts: list[Contact]


class Clients:
    """Makes the clients of one portal while its deals are put in; ids ascend from 1."""

    def __init__(self) -> None:
        self._by_company: dict[str, Client] = {}
        self._last_contact = 0

    def of_deal(self, deal: DealRow) -> Client:
        """The client of `deal`, made at its first deal."""
        head, separator, _ = deal.name.partition(NAME_SEPARATOR)
        key = head.strip() if separator and head.strip() else f"#{deal.deal_id}"
        client = self._by_company.get(key)
        if client is None:
            name = names.company(deal.deal_id) if key.startswith("#") else key
            client = self._make(name, len(self._by_company) + 1, deal)
            self._by_company[key] = client
        return client

    def all(self) -> Iterator[Client]:
        return iter(self._by_company.values())

    def _make(self, name: str, number: int, deal: DealRow) -> Client:
        seed = zlib.crc32(name.encode())
        responsible = deal.manager_id or 0
        domain = f"{names.latin(name)[:40].strip('-') or 'client'}.example"
        company = Company(
            id=number,
            name=name,
            phones=[phone(seed)],
            emails=[f"info@{domain}"],
            responsible_id=responsible,
            created_at=deal.created_at,
            updated_at=deal.created_at,
            requisites=_requisites(name, number, seed),
        )
        count = 2 if seed % 5 == 0 else 1
        contacts = [
            self._contact(seed // 7 + k * 31, company, domain, deal.created_at, responsible, first=k == 0)
            for k in range(count)
        ]
        return Client(company, contacts)

    def _contact(
        self, seed: int, company: Company, domain: str, at: datetime, responsible: int, *, first: bool
    ) -> Contact:
        person = names.person(seed)
        self._last_contact += 1
        # Every twelfth client never left an address.
        email = f"{names.latin(person.name)}.{names.latin(person.last_name)}@{domain}"
        return Contact(
            id=self._last_contact,
            name=person.name,
            last_name=person.last_name,
            second_name=person.second_name,
            post=names.POSTS[seed % len(names.POSTS)],
            phones=[phone(seed)],
            emails=[] if first and seed % 12 == 5 else [email],
            company_id=company.id,
            responsible_id=responsible,
            created_at=at,
            updated_at=at,
        )


def has_contact(deal: DealRow) -> bool:
    """False for the few deals that came without anybody's name."""
    return deal.deal_id % 43 != 11


def phone(seed: int) -> str:
    """A number of the form +7 495 000-NN-NN: no subscriber's number begins with 000."""
    return f"+7 495 000-{seed // 100 % 100:02d}-{seed % 100:02d}"


def product_rows(deal: DealRow, first_id: int) -> list[ProductRow]:
    """One to three rows whose sum is the deal's amount to the kopeck; none when it has no amount."""
    if not deal.price or deal.price <= 0:
        return []
    seed = zlib.crc32(f"rows {deal.deal_id}".encode())
    rest = deal.price
    rows: list[ProductRow] = []
    for k in range(seed % 3):
        title, unit = EXTRAS[(seed // 3 + k) % len(EXTRAS)]
        quantity = Decimal(1 if unit == "усл" else 2 + (seed // 11 + k) % 4)
        price = (deal.price * (5 + (seed // 17 + k) % 8) / 100 / quantity).quantize(Decimal(10))
        if price > 0:
            rest -= price * quantity
            rows.append(ProductRow(first_id + 1 + len(rows), title, price, quantity, unit, VAT_RATE))
    machine = ProductRow(first_id, MACHINES[seed % len(MACHINES)], rest, Decimal(1), "шт", VAT_RATE)
    return [machine, *rows]


def _requisites(name: str, number: int, seed: int) -> Requisites:
    form, _, brand = name.partition(" ")
    person = names.person(seed // 13)
    year = 2008 + seed % 16
    is_trader = form == "ИП"
    inn = legal_ids.person_inn(number) if is_trader else legal_ids.company_inn(number)
    city = names.CITIES[seed % len(names.CITIES)]
    street = names.STREETS[seed // 7 % len(names.STREETS)]
    # Every fourteenth company has not told its details yet.
    if seed % 14 == 3:
        return Requisites(id=number, full_name=name)
    return Requisites(
        id=number,
        full_name={
            "ООО": f"Общество с ограниченной ответственностью {brand}",
            "АО": f"Акционерное общество {brand}",
        }.get(form, name),
        inn=inn,
        kpp="" if is_trader else legal_ids.kpp(),
        ogrn=legal_ids.ogrnip(number, year) if is_trader else legal_ids.ogrn(number, year),
        address=f"999{seed % 1000:03d}, г. {city}, ул. {street}, д. {1 + seed % 90}",
        bank_name=legal_ids.BANK_NAME,
        bik=legal_ids.BIK,
        account=legal_ids.account(number, prefix="40802810" if is_trader else "40702810"),
        corr_account=legal_ids.corr_account(),
        director_name=person.full,
        director_post="Индивидуальный предприниматель" if is_trader else "Генеральный директор",
        basis="Свидетельства о регистрации" if is_trader else "Устава",
    )
