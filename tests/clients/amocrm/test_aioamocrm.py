"""aioamocrm (httpx, pydantic), unmodified: its `http=` takes a transport that finds the names."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import aioamocrm
import httpx
import pytest
from aioamocrm import AmoCRMClient, Contact, CustomFieldValue, Lead, LongLivedToken, Note, OAuth2, Task

from tests.clients.amocrm.conftest import MOVED, REDIRECT, SUBDOMAIN, Account

T = TypeVar("T")


class ByName(httpx.AsyncHTTPTransport):
    """amoCRM's names on the TLS front; the name asked for and checked stays amoCRM's."""

    def __init__(self, account: Account) -> None:
        super().__init__(verify=account.tls.client_context)
        self._port = account.tls.port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        name = request.url.host
        request.extensions = {**request.extensions, "sni_hostname": name}
        request.url = request.url.copy_with(host="127.0.0.1", port=self._port)
        return await super().handle_async_request(request)


def run(
    account: Account,
    work: Callable[[AmoCRMClient], Coroutine[Any, Any, T]],
    *,
    auth: Any = None,
    subdomain: str = SUBDOMAIN,
    **options: Any,
) -> T:
    async def go() -> T:
        async with httpx.AsyncClient(transport=ByName(account), timeout=20) as http:
            client = AmoCRMClient(
                auth=auth or LongLivedToken(account.token),
                subdomain=subdomain,
                http=http,
                rate_limit=options.pop("rate_limit", None),
                **options,
            )
            return await work(client)

    return asyncio.run(go())


def test_account_users_pipelines_and_stages_are_read(account: Account) -> None:
    async def work(amo: AmoCRMClient) -> Any:
        pipelines = await amo.pipelines.list()
        return (
            await amo.account.get(with_=["amojo_id", "task_types", "datetime_settings"]),
            [user async for user in amo.users.iterate(with_=["role", "group"])],
            pipelines,
            await amo.pipelines.statuses(pipelines[0].id or 0),
        )

    found, users, pipelines, statuses = run(account, work)
    assert (found.id, found.subdomain) == (account.amo.world.account_id, SUBDOMAIN)
    assert len(users) == len(account.portal.users)
    assert [p.id for p in pipelines] == [p.id for p in account.amo.world.pipelines()]
    assert [s.id for s in statuses] == [s.id for s in pipelines[0].statuses]
    assert {142, 143} <= {s.id for s in statuses} and statuses[0].type == 1


def test_every_deal_comes_once_in_pages(account: Account) -> None:
    async def work(amo: AmoCRMClient) -> list[Lead]:
        found = amo.leads.iterate(order={"id": "asc"}, with_=["contacts", "loss_reason", "source_id"])
        return [lead async for lead in found]

    leads = run(account, work)
    live = [d.id for d in account.portal.deals.values() if not d.is_deleted]
    assert len(leads) > 1000 and [lead.id for lead in leads] == sorted(live)
    assert any(lead.embedded.contacts for lead in leads)


def test_filters_narrow_a_list(account: Account) -> None:
    pipeline = account.amo.world.main_pipeline()
    since = int((account.portal.now() - timedelta(days=30)).timestamp())
    wanted = {"statuses": [{"pipeline_id": pipeline.id, "status_id": 142}], "closed_at": {"from": since}}

    async def work(amo: AmoCRMClient) -> tuple[list[Lead], list[Lead]]:
        some = [lead async for lead in amo.leads.iterate(filter=wanted)]
        none = [lead async for lead in amo.leads.iterate(filter={"id": [999_999_999]})]
        return some, none

    some, none = run(account, work)
    assert some and all((x.status_id, x.pipeline_id) == (142, pipeline.id) for x in some) and none == []
    assert all((lead.closed_at or 0) >= since for lead in some)


def test_a_deal_with_its_people_is_made_changed_and_read_back(account: Account) -> None:
    async def work(amo: AmoCRMClient) -> tuple[Lead, Contact]:
        contact = Contact(first_name="Анна", last_name="Сергеева")
        contact.set_field("PHONE", "+79161112233", enum_code="MOB")
        (person,) = await amo.contacts.create([contact])
        lead = Lead(name="Окна", price=125_000)
        lead.embedded.tags.append(aioamocrm.Tag(name="сайт"))
        (made,) = await amo.leads.create([lead])
        await amo.leads.link(made.id or 0, "contacts", person.id or 0, metadata={"is_main": True})
        won = await amo.leads.update([{"id": made.id, "status_id": 142, "price": 130_000}])
        assert won[0].id == made.id and won[0].updated_at
        return await amo.leads.get(made.id or 0, with_=["contacts"]), await amo.contacts.get(person.id or 0)

    lead, contact = run(account, work)
    assert (lead.name, lead.price, lead.status_id) == ("Окна", 130_000, 142) and lead.closed_at
    assert [tag.name for tag in lead.embedded.tags] == ["сайт"]
    assert lead.embedded.contacts[0].id == contact.id and lead.embedded.contacts[0].is_main
    assert contact.field_value("PHONE", enum_code="MOB") == "+79161112233"


def test_custom_fields_are_read_and_written_by_code_and_id(account: Account) -> None:
    async def work(amo: AmoCRMClient) -> Lead:
        fields = [field async for field in amo.leads.custom_fields.iterate()]
        source = next(f for f in fields if f.code == "SOURCE")
        option = source.enums[0] if source.enums else None
        assert option is not None and source.enum_id(option.value or "") == option.id
        lead = Lead(name="Поля")
        lead.set_field(source.id or 0, CustomFieldValue(enum_id=option.id))
        lead.set_field("UTM_SOURCE", "yandex")
        (made,) = await amo.leads.create([lead])
        return await amo.leads.get(made.id or 0)

    lead = run(account, work)
    assert lead.field_value("UTM_SOURCE") == "yandex" and lead.field_value("SOURCE")


def test_a_batch_is_cut_and_a_wrong_item_is_named(account: Account) -> None:
    async def many(amo: AmoCRMClient) -> list[Any]:
        return await amo.leads.create([Lead(name=f"Партия {i}") for i in range(120)], batch_size=50)

    assert len({ref.id for ref in run(account, many)}) == 120

    async def wrong(amo: AmoCRMClient) -> None:
        await amo.leads.create([{"name": "Верная"}, {"name": "Неверная", "status_id": 5}])

    before = len(account.portal.deals)
    with pytest.raises(aioamocrm.ValidationError) as error:
        run(account, wrong)
    assert [(e.request_id, e.path, e.code) for e in error.value.errors] == [
        ("1", "status_id", "NotSupportedChoice")
    ]
    assert len(account.portal.deals) == before, "one wrong item fails the whole batch"


def test_complex_makes_the_tree_at_once(account: Account) -> None:
    async def work(amo: AmoCRMClient) -> Any:
        lead = Lead(name="Дерево")
        lead.embedded.contacts.append(Contact(first_name="Олег"))
        lead.embedded.companies.append(aioamocrm.Company(name="ООО «Лес»"))
        return await amo.leads.create_complex([lead])

    (made,) = run(account, work)
    assert account.portal.contacts[made.contact_id].company_id == made.company_id
    assert made.request_id == ["0"] and made.merged is False


def test_notes_and_tasks_go_round(account: Account) -> None:
    deal_id = account.some_deal()

    async def work(amo: AmoCRMClient) -> tuple[Note, list[Note], Task]:
        (note,) = await amo.leads.notes.create([Note.common(deal_id, "Перезвонить после 18")])
        due = int(time.time()) + 3600
        (task,) = await amo.tasks.create(
            [Task(text="Звонок", complete_till=due, entity_id=deal_id, entity_type="leads")]
        )
        await amo.tasks.complete(task.id or 0, result="Договорились")
        return (
            await amo.leads.notes.get(note.id or 0, entity_id=deal_id),
            [n async for n in amo.leads.notes.iterate(entity_id=deal_id, filter={"note_type": ["common"]})],
            await amo.tasks.get(task.id or 0),
        )

    note, notes, task = run(account, work)
    assert note.text == "Перезвонить после 18" and note.id in [n.id for n in notes]
    assert task.is_completed and task.result and task.result.text == "Договорились"


def test_events_tell_the_moves(account: Account) -> None:
    deal_id = account.some_deal()

    async def work(amo: AmoCRMClient) -> Any:
        await amo.leads.update([{"id": deal_id, "status_id": 143}])
        wanted = {"filter": {"entity": ["lead"], "entity_id": [deal_id], "type": ["lead_status_changed"]}}
        return await amo.request("GET", "events", params={**wanted, "limit": 100})

    newest = run(account, work)["_embedded"]["events"][0]
    assert newest["value_after"][0]["lead_status"]["id"] == 143
    assert newest["value_before"][0]["lead_status"]["id"] != 143


def test_hooks_are_subscribed_delivered_and_parsed(account: Account) -> None:
    deal_id = account.some_deal()
    codes = ["update_lead", "status_lead", "responsible_lead", "note_lead", "add_contact", "add_task"]

    async def work(amo: AmoCRMClient) -> None:
        await amo.request("POST", "webhooks", json={"destination": account.hooks.url, "settings": codes})
        hooks = await amo.request("GET", "webhooks", params={"filter": {"destination": account.hooks.url}})
        assert hooks["_embedded"]["webhooks"][0]["settings"] == codes
        await amo.leads.update([{"id": deal_id, "status_id": 142}])
        await amo.leads.notes.create([Note.common(deal_id, "Заметка & <b>")])
        contact = Contact(name="Ирина")
        contact.set_field("EMAIL", "irina@example.com", enum_code="WORK")
        await amo.contacts.create([contact])
        await amo.tasks.create([{"text": "Дело", "complete_till": int(time.time())}])

    run(account, work)
    parsed = [aioamocrm.parse_webhook(caught.body) for caught in account.hooks.wait_for(5)]
    assert {hook.account_id for hook in parsed} == {account.amo.world.account_id}
    assert {hook.subdomain for hook in parsed} == {SUBDOMAIN}
    events = {(e.entity, e.action): e for hook in parsed for e in hook.events}
    assert set(events) == {
        ("leads", "status"),
        ("leads", "update"),
        ("leads", "note"),
        ("contacts", "add"),
        ("task", "add"),
    }
    moved = events["leads", "status"]
    assert (moved.id, moved.payload["status_id"]) == (deal_id, "142") and moved.payload["old_status_id"]
    assert events["leads", "note"].payload["note"]["text"] == "Заметка & <b>"
    assert events["contacts", "add"].field_value("EMAIL") == "irina@example.com"
    assert events["contacts", "add"].payload["type"] == "contact"


def make_auth(account: Account, **options: Any) -> OAuth2:
    oauth = account.amo.oauth
    return OAuth2(oauth.client_id, oauth.client_secret, REDIRECT, **options)


def test_code_is_exchanged_and_refresh_rotates(account: Account) -> None:
    now = [time.time()]
    auth = make_auth(account, clock=lambda: now[0])

    async def work(amo: AmoCRMClient) -> tuple[Any, Any]:
        first = await amo.exchange_code(account.amo.oauth.issue_code())
        assert (await amo.account.get()).id == account.amo.world.account_id
        now[0] += 86_400  # by the client's clock the access token is over
        await amo.account.get()
        return first, await auth.storage.load()

    first, second = run(account, work, auth=auth)
    assert first.access_token != second.access_token and first.refresh_token != second.refresh_token


def test_a_dead_access_token_is_renewed_after_401_and_a_dead_refresh_token_is_told(account: Account) -> None:
    auth = make_auth(account)

    async def work(amo: AmoCRMClient) -> None:
        first = await amo.exchange_code(account.amo.oauth.issue_code())
        account.sandbox.clock.forward(timedelta(hours=25))
        await amo.account.get()
        second = await auth.storage.load()
        assert second is not None and second.refresh_token != first.refresh_token
        account.sandbox.clock.forward(timedelta(days=91))
        with pytest.raises(aioamocrm.AuthError, match="Token has expired"):
            await amo.account.get()

    run(account, work, auth=auth)


def test_a_moved_account_is_found(account: Account) -> None:
    auth = make_auth(account, clock=lambda: time.time() + 86_400)

    async def work(amo: AmoCRMClient) -> None:
        await amo.exchange_code(account.amo.oauth.issue_code())
        account.amo.oauth.move(f"https://{MOVED}.amocrm.ru", MOVED)
        auth._clock = lambda: time.time() + 2 * 86_400
        with pytest.raises(aioamocrm.AccountMovedError) as error:
            await amo.account.get()
        assert error.value.domain == f"{MOVED}.amocrm.ru"

    run(account, work, auth=auth)

    async def at_home(amo: AmoCRMClient) -> str | None:
        return (await amo.account.get()).subdomain

    assert run(account, at_home, auth=auth, subdomain=MOVED) == MOVED


def test_html_429_is_survived_and_the_block_is_told(account: Account) -> None:
    account.sandbox.faults.limits_on = True
    patient = aioamocrm.RetryPolicy(max_attempts=10, backoff_base=0.1, backoff_max=1.0)

    async def work(amo: AmoCRMClient) -> None:
        await asyncio.gather(*(amo.account.get() for _ in range(12)))
        account.amo.world.switches.block_after = 1
        answers = await asyncio.gather(*(amo.account.get() for _ in range(20)), return_exceptions=True)
        assert any(isinstance(answer, aioamocrm.ForbiddenError) for answer in answers)

    refused = account.amo.gate.refused
    run(account, work, retry=patient)
    assert account.amo.gate.refused > refused


def test_its_own_limiter_keeps_the_limit(account: Account) -> None:
    account.sandbox.faults.limits_on = True
    account.amo.world.switches.rate_window = "sliding"
    refused = account.amo.gate.refused

    async def work(amo: AmoCRMClient) -> None:
        await asyncio.gather(*(amo.account.get() for _ in range(10)))

    run(account, work, rate_limit=5.0)
    assert account.amo.gate.refused == refused


def test_errors_have_their_classes(account: Account) -> None:
    async def work(amo: AmoCRMClient) -> None:
        with pytest.raises(aioamocrm.NotFoundError):
            await amo.leads.get(999_999_999)
        with pytest.raises(aioamocrm.NotFoundError, match="Custom field not found"):
            await amo.leads.custom_fields.get(1)
        with pytest.raises(aioamocrm.ValidationError) as error:
            await amo.request("POST", "webhooks", json={"destination": "ftp://x", "settings": []})
        assert error.value.errors[0].path == "destination.destination"
        with pytest.raises(aioamocrm.AmoCRMError) as refused:
            await amo.request("DELETE", "leads", json=[])
        assert refused.value.status_code == 405

    run(account, work)

    async def stranger(amo: AmoCRMClient) -> None:
        await amo.account.get()

    with pytest.raises(aioamocrm.AuthError, match="Неверный логин или пароль"):
        run(account, stranger, auth=LongLivedToken("x.y.z"))
