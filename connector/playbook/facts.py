"""What a rule's condition may ask about a deal: names, meanings, and how values are made from a card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from connector.domain import DealCard, User

Kind = Literal["text", "number", "list", "fields"]


@dataclass(frozen=True, slots=True)
class Variable:
    """One name that conditions know; `meaning` is Russian, for the documentation and for messages."""

    name: str
    meaning: str
    kind: Kind = "text"


#: Every name a condition may use. `docs/rop.md` lists the same ones; a test compares the two.
CONDITION_VARIABLES: Mapping[str, Variable] = {
    variable.name: variable
    for variable in (
        Variable("deal.id", "номер сделки в CRM"),
        Variable("deal.name", "название сделки"),
        Variable("deal.amount", "сумма сделки; пустая сумма — это 0", "number"),
        Variable("deal.currency", "валюта суммы: RUB, USD…"),
        Variable("deal.pipeline", "воронка, в которой сделка сейчас"),
        Variable("deal.stage", "этап, на котором сделка сейчас"),
        Variable("deal.outcome", "исход: open — в работе, won — выиграна, lost — проиграна"),
        Variable("deal.loss_reason", "причина отказа"),
        Variable("deal.channel", "канал, из которого пришла сделка"),
        Variable("deal.utm_source", "метка utm_source"),
        Variable("deal.utm_medium", "метка utm_medium"),
        Variable("deal.utm_campaign", "метка utm_campaign"),
        Variable("deal.tags", "теги сделки", "list"),
        Variable("deal.fields", 'дополнительное поле сделки: deal.fields["Отрасль"]', "fields"),
        Variable("contact.name", "имя основного контакта"),
        Variable("contact.email", "первая почта основного контакта"),
        Variable("contact.phone", "первый телефон основного контакта"),
        Variable("contact.post", "должность основного контакта"),
        Variable("company.name", "название компании клиента"),
        Variable("company.inn", "ИНН компании клиента"),
        Variable("responsible.name", "имя ответственного"),
        Variable("responsible.email", "почта ответственного"),
    )
}


class CustomFields(dict[str, str]):
    """Custom fields by the name people see; a field that is not filled in is None, not a mistake."""

    def __missing__(self, key: str) -> None:
        return None


def facts_of(
    card: DealCard,
    pipeline_name: str,
    stage_name: str,
    loss_reason_name: str | None,
    responsible: User | None,
) -> Mapping[str, Mapping[str, object]]:
    """The values of `CONDITION_VARIABLES` for one deal, grouped by the part before the dot.

    What is not filled in is None; an empty amount is 0, as in all figures.
    """
    deal, contact, company = card.deal, card.main_contact, card.company
    values: dict[str, object] = {
        "deal.id": deal.id,
        "deal.name": deal.name,
        "deal.amount": deal.amount if deal.amount is not None else Decimal(0),
        "deal.currency": deal.currency,
        "deal.pipeline": pipeline_name,
        "deal.stage": stage_name,
        "deal.outcome": deal.outcome.value,
        # A reason that the directory does not know yet is still a reason.
        "deal.loss_reason": loss_reason_name or deal.loss_reason_id,
        "deal.channel": deal.channel,
        "deal.utm_source": deal.utm_source,
        "deal.utm_medium": deal.utm_medium,
        "deal.utm_campaign": deal.utm_campaign,
        "deal.tags": tuple(deal.tags),
        "deal.fields": CustomFields({name: value for name, value in deal.fields.items() if value}),
        "contact.name": contact.name if contact else None,
        "contact.email": next(iter(contact.emails), None) if contact else None,
        "contact.phone": next(iter(contact.phones), None) if contact else None,
        "contact.post": contact.post if contact else None,
        "company.name": company.name if company else None,
        "company.inn": company.requisites.inn if company else None,
        "responsible.name": responsible.name if responsible else None,
        "responsible.email": responsible.email if responsible else None,
    }
    return _grouped({name: None if value == "" else value for name, value in values.items()})


def sample_facts() -> Mapping[str, Mapping[str, object]]:
    """A deal with everything filled in: conditions are tried on it when they are loaded."""
    samples: dict[Kind, object] = {
        "text": "текст",
        "number": Decimal("1000.50"),
        "list": ("текст",),
        "fields": CustomFields(),
    }
    return _grouped({variable.name: samples[variable.kind] for variable in CONDITION_VARIABLES.values()})


def _grouped(values: Mapping[str, object]) -> dict[str, dict[str, object]]:
    result: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        group, _, attribute = name.partition(".")
        result.setdefault(group, {})[attribute] = value
    return result
