"""The whole way, over HTTP and SMTP: a deal moves in the CRM, and what the rules promise arrives, once."""

from __future__ import annotations

import re
from decimal import Decimal
from io import BytesIO

import pytest
import requests
from pypdf import PdfReader

from connector.sandbox.app import Sandbox
from connector.sandbox.legal_ids import company_inn
from tests.e2e.stand import NO_GRACE, Stand


def text_of(content: bytes) -> str:
    return " ".join("".join(page.extract_text() for page in PdfReader(BytesIO(content)).pages).split())


def test_meeting_brings_contract_and_proposal_a_letter_and_a_task(stand: Stand) -> None:
    email = f"meeting-{stand.crm}@example.ru"
    deal_id = stand.add_deal(email=email)
    stand.move(deal_id, "Встреча проведена")
    stand.wait_for(lambda: len(stand.files(deal_id)) >= 3, "documents in the deal")
    (letter,) = stand.wait_for(lambda: stand.letters(email), "the letter")
    stand.settle()

    kinds = sorted(name.rsplit(".", 1)[1] for name in stand.file_names(deal_id))
    assert kinds == ["docx", "pdf", "pdf"]
    attached = sorted(file["name"] for file in letter["attachments"])
    assert attached == stand.file_names(deal_id)
    assert any("договор" in text.lower() for text in stand.task_texts(deal_id))
    contract = next(
        f for f in stand.files(deal_id) if f.name.startswith("Договор") and f.name.endswith(".pdf")
    )
    text = text_of(contract.content)
    assert "Ромашка" in text
    assert "None" not in text


def test_invoice_has_words_vat_and_payment_code(stand: Stand) -> None:
    deal_id = stand.add_deal(email=f"invoice-{stand.crm}@example.ru", amount=Decimal("122000.50"))
    stand.move(deal_id, "Счёт выставлен")
    stand.wait_for(lambda: stand.letters(f"invoice-{stand.crm}@example.ru"), "the letter")
    stand.settle()
    (invoice,) = [file for file in stand.files(deal_id) if file.name.startswith("Счёт")]
    text = text_of(invoice.content)
    assert "Сто двадцать две тысячи рублей 50 копеек" in text
    assert "в том числе НДС" in text.lower() or "22 000,09" in text.replace("\xa0", " ")


def test_loss_without_a_reason_makes_a_task_that_asks_for_it(stand: Stand) -> None:
    silent, told = stand.add_deal(), stand.add_deal()
    reason = min(stand.portal.loss_reasons)
    stand.move(silent, "Закрыто и не реализовано")
    stand.move(told, "Закрыто и не реализовано", loss_reason_id=reason)
    stand.wait_for(lambda: any("причин" in text.lower() for text in stand.task_texts(silent)), "the task")
    stand.settle()
    assert not any("причин" in text.lower() for text in stand.task_texts(told))


def test_missing_datum_holds_the_document_asks_once_and_goes_by_itself(stand: Stand) -> None:
    email = f"held-{stand.crm}@example.ru"
    deal_id = stand.add_deal(email=email, inn="")
    stand.move(deal_id, "Встреча проведена")
    stand.wait_for(lambda: any("ИНН" in text for text in stand.task_texts(deal_id)), "the task that asks")
    stand.settle()
    asking = [task for task in stand.tasks(deal_id) if "ИНН" in f"{task.text}{task.description}"]
    assert len(asking) == 1
    assert asking[0].responsible_id == stand.portal.deals[deal_id].responsible_id
    assert not any(name.startswith("Договор") for name in stand.file_names(deal_id))
    assert stand.letters(email) == []

    stand.set_inn(deal_id, company_inn(54321))
    stand.wait_for(lambda: stand.letters(email), "the letter, once the ИНН is there")
    stand.settle()
    assert len([name for name in stand.file_names(deal_id) if name.startswith("Договор")]) == 2
    assert stand.portal.tasks[asking[0].id].is_done


def test_contact_without_an_address_holds_the_letter_and_not_the_documents(stand: Stand) -> None:
    deal_id = stand.add_deal(email=None)
    stand.move(deal_id, "Встреча проведена")
    stand.wait_for(
        lambda: any("mail" in text.lower() for text in stand.task_texts(deal_id)), "the task that asks"
    )
    stand.settle()
    assert len(stand.files(deal_id)) == 3
    email = f"filled-{stand.crm}@example.ru"
    stand.set_email(deal_id, email)
    (letter,) = stand.wait_for(lambda: stand.letters(email), "the letter")
    stand.settle()
    assert len(letter["attachments"]) == 3


def test_deal_without_amount_or_contact_is_held_with_a_clear_reason(stand: Stand) -> None:
    free = stand.add_deal(amount=Decimal(0))
    lonely = stand.add_deal(with_contact=False)
    for deal_id in (free, lonely):
        stand.move(deal_id, "Счёт выставлен")
    stand.wait_for(lambda: all(stand.tasks(deal_id) for deal_id in (free, lonely)), "tasks")
    stand.settle()
    for deal_id in (free, lonely):
        lines = stand.story(deal_id)
        assert "ждёт данных" in lines, lines
    assert stand.files(free) == []


