"""Clients for deals of a history: the format has none, so they are made from the deal, always the same.

A deal named «ООО «Ромашка» — поставка» belongs to that company, whoever else names it; any other deal gets
a company of its own. On purpose some contacts have no e-mail, some companies lack requisites, and some
deals have no contact at all: that is what a real CRM holds.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from connector.sandbox import legal_ids, names
from connector.sandbox.history_tables import DealRow
from connector.sandbox.state import Company, Contact, ProductRow, Requisites

#: Reserved for examples, so that no letter ever finds anybody.
MAIL_ZONES = {"amocrm": "example", "bitrix24": "test"}
#: Clients are made with addresses of this zone.
_ZONE = MAIL_ZONES["amocrm"]
#: What a deal's name puts between the company and the subject.
NAME_SEPARATOR = " — "
VAT_RATE = Decimal(22)

#: One object a number, as there are hundreds of thousands of rows.
_QUANTITIES = tuple(map(Decimal, range(6)))

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
    """Makes the clients of a past's deals; ids ascend from 1."""

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

    def in_zone(self, zone: str) -> Iterator[Client]:
        """All clients with e-mail addresses that end in `zone`: a letter then tells from which CRM it came.

        What does not differ from zone to zone is shared.
        """
        if zone == _ZONE:
            yield from self._by_company.values()
            return
        for client in self._by_company.values():
            company, contacts = client.company, client.contacts
            yield Client(
                replace(company, emails=_moved(company.emails, zone)),
                [replace(contact, emails=_moved(contact.emails, zone)) for contact in contacts],
            )

    def _make(self, name: str, number: int, deal: DealRow) -> Client:
        responsible_id = deal.manager_id or 0
        client = invent_client(name, number, zone=_ZONE, at=deal.created_at, responsible_id=responsible_id)
        seed = zlib.crc32(name.encode())
        # Every twelfth client never left an address, every fourteenth has not told its details.
        if seed % 12 == 5:
            client.contacts[0].emails.clear()
        if seed % 14 == 3 and client.company.requisites:
            client.company.requisites = Requisites(client.company.requisites.id, full_name=name)
        for contact in client.contacts:
            self._last_contact += 1
            contact.id = self._last_contact
        return client


def invent_client(name: str, number: int, *, zone: str, at: datetime, responsible_id: int) -> Client:
    """A company called `name` with id `number` and all details, and one or two people with id 0."""
    seed = zlib.crc32(name.encode())
    brand = names.latin(name.partition(" ")[2] or name)[:40].strip("-")
    domain = f"{brand or 'client'}.{zone}"
    company = Company(
        id=number,
        name=name,
        phones=[phone(seed)],
        emails=[f"info@{domain}"],
        responsible_id=responsible_id,
        created_at=at,
        updated_at=at,
        requisites=_requisites(name, number, seed),
    )
    contacts = []
    for place in range(2 if seed % 5 == 0 else 1):
        own = seed // 7 + place * 31
        person = names.person(own)
        contacts.append(
            Contact(
                id=0,
                name=person.name,
                last_name=person.last_name,
                second_name=person.second_name,
                post=names.POSTS[own % len(names.POSTS)],
                phones=[phone(own)],
                emails=[f"{names.latin(person.name)}.{names.latin(person.last_name)}@{domain}"],
                company_id=number,
                responsible_id=responsible_id,
                created_at=at,
                updated_at=at,
            )
        )
    return Client(company, contacts)


def _moved(emails: list[str], zone: str) -> list[str]:
    return [email.removesuffix(_ZONE) + zone for email in emails]


def has_contact(deal: DealRow) -> bool:
    """False for the few deals that came without anybody's name."""
    return zlib.crc32(deal.name.encode()) % 43 != 11


def phone(seed: int) -> str:
    """A number of the form +7 495 000-NN-NN: no subscriber's number begins with 000."""
    return _phone(seed % 10_000)


@functools.lru_cache(maxsize=10_000)
def _phone(number: int) -> str:
    return f"+7 495 000-{number // 100:02d}-{number % 100:02d}"


def product_rows(deal: DealRow, first_id: int) -> list[ProductRow]:
    """One to three rows whose sum is the deal's amount to the kopeck; none when it has no amount."""
    if not deal.price or deal.price <= 0:
        return []
    seed = zlib.crc32(f"rows {deal.deal_id}".encode())
    rest = deal.price
    rows: list[ProductRow] = []
    for k in range(seed % 3):
        title, unit = EXTRAS[(seed // 3 + k) % len(EXTRAS)]
        quantity = _QUANTITIES[1 if unit == "усл" else 2 + (seed // 11 + k) % 4]
        price = (deal.price * (5 + (seed // 17 + k) % 8) / 100 / quantity).quantize(Decimal(10))
        if price > 0:
            rest -= price * quantity
            rows.append(ProductRow(first_id + 1 + len(rows), title, price, quantity, unit, VAT_RATE))
    machine = ProductRow(first_id, MACHINES[seed % len(MACHINES)], rest, _QUANTITIES[1], "шт", VAT_RATE)
    return [machine, *rows]


def balanced(rows: list[ProductRow], amount: Decimal | None, new_id: int) -> list[ProductRow]:
    """`rows` with the first price moved so that the sum is `amount`; one new row where that cannot be."""
    if not amount or amount <= 0:
        return rows
    rest = amount - sum((row.price * row.quantity for row in rows[1:]), Decimal(0))
    if rows and rest > 0 and rows[0].quantity == 1:
        return [replace(rows[0], price=rest), *rows[1:]]
    return [ProductRow(new_id, MACHINES[0], amount, Decimal(1), "шт", VAT_RATE)]


def _requisites(name: str, number: int, seed: int) -> Requisites:
    form, _, brand = name.partition(" ")
    person = names.person(seed // 13)
    year = 2008 + seed % 16
    is_trader = form == "ИП"
    inn = legal_ids.person_inn(number) if is_trader else legal_ids.company_inn(number)
    city = names.CITIES[seed % len(names.CITIES)]
    street = names.STREETS[seed // 7 % len(names.STREETS)]
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
