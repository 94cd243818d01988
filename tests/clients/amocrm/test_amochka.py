"""amochka (requests), unmodified: it takes official domains over https only, so names lead to the sandbox."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from amochka import AmoCRMClient, CacheConfig
from amochka.errors import APIError, AuthenticationError, NotFoundError
from amochka.etl import export_events_to_ndjson, export_leads_to_ndjson

from tests.clients.amocrm.conftest import REDIRECT, Account


def client(account: Account, token: dict[str, Any] | str | None = None, **options: Any) -> AmoCRMClient:
    given = token or {"access_token": account.token, "expires_at": time.time() + 3600}
    usual: dict[str, Any] = {"rate_limit": 1000, "retry_delay": 0.05, "disable_logging": True}
    return AmoCRMClient(
        base_url=account.url,
        token_file=given if isinstance(given, str) else json.dumps(given),
        cache_config=CacheConfig.disabled(),
        **{**usual, **options},
    )


def test_account_users_pipelines_and_task_types_are_read(by_name: Account) -> None:
    amo = client(by_name)
    assert amo.get_account(with_=["amojo_id"])["id"] == by_name.amo.world.account_id
    assert {t["code"] for t in amo.get_task_types()} >= {"FOLLOW_UP", "MEETING"}
    assert len(amo.fetch_users()) == len(by_name.portal.users)
    pipelines = amo.get_pipelines()
    assert [p["id"] for p in pipelines] == [p.id for p in by_name.amo.world.pipelines()]
    assert {142, 143} <= {s["id"] for s in pipelines[0]["_embedded"]["statuses"]}


def test_every_deal_comes_once_in_pages(by_name: Account) -> None:
    leads = client(by_name).fetch_leads(include_contacts=True)
    live = {d.id for d in by_name.portal.deals.values() if not d.is_deleted}
    assert len(leads) > 1000 and len(leads) == len(live) and {lead["id"] for lead in leads} == live


def test_export_to_files(by_name: Account, tmp_path: Path) -> None:
    since = datetime.now(UTC) - timedelta(days=14)
    amo = client(by_name)
    assert export_leads_to_ndjson(amo, tmp_path / "leads.ndjson", by_name.amo.world.account_id) > 1000
    count = export_events_to_ndjson(
        amo, tmp_path / "events.ndjson", by_name.amo.world.account_id, start=since
    )
    assert count == len((tmp_path / "events.ndjson").read_text().splitlines()) > 50


def test_a_deal_is_made_changed_and_read_by_its_fields(by_name: Account) -> None:
    amo = client(by_name)
    source, _ = amo.find_custom_field_id("Источник")
    made = amo.create_lead({"name": "Двери", "price": 5000, "utm_source": "vk", "tags_to_add": ["выставка"]})
    amo.update_lead(made["id"], {"price": 7000, "status_id": 142}, tags_to_add=["повтор"])
    deal = amo.get_deal_by_id(made["id"])
    assert (deal["price"], deal["status_id"], deal.get("utm_source")) == (7000, 142, "vk")
    assert {tag["name"] for tag in deal["_embedded"]["tags"]} == {"выставка", "повтор"}
    assert source and deal.get_field_type("Источник") == "select" and deal.get("Источник") is None


def test_batches_links_notes_and_tasks(by_name: Account) -> None:
    amo = client(by_name)
    leads = amo.create_leads([{"name": f"Партия {i}"} for i in range(60)])
    assert len({lead["id"] for lead in leads}) == 60
    phone = {"field_code": "PHONE", "values": [{"value": "+79160009988", "enum_code": "WORK"}]}
    contact = amo.create_contact({"name": "Павел", "custom_fields_values": [phone]})
    lead_id = leads[0]["id"]
    amo.link_entity("lead", lead_id, contact["id"], "contact", {"is_main": True})
    (link,) = amo.get_entity_links("lead", lead_id)
    assert (link["to_entity_id"], link["metadata"]["main_contact"]) == (contact["id"], True)
    note = amo.add_entity_note("lead", lead_id, "common", {"text": "Ждёт счёт"})
    assert amo.get_deal_note(lead_id, note["id"])["params"]["text"] == "Ждёт счёт"
    assert [n["id"] for n in amo.get_deal_notes(lead_id, get_all=True)] == [note["id"]]
    tasks = amo.fetch_tasks(task_type_id=1, limit=100, max_pages=2)
    assert tasks and amo.get_task(tasks[0]["id"])["text"] == tasks[0]["text"]


def test_events_of_a_deal(by_name: Account) -> None:
    amo = client(by_name)
    lead_id = amo.create_lead({"name": "Событие"})["id"]
    amo.update_lead(lead_id, {"status_id": 143})
    events = amo.get_deal_events(lead_id, get_all=True)
    assert [e["type"] for e in events] == ["lead_status_changed", "lead_added"]
    one = amo.get_event(events[0]["id"])
    assert one["value_after"][0]["lead_status"]["id"] == 143
    assert amo.fetch_events(entity="lead", entity_ids=[lead_id], event_type=["lead_added"]) == events[1:]


def test_salesbots_are_listed_run_and_stopped(by_name: Account) -> None:
    amo = client(by_name)
    bots = amo.fetch_bots(type_functionality="regular", with_="favorite")
    assert [bot["type_functionality"] for bot in bots] == ["regular"]
    bot_id, deal_id = bots[0]["id"], by_name.some_deal()
    assert amo.get_bot(bot_id)["name"] == bots[0]["name"]
    assert amo.run_bot(bot_id, deal_id) is None
    assert amo.run_bots([{"bot_id": bot_id, "entity_id": deal_id}] * 2) is None
    assert amo.stop_bot(bot_id, deal_id) is None
    assert [run.is_stopped for run in by_name.amo.bots.runs] == [True] * 3


def test_refresh_rotates_and_is_written_to_the_file(by_name: Account, tmp_path: Path) -> None:
    oauth = by_name.amo.oauth
    file = tmp_path / "token.json"
    pair = oauth.issue_tokens()
    file.write_text(json.dumps({**pair, "expires_at": time.time() + 3600}))
    keys = {"client_id": oauth.client_id, "client_secret": oauth.client_secret, "redirect_uri": REDIRECT}
    amo = client(by_name, str(file), **keys)
    by_name.sandbox.clock.forward(timedelta(hours=25))
    assert amo.get_account()["id"] == by_name.amo.world.account_id
    kept = json.loads(file.read_text())
    assert kept["refresh_token"] != pair["refresh_token"]
    spent = client(by_name, {**pair, **keys, "expires_at": time.time() + 3600})
    with pytest.raises(AuthenticationError, match="401"):
        spent.get_account()


def test_html_429_is_waited_out_and_the_block_is_told(by_name: Account) -> None:
    by_name.sandbox.faults.limits_on = True
    by_name.amo.world.switches.rate_per_s = 3
    amo = client(by_name, retry_delay=0.2)
    refused = by_name.amo.gate.refused
    for _ in range(8):
        amo.get_account()
    assert by_name.amo.gate.refused > refused
    by_name.amo.world.switches.block_after = 1
    with pytest.raises(APIError) as error:
        for _ in range(20):
            amo.get_account()
    assert error.value.status_code == 403


def test_its_own_limiter_keeps_every_window(by_name: Account) -> None:
    by_name.sandbox.faults.limits_on = True
    amo = client(by_name, rate_limit=6, max_retries=0)
    by_name.amo.world.switches.rate_window = "sliding"
    for _ in range(9):
        amo.get_account()


def test_errors_have_their_classes(by_name: Account) -> None:
    amo = client(by_name)
    with pytest.raises(NotFoundError):
        amo.update_lead(999_999_999, {"price": 1})
    with pytest.raises(APIError) as error:
        amo.create_leads([{"name": "А"}, {"name": "Б", "status_id": 5}])
    assert error.value.status_code == 400 and "NotSupportedChoice" in str(error.value)
    with pytest.raises(APIError) as stranger:
        client(by_name, {"access_token": "x", "expires_at": time.time() + 60}).get_account()
    assert stranger.value.status_code == 401
