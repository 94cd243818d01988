"""The table of payment providers: one line each."""

from __future__ import annotations

from collections.abc import Callable

from connector.config import PAYMENT_PROVIDERS, PaymentConfig
from connector.payments.base import PaymentProvider
from connector.payments.links import CrmLink, MakeLink, StaticLink


def _yookassa(config: PaymentConfig, _: MakeLink) -> PaymentProvider:
    # Its SDK is three hundred modules: loaded by those who take money with it.
    from connector.payments.yookassa import YooKassa

    return YooKassa(config)


PROVIDERS: dict[str, Callable[[PaymentConfig, MakeLink], PaymentProvider]] = {
    "yookassa": _yookassa,
    "static": lambda config, _: StaticLink(config),
    "crm": lambda _, make_link: CrmLink(make_link),
}

assert set(PROVIDERS) == set(PAYMENT_PROVIDERS)
