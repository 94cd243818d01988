"""amocrm-api (the `amocrm.v2` package, requests), unmodified: it insists on https://{subdomain}.amocrm.ru."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from amocrm.v2 import Company, Contact, Lead, Pipeline, Tag, Task, User, exceptions, tokens
from amocrm.v2.entity.call import Call, Direction
from amocrm.v2.entity.call import Status as CallStatus
from amocrm.v2.entity.events import Event
from amocrm.v2.filters import (
    DateRangeFilter,
    EventsFiltersByPipelineAndStatus,
    FiltersByPipelineAndStatus,
    SingleFilter,
    SingleListFilter,
)
from amocrm.v2.interaction import BaseInteraction

from tests.clients.amocrm.conftest import REDIRECT, SUBDOMAIN, Account


def configure(account: Account) -> tokens.MemoryTokensStorage:
    oauth = account.amo.oauth
    storage = tokens.MemoryTokensStorage()
    manager = tokens.default_token_manager
    manager._storage = None  # it keeps the first one for good
    manager(oauth.client_id, oauth.client_secret, SUBDOMAIN, REDIRECT, storage=storage)
    return storage


@pytest.fixture
def amo(by_name: Account) -> Iterator[Account]:
    """The account with the library's global manager signed in by a long-lived token."""
    configure(by_name).save_tokens(by_name.token, "")
    yield by_name
    tokens.default_token_manager._storage = None


def test_users_pipelines_and_stages_are_read(amo: Account) -> None:
    assert len(list(User.objects.all())) == len(amo.portal.users)
    pipelines = list(Pipeline.objects.all())
    assert [p.id for p in pipelines] == [p.id for p in amo.amo.world.pipelines()]
    assert {142, 143} <= {status.id for status in pipelines[0].statuses}


def test_every_deal_comes_once_in_pages(amo: Account) -> None:
    found = [lead.id for lead in Lead.objects.all()]
    live = sorted(d.id for d in amo.portal.deals.values() if not d.is_deleted)
    assert len(found) > 1000 and sorted(found) == live


def test_filters_narrow_a_list(amo: Account) -> None:
    pipeline, now = amo.amo.world.main_pipeline(), amo.portal.now()
    wanted = [
        FiltersByPipelineAndStatus("statuses")(pipeline.id, 142),
        DateRangeFilter("closed_at")(now - timedelta(days=60), now),
    ]
    leads = list(Lead.objects.filter(filters=wanted))
    assert leads and {lead.status.id for lead in leads[:3]} == {142}
    assert list(Lead.objects.filter(filters=[SingleFilter("id")(999_999_999)])) == []


def test_a_deal_with_its_people_is_made_changed_and_read_back(amo: Account) -> None:
    pipeline = Pipeline.objects.get(amo.amo.world.main_pipeline().id)
    lead = Lead(name="Кухня", price=90_000, pipeline=pipeline.id)
    lead.save()
    contact = Contact(name="Елена", first_name="Елена", last_name="Крылова").save()
    lead = Lead.objects.get(lead.id)
    lead.contacts.append(contact, main=True)
    lead.tags.append("каталог")
    lead.price = 95_000
    lead.status = 142
    lead.save()
    again = Lead.objects.get(lead.id)
    assert (again.name, again.price, again.status.id) == ("Кухня", 95_000, 142)
    assert again.closed_at and [tag.name for tag in again.tags] == ["каталог"]
    assert [c.id for c in again.contacts] == [contact.id]
    assert again.responsible_user.id == amo.amo.world.api_user_id


def test_companies_and_tags(amo: Account) -> None:
    company = Company(name="ООО «Север»").save()
    assert Company.objects.get(company.id).name == "ООО «Север»"
    made = Tag.leads.create(name="опт")
    assert made.id in [tag.id for tag in Tag.leads.all()]


def test_notes_of_a_deal(amo: Account) -> None:
    lead = Lead.objects.get(amo.some_deal())
    note = lead.notes(text="Просит скидку").save()
    found = {n.id: n for n in lead.notes.objects.all()}
    assert found[note.id].text == "Просит скидку" and found[note.id].note_type == "common"


