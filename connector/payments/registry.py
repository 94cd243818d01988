"""The table of payment providers: one line each."""

from __future__ import annotations

from collections.abc import Callable

from connector.config import PAYMENT_PROVIDERS, PaymentConfig
from connector.payments.base import PaymentProvider
from connector.payments.links import CrmLink, MakeLink, StaticLink
from connector.payments.yookassa import YooKassa

PROVIDERS: dict[str, Callable[[PaymentConfig, MakeLink], PaymentProvider]] = {
    "yookassa": lambda config, _: YooKassa(config),
    "static": lambda config, _: StaticLink(config),
    "crm": lambda _, make_link: CrmLink(make_link),
}

assert set(PROVIDERS) == set(PAYMENT_PROVIDERS)
