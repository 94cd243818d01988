"""b24pysdk, the vendor's own, unmodified: calls, lists, batches, events by its parsers, OAuth, limits."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import pytest
from b24pysdk import BitrixApp, BitrixToken, BitrixWebhook, errors
from b24pysdk.credentials import OAuthEventData, OAuthPlacementData, OAuthWorkflowData
from b24pysdk.errors import oauth as oauth_errors

from tests.clients.bitrix24.conftest import PORTAL, RENAMED, Office


@pytest.fixture
def hook(by_name: Office) -> BitrixWebhook:
    token = by_name.webhook_url.split("/rest/")[1].strip("/")
    return BitrixWebhook(domain=PORTAL, webhook_token=token)


@pytest.fixture
def app(by_name: Office) -> BitrixApp:
    told = by_name.b24.endpoints()
    return BitrixApp(client_id=told["client_id"], client_secret=told["client_secret"])


@pytest.fixture
def token(by_name: Office, app: BitrixApp) -> BitrixToken:
    """The pair that an exchange of a code brings."""
    renewed = app.get_oauth_token(code=by_name.b24.oauth.issue_code(1))
    held = renewed.oauth_token
    return BitrixToken(
        domain=PORTAL,
        auth_token=held.access_token,
        refresh_token=held.refresh_token,
        expires=held.expires,
        bitrix_app=app,
    )


def form(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode(), keep_blank_values=True))


def call(token: Any, method: str, **params: Any) -> Any:
    return token.call_method(api_method=method, params=params)["result"]


def test_pipelines_and_stages_are_read(hook: BitrixWebhook, by_name: Office) -> None:
    categories = call(hook, "crm.category.list", entityTypeId=2)["categories"]
    assert {c["id"] for c in categories} == set(by_name.portal.pipelines)
    stages = call(hook, "crm.status.list", filter={"ENTITY_ID": "DEAL_STAGE"})
    assert {s["EXTRA"]["SEMANTICS"] for s in stages} >= {"process", "success", "failure"}


def test_both_ways_to_all_deals_find_each_once(hook: BitrixWebhook, by_name: Office) -> None:
    client = hook.get_client()
    there = {str(deal.id) for deal in by_name.portal.deals.values() if not deal.is_deleted}
    assert len(there) > 1000
    listed = [row["ID"] for row in client.crm.deal.list(select=["ID"]).as_list().result]
    quick = [row["ID"] for row in client.crm.deal.list(select=["ID"]).as_list_fast().result]
    assert len(listed) == len(quick) == len(there) and set(listed) == set(quick) == there
    assert len(list(client.crm.item.list(entity_type_id=2, select=["id"]).as_list_fast().result)) == len(
        there
    )


def test_deal_lives_from_its_creation_to_its_deletion(hook: BitrixWebhook) -> None:
    client = hook.get_client()
    number = client.crm.deal.add(fields={"TITLE": "Поставка", "OPPORTUNITY": 100}).result
    assert client.crm.deal.update(bitrix_id=number, fields={"OPPORTUNITY": "250.5"}).result is True
    assert client.crm.deal.get(bitrix_id=number).result["OPPORTUNITY"] == "250.50"
    rows = [{"productName": "Н", "price": 10, "quantity": 2}]
    call(hook, "crm.item.productrow.set", ownerType="D", ownerId=number, productRows=rows)
    item = client.crm.item.get(entity_type_id=2, bitrix_id=number).result["item"]
    assert item["opportunity"] == 20
    fields = {"ENTITY_ID": number, "ENTITY_TYPE": "deal", "COMMENT": "позвонить"}
    comment = client.crm.timeline.comment.add(fields=fields).result
    assert client.crm.timeline.comment.get(bitrix_id=comment).result["COMMENT"] == "позвонить"
    todo = {"ownerTypeId": 2, "ownerId": number, "deadline": "2030-01-01T10:00:00+03:00", "title": "т"}
    assert call(hook, "crm.activity.todo.add", **todo)["id"]
    fields = {"TITLE": "Задача", "RESPONSIBLE_ID": 1, "UF_CRM_TASK": [f"D_{number}"]}
    assert client.tasks.task.add(fields=fields).result["task"]["title"] == "Задача"
    moves = call(hook, "crm.stagehistory.list", entityTypeId=2, filter={"OWNER_ID": number})["items"]
    assert [move["TYPE_ID"] for move in moves] == [1]
    assert client.crm.deal.delete(bitrix_id=number).result is True
    with pytest.raises(errors.BitrixAPIBadRequest, match="Not found"):
        _ = client.crm.deal.get(bitrix_id=number).result


def test_batch_refers_back_and_its_errors_stand_by_their_keys(hook: BitrixWebhook) -> None:
    methods = {
        "deal": ("crm.deal.add", {"fields": {"TITLE": "a & b + 100 %"}}),
        "read": ("crm.deal.get", {"id": "$result[deal]"}),
        "lost": ("crm.deal.get", {"id": 999_999_999}),
        "after": ("profile", {}),
    }
    result = hook.call_batch(methods=methods)["result"]
    assert result["result"]["read"]["TITLE"] == "a & b + 100 %"
    assert result["result_error"]["lost"]["error_description"] == "Not found"
    assert "after" in result["result"]
    halted = hook.call_batch(methods=methods, halt=True)["result"]
    assert "after" not in halted["result"]


def test_events_are_bound_heard_and_parsed_by_its_own_class(
    token: BitrixToken, by_name: Office, hook: BitrixWebhook, app: BitrixApp
) -> None:
    for event in ("ONCRMDEALADD", "ONCRMDEALUPDATE"):
        assert call(token, "event.bind", event=event, handler=by_name.hooks.url) is True
    number = call(hook, "crm.deal.add", fields={"TITLE": "x"})
    by_name.portal.update_deal(number, {"name": "y"}, by=0)
    bodies = [form(caught.body) for caught in by_name.hooks.wait_for(2)]
    added, changed = (OAuthEventData.from_dict(body) for body in bodies)
    assert (added.event, added.data) == ("ONCRMDEALADD", {"FIELDS": {"ID": str(number)}})
    assert (added.is_system, changed.is_system) == (False, True)
    assert added.validate_against_app_info(added.get_app_info(app)) is True
    assert len(call(token, "event.get")) == 2
    assert call(token, "event.unbind", event="ONCRMDEALADD", handler=by_name.hooks.url) == {"count": 1}
    with pytest.raises(errors.BitrixAPIWrongAuthType):
        call(hook, "event.get")


def test_offline_events_are_reserved_acknowledged_and_not_caused_by_oneself(token: BitrixToken) -> None:
    connector = {"auth_connector": "mine"}
    call(token, "event.bind", event="ONCRMDEALADD", event_type="offline", **connector)
    call(token, "crm.deal.add", fields={"TITLE": "own"}, **connector)
    numbers = [call(token, "crm.deal.add", fields={"TITLE": title}) for title in "ab"]
    taken = call(token, "event.offline.get", clear=0, **connector)
    assert [e["EVENT_DATA"]["FIELDS"]["ID"] for e in taken["events"]] == [str(n) for n in numbers]
    assert call(token, "event.offline.get", clear=0, **connector)["events"] == []
    process = {"process_id": taken["process_id"]}
    first, second = (event["MESSAGE_ID"] for event in taken["events"])
    assert call(token, "event.offline.error", **process, message_id=[first]) is True
    assert call(token, "event.offline.clear", **process, message_id=[second]) is True
    assert [row["ERROR"] for row in call(token, "event.offline.list", **connector)] == ["1"]
    assert len(call(token, "event.offline.get", error=1, **connector)["events"]) == 1


def test_expired_token_is_renewed_by_itself_and_the_old_pair_is_dead(
    token: BitrixToken, by_name: Office, app: BitrixApp
) -> None:
    old = token.refresh_token
    by_name.b24.oauth.expire_access_tokens()
    assert call(token, "profile")["ID"]
    assert token.refresh_token != old
    assert token.get_app_info().result.install.domain == PORTAL
    with pytest.raises(oauth_errors.BitrixOAuthInvalidGrant):
        app.refresh_oauth_token(refresh_token=old)
    wrong = BitrixApp(client_id=app.client_id, client_secret="no")
    with pytest.raises(oauth_errors.BitrixOAuthInvalidClient):
        wrong.refresh_oauth_token(refresh_token=token.refresh_token)
    with pytest.raises(oauth_errors.BitrixOauthWrongClient):
        BitrixApp(client_id="app.none", client_secret="x").refresh_oauth_token(refresh_token="x")


def test_renamed_portal_is_followed(token: BitrixToken, by_name: Office) -> None:
    by_name.b24.switches.renamed_to = f"https://{RENAMED}"
    with pytest.raises(errors.BitrixResponse302JSONDecodeError):
        call(token, "profile")
    assert token.domain == RENAMED


def test_full_bucket_is_waited_out(hook: BitrixWebhook, by_name: Office) -> None:
    by_name.sandbox.faults.limits_on = True
    site = by_name.b24.site
    while site.bucket.admit("127.0.0.1", site.clock.now()):
        pass
    params = {"initial_retry_delay": 0.5, "max_retries": 10}
    assert hook.call_method(api_method="profile", params={}, **params)["result"]["ID"]


def test_exceeded_operating_time_is_told_apart(hook: BitrixWebhook, by_name: Office) -> None:
    by_name.sandbox.faults.limits_on = True
    by_name.b24.switches.method_cost_s = {"server.time": 481.0}
    call(hook, "server.time")
    with pytest.raises(errors.BitrixAPIOperationTimeLimit):
        call(hook, "server.time")


def test_frames_and_robots_are_parsed_by_its_own_classes(token: BitrixToken, by_name: Office) -> None:
    life = by_name.b24.life
    life.register(by_name.hooks.url)
    call(token, "placement.bind", PLACEMENT="CRM_DEAL_DETAIL_TAB", HANDLER=by_name.hooks.url)
    url, posted = life.frame("CRM_DEAL_DETAIL_TAB", {"ID": "7"})
    placement = OAuthPlacementData.from_dict({**dict(parse_qsl(url.partition("?")[2])), **dict(posted)})
    assert (placement.placement, placement.placement_options) == ("CRM_DEAL_DETAIL_TAB", {"ID": "7"})
    robot = {"CODE": "r", "HANDLER": by_name.hooks.url, "NAME": "r", "PROPERTIES": {"t": {"Type": "text"}}}
    call(token, "bizproc.robot.add", **robot)
    by_name.b24.automation.run("r", 2, 7, {"t": "привет"})
    body = form(by_name.hooks.wait_for(2)[-1].body)
    data = OAuthWorkflowData.from_dict(body)
    assert (data.code, data.use_subscription, data.properties) == ("r", True, {"t": "привет"})
    assert call(token, "bizproc.event.send", event_token=data.event_token) is True