def test_tasks_of_a_deal_with_their_times_as_floats(amo: Account) -> None:
    lead = Lead.objects.get(amo.some_deal())
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    lead.tasks.add(Task(text="Отправить КП", complete_till=due, task_type_id=1))
    (task,) = [task for task in lead.tasks if task.text == "Отправить КП"]
    assert task.complete_till == due.replace(tzinfo=None) and task.entity.id == lead.id
    # Without a result a task has an empty array there (reference 4.10), which the library's field cannot set.
    Task.objects.update(task.id, is_completed=True, result={"text": "Отправлено"})
    again = Task.objects.get(task.id)
    assert again.is_completed and again.result == "Отправлено"


def test_floats_are_refused_where_the_account_is_strict(amo: Account) -> None:
    amo.amo.world.switches.whole_floats_are_ints = False
    with pytest.raises(exceptions.ValidationError):
        Task(text="КП", complete_till=datetime.now(UTC), task_type_id=1).save()


def test_events_and_history(amo: Account) -> None:
    lead = Lead.objects.get(amo.some_deal())
    before = amo.portal.deals[lead.id].stage
    lead.status = 143
    lead.save()
    wanted: list[Any] = [SingleListFilter("type")("lead_status_changed")]
    wanted += [EventsFiltersByPipelineAndStatus("x")(amo.portal.deals[lead.id].pipeline_id, int(before))]
    newest = next(iter(Event.objects.filter(filters=wanted)))
    assert (newest.entity_id, newest.value_after["id"], newest.value_before["id"]) == (
        lead.id,
        143,
        int(before),
    )
    some = itertools.islice(Event.objects.all(), 500)
    read = [(event.type, event.value_after, event.value_before) for event in some]
    assert len(read) == 500, "each value is taken apart by the library's own reader"


def test_calls_find_their_deal(amo: Account) -> None:
    contact = next(c for c in amo.portal.contacts.values() if c.phones)
    answer = Call().create(
        Direction.INBOUND, contact.phones[0], "АТС", 65, uniq="u-1", status=CallStatus.SUCCESS
    )
    assert answer["entity_id"] and answer["entity_type"] in ("lead", "contact")


def test_hooks_are_subscribed_and_listed(amo: Account) -> None:
    raw = BaseInteraction()
    wanted = {"destination": f"{amo.hooks.url}/amo", "settings": ["add_lead"]}
    assert raw.request("post", "webhooks", data=wanted)[1] == 201
    found, _ = raw.request("get", "webhooks", params={"filter[destination]": wanted["destination"]})
    assert found["_embedded"]["webhooks"][0]["disabled"] is False
    Lead(name="С хуком", price=0).save()
    (caught,) = amo.hooks.wait_for(1)
    assert b"leads%5Badd%5D%5B0%5D%5Bname%5D=" in caught.body
    assert raw.request("delete", "webhooks", data=wanted) == (None, 204)


def test_code_is_exchanged_and_refresh_rotates(by_name: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = configure(by_name)
    code = by_name.amo.oauth.issue_code()
    tokens.default_token_manager.init(code)
    first = storage.get_refresh_token()
    assert len(list(User.objects.all())) == len(by_name.portal.users)
    with pytest.raises(Exception, match="Authorization code has been revoked"):
        tokens.default_token_manager.init(code)
    # The library looks at `exp` of the access token: one that is over is renewed before the call.
    monkeypatch.setattr(tokens.TokenManager, "_is_expire", staticmethod(lambda token: True))
    assert len(list(User.objects.all())) == len(by_name.portal.users)
    assert storage.get_refresh_token() != first
    storage.save_tokens(storage.get_access_token() or "", first or "")
    with pytest.raises(EnvironmentError, match="Token has been revoked"):
        list(User.objects.all())


def test_refusals_have_their_classes(amo: Account) -> None:
    with pytest.raises(exceptions.NotFound):
        Lead.objects.get(999_999_999)
    with pytest.raises(exceptions.ValidationError):
        Lead(name="А", pipeline=5).save()
    amo.sandbox.faults.limits_on = True
    with pytest.raises(exceptions.AmoApiException, match="429"):  # it has no patience of its own
        for _ in range(20):
            Lead.objects.get(amo.some_deal())
    amo.amo.world.switches.block_after = 1
    with pytest.raises(exceptions.PermissionsDenyException):
        for _ in range(20):
            try:
                Lead.objects.get(amo.some_deal())
            except exceptions.AmoApiException as error:
                if type(error) is not exceptions.AmoApiException:
                    raise
