"""Money that came: whatever notices do, an invoice is paid once and what does not add up is told once.

The official SDK talks over HTTP to the sandbox's shop; on both databases.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
import requests

from connector.clock import FixedClock
from connector.config import PaymentConfig
from connector.errors import ConnectorError, PaymentError
from connector.payments.base import Order, Reference
from connector.payments.yookassa import YooKassa
from connector.store import archive, payments
from connector.store.database import Database
from tests.paydesk import PayDesk

NAME = "Счёт на оплату № 2026-0001 от 24.11.2026"


@pytest.fixture
def desk(db: Database, clock: FixedClock) -> Iterator[PayDesk]:
    with PayDesk(db, clock) as desk:
        yield desk


def test_paid_invoice_starts_the_rule_once_and_is_noted_in_the_deal(desk: PayDesk) -> None:
    invoice = desk.invoice()
    payment = desk.open_payment(invoice)
    desk.work()
    assert desk.thanks() == 0
    desk.shop.pay(payment)
    desk.work()
    assert desk.thanks() == 1
    assert desk.notes()[0] == f"{NAME} оплачен: 1\u00a0200,00\u00a0₽ (ЮKassa)."
    assert desk.tasks() == []
    (row,) = desk.rows(invoice)
    assert (row.status, row.provider_id, row.amount) == ("succeeded", payment, Decimal("1200.00"))
    assert row.paid_at is not None
    assert "Счёт оплачен" in requests.get(desk.url(invoice), timeout=10).text


def test_the_same_notice_five_times_pays_once(desk: PayDesk) -> None:
    payment = desk.open_payment(desk.invoice())
    desk.shop.knobs.copies = 3
    desk.shop.pay(payment)
    desk.work()
    desk.shop.knobs.copies = 2
    desk.shop.tell_again(payment)
    desk.work()
    assert (desk.thanks(), desk.tasks()) == (1, [])
    with desk.db.read() as conn:
        assert payments.notices_of(conn, "main", payment) == [
            ("payment.succeeded", 5, "проверено у провайдера")
        ]


def test_a_notice_is_believed_in_nothing_but_which_payment_it_means(desk: PayDesk) -> None:
    invoice = desk.invoice()
    payment = desk.open_payment(invoice)
    forged = {"id": payment, "status": "succeeded", "amount": {"value": "1200.00", "currency": "RUB"}}
    assert desk.notify({"type": "notification", "event": "payment.succeeded", "object": forged}) == 200
    desk.work()
    assert desk.thanks() == 0
    assert desk.rows(invoice)[0].status == "pending"


def test_notice_of_a_payment_that_nobody_knows_is_taken_and_changes_nothing(desk: PayDesk) -> None:
    unknown = {"type": "notification", "event": "payment.succeeded", "object": {"id": "no-such"}}
    assert desk.notify(unknown) == 200
    shop = YooKassa(desk.config.payment)
    foreign = shop.create(
        Order(Reference("other", 1, "k"), "1", Decimal(5), "RUB", "1", "Сайт", "https://site.example")
    )
    desk.shop.pay(foreign.id)
    desk.work()
    assert desk.effects() == []
    with desk.db.read() as conn:
        assert payments.notices_of(conn, "main", "no-such")[0][2] == "провайдер не знает такого платежа"
        assert payments.notices_of(conn, "main", foreign.id)[0][2] == "платёж не по нашему счёту"


@pytest.mark.parametrize(
    ("amount", "currency", "task", "thanks"),
    [
        (
            "1000.00",
            "",
            f"Пришло 1\u00a0000,00\u00a0₽ вместо 1\u00a0200,00\u00a0₽ по документу «{NAME}» (ЮKassa). "
            "Договоритесь с клиентом о доплате.",
            0,
        ),
        (
            "1500.00",
            "",
            f"Пришло 1\u00a0500,00\u00a0₽ вместо 1\u00a0200,00\u00a0₽ по документу «{NAME}» (ЮKassa). "
            "Счёт оплачен; лишние 300,00\u00a0₽ верните или зачтите.",
            1,
        ),
        (
            "1200.00",
            "USD",
            f"Пришло 1\u00a0200,00\u00a0$ вместо 1\u00a0200,00\u00a0₽ по документу «{NAME}» (ЮKassa): другая "
            "валюта. Счёт не отмечен оплаченным: разберитесь с платежом.",
            0,
        ),
    ],
    ids=["less", "more", "currency"],
)
def test_another_amount_or_currency_is_one_task(
    desk: PayDesk, amount: str, currency: str, task: str, thanks: int
) -> None:
    payment = desk.open_payment(desk.invoice())
    desk.shop.knobs.copies = 2
    desk.shop.pay(payment, Decimal(amount), currency)
    desk.work()
    desk.shop.tell_again(payment)
    desk.work()
    assert desk.tasks() == [task]
    assert desk.thanks() == thanks


def test_the_rest_of_a_partial_payment_is_asked_for_and_completes_the_invoice(desk: PayDesk) -> None:
    invoice = desk.invoice()
    desk.shop.pay(desk.open_payment(invoice), Decimal("1000.00"))
    desk.work()
    page = requests.get(desk.url(invoice), timeout=10).text
    assert "200,00\u00a0₽" in page
    assert "часть суммы уже поступила" in page
    rest = desk.open_payment(invoice)
    assert desk.shop.payments()[-1]["amount"]["value"] == "200.00"
    desk.shop.pay(rest)
    desk.work()
    assert (desk.thanks(), len(desk.tasks())) == (1, 1)


def test_an_invoice_paid_twice_is_paid_once_and_the_surplus_is_told(desk: PayDesk) -> None:
    invoice = desk.invoice()
    first = desk.open_payment(invoice)
    desk.shop.decline(first)  # no notice of it has come when the client tries again
    second = desk.open_payment(invoice)
    assert second != first
    desk.work()
    desk.settling.mark_paid("main", invoice, desk.clock.now())
    desk.shop.pay(second)
    desk.work()
    assert desk.thanks() == 1
    (task,) = desk.tasks()
    assert "лишние 1\u00a0200,00\u00a0₽ верните" in task


def test_money_that_went_back_is_told_and_told_of_each_part(desk: PayDesk) -> None:
    payment = desk.open_payment(desk.invoice())
    desk.shop.pay(payment)
    desk.work()
    for amount in ("200.00", "1000.00"):
        desk.shop.refund(payment, Decimal(amount))
        desk.work()
    first, second = desk.tasks()
    assert first.startswith(f"Возврат 200,00\u00a0₽ по документу «{NAME}»")
    assert "Осталось оплаченным: 0,00\u00a0₽ из 1\u00a0200,00\u00a0₽." in second
    assert desk.thanks() == 1


def test_refund_that_is_told_before_the_payment_is_one_task_and_no_thanks(desk: PayDesk) -> None:
    payment = desk.open_payment(desk.invoice())
    desk.shop.knobs.lose = 1
    desk.shop.pay(payment)
    desk.shop.refund(payment, Decimal("1200.00"))
    desk.work()
    desk.shop.tell_again(payment)
    desk.work()
    assert (desk.thanks(), len(desk.tasks())) == (0, 1)


def test_two_clicks_and_a_click_after_a_while_lead_to_one_payment(desk: PayDesk) -> None:
    invoice = desk.invoice()
    assert desk.open_payment(invoice) == desk.open_payment(invoice)
    desk.shop._clock.forward(timedelta(hours=2))
    again = desk.open_payment(invoice)  # the first has expired by now
    assert [one["status"] for one in desk.shop.payments()] == ["canceled", "pending"]
    desk.work()
    assert desk.open_payment(invoice) == again


def test_killed_between_the_providers_answer_and_our_row_nothing_is_lost(
    desk: PayDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoice = desk.invoice()
    begin = payments.change

    class Killed(BaseException):
        """As a kill: nothing catches it."""

    def die(*_: object, **__: object) -> None:
        raise Killed

    monkeypatch.setattr(payments, "change", die)
    of_it = desk.paying.invoice("main", invoice, desk.url(invoice).rsplit("/", 1)[1])
    assert of_it is not None
    with pytest.raises(Killed):
        desk.paying.begin(of_it)
    monkeypatch.setattr(payments, "change", begin)
    (row,) = desk.rows(invoice)
    assert (row.status, row.provider_id) == ("new", None)
    (made,) = desk.shop.payments()
    # The client had the address already in another tab; the notice knows more than we do.
    desk.shop.pay(made["id"])
    desk.work()
    (row,) = desk.rows(invoice)
    assert (row.status, row.provider_id) == ("succeeded", made["id"])
    assert desk.thanks() == 1


def test_after_such_a_kill_the_next_click_finds_the_same_payment(
    desk: PayDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoice = desk.invoice()
    with monkeypatch.context() as patch:
        patch.setattr(payments, "change", lambda *_, **__: 1 / 0)
        assert desk.click(invoice).status_code == 500
    assert desk.open_payment(invoice) == desk.shop.payments()[0]["id"]
    assert len(desk.shop.payments()) == 1


def test_a_lost_notice_is_made_up_for_by_asking_and_asking_ends(desk: PayDesk) -> None:
    paid, forgotten = desk.invoice(ordinal=1), desk.invoice(ordinal=2)
    desk.shop.knobs.lose = 100
    payment = desk.open_payment(paid)
    desk.open_payment(forgotten)
    desk.shop.pay(payment)
    desk.work()
    assert desk.settling.ask_due() == 0
    desk.later(minutes=3)
    assert desk.settling.ask_due() == 2
    desk.work()
    assert desk.thanks() == 1
    questions = 0
    for _ in range(5 * 12):
        desk.later(hours=2)
        questions += desk.settling.ask_due()
        desk.work()
    assert 5 <= questions <= 20
    assert desk.rows(forgotten)[0].ask_at is None


def test_void_invoice_cannot_be_paid_and_money_for_it_is_told(desk: PayDesk) -> None:
    invoice = desk.invoice()
    payment = desk.open_payment(invoice)
    with desk.db.begin() as conn:
        archive.void(conn, "main", invoice, "Клиент отказался", desk.clock.now())
    assert "Счёт аннулирован" in requests.get(desk.url(invoice), timeout=10).text
    assert desk.click(invoice).status_code == 409
    desk.shop.pay(payment)  # the page of the provider was open
    desk.work()
    assert desk.thanks() == 0
    (task,) = desk.tasks()
    assert task.startswith(f"Пришло 1\u00a0200,00\u00a0₽ по аннулированному документу «{NAME}» (ЮKassa).")


def test_the_address_of_a_corrected_invoice_leads_to_the_new_one(desk: PayDesk) -> None:
    old = desk.invoice()
    new = desk.invoice("1500.00", replaces=old)
    page = requests.get(desk.url(old), timeout=10).text
    assert "заменён новой редакцией" in page
    assert desk.url(new) in page
    assert desk.click(old).status_code == 409


def test_marked_by_hand_it_is_paid_like_by_link(desk: PayDesk) -> None:
    invoice = desk.invoice()
    assert desk.settling.mark_paid("main", invoice, desk.clock.now(), Decimal("200.00")) == 200
    desk.work()
    assert (desk.thanks(), len(desk.tasks())) == (0, 1)
    assert desk.settling.mark_paid("main", invoice, desk.clock.now()) == 1000
    desk.work()
    assert desk.thanks() == 1
    with pytest.raises(ConnectorError, match="уже оплачен"):
        desk.settling.mark_paid("main", invoice, desk.clock.now())
    with pytest.raises(ConnectorError, match="документа 99 нет"):
        desk.settling.mark_paid("main", 99, desk.clock.now())


def test_strangers_are_turned_away(desk: PayDesk) -> None:
    invoice = desk.invoice()
    wrong = desk.url(invoice).rsplit("/", 1)[0] + "/" + "0" * 32
    assert requests.get(wrong, timeout=10).status_code == 404
    assert requests.post(wrong, timeout=10).status_code == 404
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert requests.post(desk.url(invoice), headers=foreign, timeout=10).status_code == 403
    for address, body, status in (
        (desk.notice_url[:-1] + "x", b"{}", 403),
        (desk.notice_url.replace("yookassa", "static"), b"{}", 403),
        (desk.notice_url, b"{", 400),
        (desk.notice_url, b'{"type": "notification", "event": "payment.succeeded", "object": {}}', 400),
        (desk.notice_url, b" " * 70_000, 413),
    ):
        assert requests.post(address, data=body, timeout=10).status_code == status
    assert desk.shop.payments() == []


def test_opening_the_page_makes_no_payment_and_the_page_fetches_nothing(desk: PayDesk) -> None:
    answer = requests.get(desk.url(desk.invoice()), timeout=10)
    assert "1\u00a0200,00\u00a0₽" in answer.text
    assert "ООО «Ромашка»" in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"
    assert "http" not in answer.text
    assert desk.shop.payments() == []


def test_two_shops_in_one_process_do_not_mix(db: Database, clock: FixedClock) -> None:
    with PayDesk(db, clock) as one:
        other = YooKassa(PaymentConfig("yookassa", "1", "wrong", one.shop.api_url))
        mine = YooKassa(one.config.payment)
        with pytest.raises(PaymentError) as caught:
            other.check()
        assert mine.check() == f"тестовый магазин {one.shop.shop_id}"
        with pytest.raises(PaymentError):
            other.get("x")
        assert mine.get("x") is None
    assert caught.value.kind == "config"
    assert "wrong" not in str(caught.value)


def test_provider_that_does_not_answer_is_tried_again_later(desk: PayDesk) -> None:
    away = YooKassa(PaymentConfig("yookassa", "1", "key", "http://127.0.0.1:9"))
    with pytest.raises(PaymentError) as caught:
        away.check()
    assert caught.value.kind == "retry"
    desk.providers["main"].__init__(PaymentConfig("yookassa", "1", "key", "http://127.0.0.1:9"))  # type: ignore[misc]
    answer = desk.click(desk.invoice())
    assert answer.status_code == 503
    assert "Попробуйте через несколько минут" in answer.text


def test_static_link_carries_amount_number_and_purpose(db: Database, clock: FixedClock) -> None:
    link = "https://pay.example/?s={сумма}&n={номер}&p={назначение}"
    with PayDesk(db, clock, "static", link=link) as desk:
        invoice = desk.invoice()
        address = desk.click(invoice).headers["Location"]
        assert address.startswith("https://pay.example/?s=1200.00&n=2026-0001&p=%D0%9E")
        assert desk.click(invoice).headers["Location"] == address
        assert desk.settling.ask_due() == 0
        desk.settling.mark_paid("main", invoice, desk.clock.now())
        desk.work()
        assert desk.thanks() == 1
