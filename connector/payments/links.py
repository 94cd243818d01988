"""Links that somebody else's page stands behind: one of the company's own, or the CRM's.

Nobody can be asked whether money came: a person says so (`connector documents paid`).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from urllib.parse import quote

from connector.config import PaymentConfig
from connector.errors import BadWebhook, PaymentError
from connector.payments.base import Notice, Order, ProviderPayment

#: The CRM's own link for a deal and an amount; None when the CRM makes none.
MakeLink = Callable[[str, Decimal], str | None]


class _Unasked:
    """What both have in common: nothing can be asked and nothing is told."""

    is_asked = False
    wants_receipts = False
    title: str

    def get(self, payment_id: str) -> ProviderPayment | None:
        return None

    def read_notice(self, body: bytes) -> Notice:
        raise BadWebhook("address", f"{self.title}: no notices are sent")


class StaticLink(_Unasked):
    """The company's own page; amount, number and purpose are written into its address."""

    name = "static"
    title = "Ссылка на оплату"

    def __init__(self, config: PaymentConfig) -> None:
        self._template = config.link

    def create(self, order: Order) -> ProviderPayment:
        words = {"сумма": f"{order.amount:.2f}", "номер": order.number, "назначение": order.purpose}
        link = self._template
        for word, value in words.items():
            link = link.replace(f"{{{word}}}", quote(value, safe=""))
        return ProviderPayment("", "pending", order.amount, order.currency, link=link)

    def check(self) -> str:
        return "постоянная ссылка; оплату отмечает человек"


class CrmLink(_Unasked):
    """The CRM makes the payment and its page. `make_link` asks the CRM."""

    name = "crm"
    title = "Оплата через CRM"

    def __init__(self, make_link: MakeLink) -> None:
        self._make_link = make_link

    def create(self, order: Order) -> ProviderPayment:
        link = self._make_link(order.deal_id, order.amount)
        if not link:
            reason = "CRM не даёт ссылку на такую сумму: проверьте, настроен ли в ней приём оплаты"
            raise PaymentError("config", self.title, reason)
        return ProviderPayment("", "pending", order.amount, order.currency, link=link)

    def check(self) -> str:
        return "ссылка CRM; оплату отмечает человек"