def test_hostile_client_name_is_printed_as_it_is(stand: Stand) -> None:
    email = f"hostile-{stand.crm}@example.ru"
    deal_id = stand.add_deal(name="{{ 7*7 }}", company="ООО «Рога & Копыта» <script>", email=email)
    stand.move(deal_id, "Счёт выставлен")
    (letter,) = stand.wait_for(lambda: stand.letters(email), "the letter")
    stand.settle()
    (invoice,) = [file for file in stand.files(deal_id) if file.name.startswith("Счёт")]
    assert "ООО «Рога & Копыта» <script>" in text_of(invoice.content)
    assert "<script>" not in str(letter["html"])


def test_moves_back_and_forth_within_a_minute_act_once(stand: Stand) -> None:
    email = f"bounce-{stand.crm}@example.ru"
    deal_id = stand.add_deal(email=email)
    for stage in (
        "Встреча проведена",
        "Встреча назначена",
        "Встреча проведена",
        "Встреча назначена",
        "Встреча проведена",
    ):
        stand.move(deal_id, stage)
    stand.wait_for(lambda: stand.letters(email), "the letter")
    stand.settle()
    assert len(stand.letters(email)) == 1
    assert len(stand.files(deal_id)) == 3


def test_two_moves_in_one_second_both_count(stand: Stand) -> None:
    email = f"fast-{stand.crm}@example.ru"
    deal_id = stand.add_deal(email=email)
    stand.move(deal_id, "Встреча проведена")
    stand.move(deal_id, "Счёт выставлен")
    stand.wait_for(lambda: len(stand.letters(email)) == 2, "both letters")
    stand.settle()
    names = stand.file_names(deal_id)
    assert any(name.startswith("Договор") for name in names)
    assert any(name.startswith("Счёт") for name in names)


def test_doubled_and_swapped_hooks_change_nothing(stand: Stand) -> None:
    faults = stand.sandbox.faults
    faults.duplicate = faults.reorder = True
    try:
        email = f"doubled-{stand.crm}@example.ru"
        deal_id = stand.add_deal(email=email)
        stand.move(deal_id, "Встреча проведена")
        stand.move(deal_id, "Счёт выставлен")
        stand.wait_for(lambda: len(stand.letters(email)) == 2, "both letters")
        stand.settle()
    finally:
        faults.duplicate = faults.reorder = False
    assert len(stand.letters(email)) == 2
    assert len(stand.files(deal_id)) == 4


def test_lost_hook_is_found_by_reconcile(stand: Stand) -> None:
    faults = stand.sandbox.faults
    email = f"lost-hook-{stand.crm}@example.ru"
    faults.drop_share = 1.0
    try:
        deal_id = stand.add_deal(email=email)
        stand.move(deal_id, "Счёт выставлен")
        stand.settle()
        assert stand.letters(email) == []
    finally:
        faults.drop_share = 0.0
    assert stand.app.reconcile.run("main", grace=NO_GRACE).differing >= 1
    stand.wait_for(lambda: stand.letters(email), "the letter")
    # The hooks of our own writes come in their time, and until then those are differences.
    stand.wait_for(
        lambda: stand.app.reconcile.run("main", grace=NO_GRACE).differing == 0, "nothing that differs"
    )
    assert len(stand.letters(email)) == 1


def test_own_writes_start_nothing(stand: Stand) -> None:
    deal_id = stand.add_deal(email=f"echo-{stand.crm}@example.ru")
    stand.move(deal_id, "Встреча проведена")
    stand.wait_for(lambda: stand.letters(f"echo-{stand.crm}@example.ru"), "the letter")
    stand.settle()
    before = (len(stand.notes(deal_id)), len(stand.tasks(deal_id)))
    stand.app.reconcile.run("main", grace=NO_GRACE)
    stand.settle()
    assert (len(stand.notes(deal_id)), len(stand.tasks(deal_id))) == before


@pytest.mark.parametrize("status", [429, 500, 503])
def test_crm_that_answers_html_is_asked_again(stand: Stand, status: int) -> None:
    email = f"html-{status}-{stand.crm}@example.ru"
    deal_id = stand.add_deal(email=email)
    stand.settle()
    stand.sandbox.faults.fail_next(2, status, "<html><body>busy</body></html>", "text/html")
    stand.move(deal_id, "Счёт выставлен")
    stand.wait_for(lambda: stand.letters(email), "the letter")
    stand.settle()
    assert len(stand.letters(email)) == 1


def test_why_names_rule_data_and_results(stand: Stand) -> None:
    deal_id = stand.add_deal(email=f"why-{stand.crm}@example.ru")
    stand.move(deal_id, "Счёт выставлен")
    stand.wait_for(lambda: stand.letters(f"why-{stand.crm}@example.ru"), "the letter")
    stand.settle()
    text = stand.story(deal_id)
    assert re.search(r"«.+» на «Счёт выставлен»: сработало", text)
    assert "документ «Счёт на оплату»: сделано" in text
    page = requests.get(f"{stand.base_url}/deals/main/{deal_id}", timeout=10)
    assert page.status_code == 200
    assert "сработало" in page.text


def test_deal_created_in_a_stage_counts_as_entering_it(stand: Stand) -> None:
    email = f"born-{stand.crm}@example.ru"
    stand.add_deal(email=email, stage="Счёт выставлен")
    stand.wait_for(lambda: stand.letters(email), "the letter")


def test_history_before_the_first_day_starts_nothing(sandbox: Sandbox, stand: Stand) -> None:
    done = stand.app.backfill.run("main")
    assert done.counts["deals"].read >= 400
    before = len(stand.sandbox.mailbox.letters())
    stand.settle()
    assert len(stand.sandbox.mailbox.letters()) == before
