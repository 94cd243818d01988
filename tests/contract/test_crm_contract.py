"""What every CRM client owes the product, checked over both against the sandbox.

The sandbox was written from the CRMs' documentation, not from these clients; its portals are the truth here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from connector.clock import SystemClock
from connector.config import AccountConfig
from connector.crm import CRMS
from connector.crm.share import BackgroundShare
from connector.domain import SERVICE_TAG, CrmFile, DealMark, Outcome
from connector.errors import CrmError
from connector.sandbox.state import Deal as PortalDeal
from connector.store.database import Database
from connector.store.facts import fingerprint
from connector.store.rate_limits import SharedLimiter
from tests.contract.office import (
    SECRET,
    Office,
    PatientClock,
    first_stage,
    fresh_deal,
    outcome_of,
    seen,
    some_deals,
    whole_roubles,
)
from tests.crm.limiter import Turnstile


class TestCrmContract:
    def test_the_account_tells_its_zone_and_whose_credentials_these_are(self, office: Office) -> None:
        info = office.client.account_info()
        owner = office.portal.users[int(info.user_id)]
        assert info.user_name == " ".join(filter(None, (owner.name, owner.last_name)))
        assert info.is_admin == owner.is_admin
        assert info.timezone == office.portal.timezone
        assert info.currency == office.portal.currency
        assert info.name
        assert info.account_id

    def test_pipelines_come_with_their_stages_in_order(self, office: Office) -> None:
        pipelines = {pipeline.id: pipeline for pipeline in office.client.pipelines()}
        assert pipelines.keys() == {str(pipeline_id) for pipeline_id in office.portal.pipelines}
        for truth in office.portal.pipelines.values():
            pipeline = pipelines[str(truth.id)]
            assert (pipeline.name, pipeline.is_main) == (truth.name, truth.is_main)
            ours = {stage.id: (stage.name, stage.outcome.value) for stage in pipeline.stages}
            for stage in truth.stages:
                assert ours[stage.code] == (stage.name, stage.kind)
            order = [stage.outcome is not Outcome.OPEN for stage in pipeline.stages]
            assert order == sorted(order)

    def test_users_are_read(self, office: Office) -> None:
        users = {user.id: user for user in office.client.users()}
        for truth in office.portal.users.values():
            user = users[str(truth.id)]
            assert user.name == " ".join(filter(None, (truth.name, truth.last_name)))
            assert (user.email, user.is_active) == (truth.email, truth.is_active)
        owner = office.client.account_info()
        assert users[owner.user_id].is_admin == owner.is_admin
        assert not users[office.user_id].is_admin

    def test_loss_reasons_are_read(self, office: Office) -> None:
        reasons = {reason.id: reason.name for reason in office.client.loss_reasons()}
        assert reasons == {str(key): name for key, name in office.portal.loss_reasons.items()}

    @pytest.mark.parametrize(
        "chosen",
        [
            pytest.param(lambda deal: deal.closed_at is None, id="open"),
            pytest.param(lambda deal: deal.loss_reason_id is not None, id="lost"),
            pytest.param(lambda deal: deal.closed_at and deal.loss_reason_id is None, id="closed"),
            pytest.param(lambda deal: not deal.amount, id="without amount"),
            pytest.param(lambda deal: deal.utm, id="with utm"),
            pytest.param(lambda deal: deal.channel is None, id="without channel"),
            pytest.param(lambda deal: not deal.responsible_id, id="without responsible"),
        ],
    )
    def test_a_deal_is_read_as_it_is(self, office: Office, chosen: Callable[[PortalDeal], object]) -> None:
        for truth in some_deals(office.portal, chosen):
            deal = seen(office, truth)
            assert deal.account == office.client.account
            assert (deal.id, deal.name) == (str(truth.id), truth.name)
            assert (deal.pipeline_id, deal.stage_id) == (str(truth.pipeline_id), truth.stage)
            assert deal.outcome == outcome_of(office.portal, truth)
            assert deal.amount == whole_roubles(office, truth.amount)
            assert deal.currency == truth.currency
            assert deal.responsible_id == (str(truth.responsible_id) if truth.responsible_id else None)
            assert (deal.created_at, deal.updated_at) == (truth.created_at, truth.updated_at)
            assert deal.closed_at == truth.closed_at
            assert deal.contact_ids == tuple(map(str, truth.contact_ids))
            assert deal.company_id == (str(truth.company_id) if truth.company_id else None)
            expected_reason = str(truth.loss_reason_id) if truth.loss_reason_id else None
            assert deal.loss_reason_id == expected_reason
            assert deal.channel == (office.portal.channels[truth.channel] if truth.channel else None)
            assert deal.utm_source == truth.utm.get("source", "").strip()
            assert deal.utm_medium == truth.utm.get("medium", "").strip()
            assert deal.utm_campaign == truth.utm.get("campaign", "").strip()
            assert not deal.is_deleted

    def test_an_unknown_deal_is_none(self, office: Office) -> None:
        assert office.client.deal("987654321") is None

    def test_a_deleted_deal_is_none_or_says_so(self, office: Office) -> None:
        truth = some_deals(office.portal, lambda deal: True)[-1]
        office.portal.delete_deal(truth.id, by=0)
        deal = office.client.deal(str(truth.id))
        assert deal is None or deal.is_deleted

    def test_a_card_has_all_that_a_document_needs(self, office: Office) -> None:
        for truth in some_deals(office.portal, lambda d: d.rows and d.company_id and d.contact_ids):
            card = office.client.card(seen(office, truth))
            company = office.portal.companies[truth.company_id or 0]
            assert card.company is not None
            assert (card.company.name, list(card.company.emails)) == (company.name, company.emails)
            details = asdict(company.requisites) if company.requisites else {}
            details.pop("id", None)
            assert asdict(card.company.requisites) == details
            assert [contact.id for contact in card.contacts] == list(map(str, truth.contact_ids))
            main = office.portal.contacts[truth.contact_ids[0]]
            assert card.main_contact is not None
            assert card.main_contact.is_main
            assert list(card.main_contact.phones) == main.phones
            assert list(card.main_contact.emails) == main.emails
            assert card.main_contact.post == main.post
            assert main.last_name in card.main_contact.name
            ours = [(row.name, row.quantity, row.price, row.vat_rate) for row in card.rows]
            assert ours == [(row.name, row.quantity, row.price, row.vat_rate) for row in truth.rows]

    def test_a_deal_without_company_and_rows_has_a_card_too(self, office: Office) -> None:
        deal = office.portal.add_deal(
            PortalDeal(0, "Пустая", *first_stage(office.portal), amount=Decimal(0)), by=0
        )
        card = office.client.card(seen(office, deal))
        assert (card.contacts, card.company, card.rows) == ((), None, ())

    def test_every_living_deal_is_listed_once(self, office: Office) -> None:
        listed = [deal.id for deal in office.client.deals()]
        living = {str(deal.id) for deal in office.portal.deals.values() if not deal.is_deleted}
        assert len(listed) == len(set(listed))
        assert set(listed) == living

    @pytest.mark.parametrize("may_filter", [True, False])
    def test_a_walk_over_all_deals_goes_on_behind_any_deal(self, office: Office, may_filter: bool) -> None:
        """What an earlier walk gave need not come again, and nothing behind it is left out."""
        if office.crm == "amocrm":
            office.sandbox.amocrm.world.switches.filters_paid = may_filter
            office = replace(office, client=office.again(office.limiter, PatientClock()))
        try:
            walk = list(office.client.deals())
            for stopped in (0, len(walk) // 2, len(walk) - 1):
                last = walk[stopped]
                mark = DealMark(last.id, last.created_at, last.updated_at)
                rest = [deal.id for deal in office.client.deals(after=mark)]
                behind = {deal.id for deal in walk[stopped + 1 :]}
                assert behind <= set(rest)
                assert len(rest) <= len(behind) + 50, "those of the same moment at most"
            count = office.client.deal_count()
            assert count is not None
            assert len(walk) - 250 <= count <= len(walk) + 250
        finally:
            if office.crm == "amocrm":
                office.sandbox.amocrm.world.switches.filters_paid = True

    def test_a_deal_is_the_same_in_a_list_and_by_itself(self, office: Office) -> None:
        """Otherwise comparing would find a difference in every deal, for ever."""
        listed = {deal.id: deal for deal in office.client.deals()}
        for truth in some_deals(office.portal, lambda deal: True, 20):
            assert fingerprint(listed[str(truth.id)]) == fingerprint(seen(office, truth))

    def test_deals_changed_since_a_moment_are_listed(self, office: Office) -> None:
        moment = office.portal.now() - timedelta(days=20)
        listed = {deal.id for deal in office.client.deals(moment)}
        changed = {
            str(deal.id)
            for deal in office.portal.deals.values()
            if deal.updated_at >= moment and not deal.is_deleted
        }
        assert listed == changed
        assert len(changed) > 50

    def test_the_moves_of_a_deal_are_its_history(self, office: Office) -> None:
        for truth in some_deals(office.portal, lambda deal: True, 10):
            rows = [row for row in office.portal.history if row.deal_id == truth.id]
            changes = list(office.client.stage_changes(deal_id=str(truth.id)))
            assert [(c.at, c.to_pipeline_id, c.to_stage_id, c.from_stage_id) for c in changes] == [
                (row.at, str(row.to_pipeline_id), row.to_stage, row.from_stage) for row in rows
            ]
            assert len({change.event_id for change in changes}) == len(rows)
            again = list(office.client.stage_changes(deal_id=str(truth.id), since=rows[-1].at))
            assert again == [change for change in changes if change.at >= rows[-1].at]

    def test_moves_read_in_bulk_are_those_read_one_by_one(self, office: Office) -> None:
        moment = office.portal.now() - timedelta(days=10)
        bulk = list(office.client.stage_changes(since=moment))
        assert len(bulk) > 50
        assert [change.at for change in bulk] == sorted(change.at for change in bulk)
        assert len({change.event_id for change in bulk}) == len(bulk)
        for deal_id in sorted({change.deal_id for change in bulk})[:15]:
            alone = list(office.client.stage_changes(deal_id=deal_id, since=moment))
            assert [change for change in bulk if change.deal_id == deal_id] == alone

    def test_a_new_move_shows_at_once(self, office: Office) -> None:
        truth = some_deals(office.portal, lambda deal: deal.closed_at is None)[0]
        stages = [s for s in office.portal.pipelines[truth.pipeline_id].stages if s.code != truth.stage]
        office.portal.update_deal(truth.id, {"stage": stages[0].code}, by=int(office.user_id))
        last = list(office.client.stage_changes(deal_id=str(truth.id)))[-1]
        assert (last.from_stage_id, last.to_stage_id) == (truth.stage, stages[0].code)
        assert seen(office, truth).stage_id == stages[0].code

    def test_deals_of_a_contact_and_of_a_company_are_found(self, office: Office) -> None:
        truth = some_deals(office.portal, lambda deal: deal.company_id and deal.contact_ids)[0]
        assert str(truth.id) in office.client.deals_of(contact_id=str(truth.contact_ids[0]))
        company = {
            str(d.id)
            for d in office.portal.deals.values()
            if d.company_id == truth.company_id and not d.is_deleted
        }
        assert set(office.client.deals_of(company_id=str(truth.company_id))) == company

    def test_a_note_with_files_is_made_once_however_often_it_is_tried(
        self, office: Office, since: datetime
    ) -> None:
        deal_id = str(fresh_deal(office).id)
        files = [
            CrmFile("Счёт № 7.pdf", bytes(range(256)) * 5000, "application/pdf"),
            CrmFile("Договор.docx", b"docx", "application/octet-stream"),
        ]
        text = "Отправлены счёт № 7 и договор\nна почту"
        before = set(office.portal.notes)
        first = office.client.add_note(deal_id, text, files=files, since=since)
        made = set(office.portal.notes) - before
        assert int(first) in made
        again = office.client.add_note(deal_id, text, files=files, may_exist=True, since=since)
        assert again == first
        assert set(office.portal.notes) - before == made
        stored = {
            office.portal.files[file_id].content
            for note_id in made
            for file_id in office.portal.notes[note_id].file_ids
        }
        assert stored == {file.content for file in files}
        assert any(text in office.portal.notes[note_id].text for note_id in made)
        assert {office.portal.notes[note_id].entity_id for note_id in made} == {int(deal_id)}

    def test_an_equal_note_of_earlier_work_is_not_taken_for_ours(
        self, office: Office, since: datetime
    ) -> None:
        deal_id = str(fresh_deal(office).id)
        first = office.client.add_note(deal_id, "Звонок", since=since)
        later = since + timedelta(hours=1)
        assert office.client.add_note(deal_id, "Звонок", may_exist=True, since=later) != first

    def test_files_may_go_without_a_text(self, office: Office, since: datetime) -> None:
        deal_id = str(fresh_deal(office).id)
        file = CrmFile("КП.pdf", b"%PDF", "application/pdf")
        first = office.client.add_note(deal_id, "", files=[file], since=since)
        assert office.client.add_note(deal_id, "", files=[file], may_exist=True, since=since) == first

    def test_a_task_is_made_once_and_closed_once(self, office: Office, since: datetime) -> None:
        deal_id = str(fresh_deal(office).id)
        due = (since + timedelta(days=1)).replace(microsecond=0)
        ask = {"responsible_id": office.user_id, "due_at": due, "since": since}
        task_id = office.client.add_task(deal_id, "Обсудить договор\nи сроки", **ask)
        assert office.client.add_task(deal_id, "Обсудить договор\nи сроки", may_exist=True, **ask) == task_id
        task = office.portal.tasks[int(task_id)]
        assert (str(task.responsible_id), task.due_at) == (office.user_id, due)
        assert (task.entity, task.entity_id, task.is_done) == ("deal", int(deal_id), False)
        assert "Обсудить договор" in task.text
        assert "и сроки" in task.text + task.description
        office.client.complete_task(task_id, "Договор подписан")
        closed = office.portal.tasks[int(task_id)]
        assert closed.is_done
        assert "Договор подписан" in closed.result + closed.description
        office.client.complete_task(task_id, "Поздно")
        assert office.portal.tasks[int(task_id)] == closed

    def test_a_task_for_nobody_goes_to_the_owner_of_the_credentials(
        self, office: Office, since: datetime
    ) -> None:
        task_id = office.client.add_task(
            str(fresh_deal(office).id), "Проверить", responsible_id=None, due_at=since, since=since
        )
        owner = office.client.account_info().user_id
        assert str(office.portal.tasks[int(task_id)].responsible_id) == owner

    def test_a_task_about_no_deal_is_made_once_too(self, office: Office, since: datetime) -> None:
        due = (since + timedelta(days=1)).replace(microsecond=0)
        ask = {"responsible_id": office.user_id, "due_at": due, "since": since}
        task_id = office.client.add_task(None, "Исправьте шаблон\nстрока 7", **ask)
        assert office.client.add_task(None, "Исправьте шаблон\nстрока 7", may_exist=True, **ask) == task_id
        assert str(office.portal.tasks[int(task_id)].responsible_id) == office.user_id
        office.client.complete_task(task_id, "Исправлено")
        assert office.portal.tasks[int(task_id)].is_done

    def test_a_task_that_is_gone_is_no_error(self, office: Office) -> None:
        office.client.complete_task("987654321", "неважно")

    def test_a_report_reaches_the_person_once(self, office: Office, since: datetime) -> None:
        title = "Продажи за вчера"
        first = office.client.post_report(title, "Итого: 3 сделки", to_user_id=office.user_id, since=since)
        again = office.client.post_report(
            title, "Итого: 3 сделки", to_user_id=office.user_id, may_exist=True, since=since
        )
        assert again == first
        seen_by_person = [
            text
            for user_id, text in [
                *((notice.user_id, notice.text) for notice in office.portal.notices.values()),
                *((task.responsible_id, task.text) for task in office.portal.tasks.values()),
            ]
            if str(user_id) == office.user_id and title in text
        ]
        assert len(seen_by_person) == (2 if office.crm == "bitrix24" else 1)

    # Bitrix24 shows reports in the messenger and needs no deal for them.
    @pytest.mark.parametrize("office", ["amocrm"], indirect=True)
    def test_all_reports_share_one_service_deal_which_says_what_it_is(
        self, office: Office, since: datetime
    ) -> None:
        for title in ("Первый", "Второй"):
            office.client.post_report(title, "текст", to_user_id=office.user_id, since=since)
        service = [deal for deal in office.portal.deals.values() if SERVICE_TAG in deal.tags]
        assert len(service) == 1
        assert SERVICE_TAG in seen(office, service[0]).tags

    def test_a_subscription_is_made_once_or_explained(self, office: Office) -> None:
        address = f"{office.sandbox.base_url}/hooks/{office.crm}/{SECRET}"
        first = office.client.subscribe(address)
        if office.crm == "bitrix24":
            assert any(address in step for step in first.manual_steps)
            assert not first.created
            return
        assert first.created
        assert first.manual_steps == ()
        second = office.client.subscribe(address)
        assert not second.created

    @pytest.mark.parametrize(
        ("status", "body", "content_type"),
        [
            (429, "<h1>429 Too Many Requests</h1>", "text/html"),
            (502, "<h1>502 Bad Gateway</h1>", "text/html"),
            (503, "", "text/html"),
        ],
    )
    def test_a_reading_survives_a_bad_moment(
        self, office: Office, status: int, body: str, content_type: str
    ) -> None:
        office.sandbox.faults.fail_next(1, status, body, content_type)
        assert office.client.pipelines()
        assert bool(office.limiter.pushed) == (status in (429, 503))

    def test_a_note_whose_answer_got_lost_is_found_on_the_next_attempt(
        self, office: Office, since: datetime
    ) -> None:
        deal_id = str(fresh_deal(office).id)
        path = {"amocrm": "/notes", "bitrix24": "crm.timeline.comment.add"}[office.crm]
        office.client.pipelines()
        office.sandbox.faults.fail_next(
            1, 502, "<h1>502</h1>", "text/html", path_part=path, method="POST", after_commit=True
        )
        with pytest.raises(CrmError) as caught:
            office.client.add_note(deal_id, "Счёт отправлен", since=since)
        assert caught.value.kind == "retry"
        office.client.add_note(deal_id, "Счёт отправлен", may_exist=True, since=since)
        notes = [note for note in office.portal.notes.values() if note.entity_id == int(deal_id)]
        assert len(notes) == 1

    @pytest.mark.parametrize("office", ["amocrm"], indirect=True)
    def test_a_file_linked_before_the_answer_got_lost_is_not_linked_twice(
        self, office: Office, since: datetime
    ) -> None:
        deal_id = str(fresh_deal(office).id)
        file = CrmFile("Счёт.pdf", b"%PDF-1.7", "application/pdf")
        office.client.pipelines()
        office.sandbox.faults.fail_next(1, 502, "<h1>502</h1>", "text/html", path_part="/leads/notes")
        before = set(office.portal.files)
        with pytest.raises(CrmError):
            office.client.add_note(deal_id, "Счёт", files=[file], since=since)
        office.client.add_note(deal_id, "Счёт", files=[file], may_exist=True, since=since)
        assert len(set(office.portal.files) - before) == 1

    def test_wrong_credentials_ask_for_new_ones(self, office: Office) -> None:
        told = office.sandbox.describe()[office.crm]
        url = told.get("base_url") or told["webhook_url"].rstrip("/").rpartition("/")[0] + "/wrong0secret"
        account = AccountConfig("wrong", office.crm, url, token="wrong0secret")  # type: ignore[arg-type]
        client = CRMS[office.crm].make_client(account, limiter=Turnstile(), clock=PatientClock())
        with pytest.raises(CrmError) as caught:
            client.pipelines()
        assert caught.value.kind == "reauth"
        assert "wrong0secret" not in str(caught.value)

    def test_the_shared_limiter_keeps_the_crm_from_refusing(self, office: Office, sqlite_url: str) -> None:
        database = Database(sqlite_url)
        office.sandbox.faults.limits_on = True
        pushed: list[str] = []

        class Watched(SharedLimiter):
            def push_back(self, key: str, until: datetime) -> None:
                pushed.append(key)

        client = office.again(Watched(database, SystemClock()), SystemClock())
        try:
            for _ in range(9):
                client.deal("987654321")
        finally:
            database.close()
        assert pushed == []

    def test_a_long_reading_beside_urgent_calls_is_not_refused_and_hardly_noticed(
        self, office: Office, sqlite_url: str
    ) -> None:
        database = Database(sqlite_url)
        office.sandbox.faults.limits_on = True
        pushed: list[str] = []

        class Watched(SharedLimiter):
            def push_back(self, key: str, until: datetime) -> None:
                pushed.append(key)

        limiter = Watched(database, SystemClock())
        background = office.again(BackgroundShare(limiter, SystemClock()), SystemClock())
        urgent = office.again(limiter, SystemClock())
        over = threading.Event()
        read: list[str] = []

        def read_all() -> None:
            for change in background.stage_changes():
                read.append(change.event_id)
                if over.is_set():
                    return

        urgent.deal("987654321")
        thread = threading.Thread(target=read_all)
        thread.start()
        try:
            waits = []
            for _ in range(8):
                began = time.monotonic()
                urgent.deal("987654321")
                waits.append(time.monotonic() - began)
        finally:
            over.set()
            thread.join()
            database.close()
        assert pushed == []
        assert read
        # Alternating with the background, amoCRM's calls would take a third of a second each.
        assert sorted(waits)[4] < 0.3
