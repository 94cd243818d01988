"""Valid requests of both dialects with one or two values spoilt: an answer of the CRM, never a broken server.

Each is a shape that a client sends; what is spoilt and how comes from a seeded generator, so a failure comes
again. The Flask test client raises what a handler lets through.
"""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from tests.sandbox.amocrm_office import SALES, Office
from tests.sandbox.b24 import B24, TOKEN

ROUNDS = 400
SPOILT: tuple[Any, ...] = (
    *(
        None,
        "",
        0,
        -1,
        10**30,
        1.5,
        True,
        [],
        {},
        [1],
        [None],
        {"a": 1},
        [[1]],
        "abc",
        "٣",
        "\x00",
        "9" * 400,
    ),
    *(
        "2026-99-99",
        "D_",
        "D_x",
        [{"ID": "x"}],
        {"ID": {"x": 1}},
        {"@ID": "x"},
        [["a.txt", "!!"]],
        float("nan"),
    ),
)
BITRIX: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "crm.deal.add",
        {"fields": {"TITLE": "а", "CONTACT_IDS": [55], "OPPORTUNITY": "1", "BEGINDATE": "2026-01-01"}},
    ),
    ("crm.contact.update", {"id": 55, "fields": {"PHONE": [{"ID": 101, "VALUE": "2"}], "COMPANY_IDS": [3]}}),
    (
        "crm.item.update",
        {"entityTypeId": 2, "id": 10, "fields": {"stageId": "NEW", "categoryId": 0, "observers": [1]}},
    ),
    ("crm.item.add", {"entityTypeId": 3, "fields": {"name": "а", "fm": [{"typeId": "PHONE", "value": "1"}]}}),
    (
        "crm.item.list",
        {"entityTypeId": 2, "select": ["*"], "filter": {"0": {"logic": "OR", "0": {"id": 10}}}},
    ),
    (
        "crm.deal.list",
        {"filter": {">ID": 0, "@STAGE_ID": ["NEW"]}, "order": {"ID": "DESC"}, "select": ["ID"]},
    ),
    (
        "crm.item.productrow.set",
        {"ownerType": "D", "ownerId": 10, "productRows": [{"productName": "а", "price": 1}]},
    ),
    ("crm.deal.contact.items.set", {"id": 10, "items": [{"CONTACT_ID": 55, "SORT": 10, "IS_PRIMARY": "Y"}]}),
    ("crm.deal.contact.add", {"id": 10, "fields": {"CONTACT_ID": 55, "SORT": 10, "IS_PRIMARY": "Y"}}),
    ("crm.timeline.comment.list", {"filter": {"ENTITY_ID": 10, "ENTITY_TYPE": "deal"}, "select": ["ID"]}),
    (
        "crm.quote.add",
        {"fields": {"TITLE": "а", "STATUS_ID": "DRAFT", "CONTACT_IDS": [55], "OPPORTUNITY": 1}},
    ),
    (
        "tasks.task.add",
        {"fields": {"TITLE": "а", "RESPONSIBLE_ID": 7, "UF_CRM_TASK": ["D_10"], "AUDITORS": [1]}},
    ),
    ("tasks.task.list", {"select": ["ID", "TAGS"], "filter": {">ID": 0, "TAG": "а"}, "order": {"ID": "asc"}}),
    ("task.checklistitem.add", {"TASKID": 1, "FIELDS": {"TITLE": "а", "PARENT_ID": 0, "SORT_INDEX": 1}}),
    ("imbot.v2.Bot.register", {"fields": {"code": "a", "properties": {"name": "b"}}, "botToken": "t"}),
    (
        "batch",
        {"halt": 0, "cmd": {"a": "user.current", "b": "department.get?ID=$result[a][UF_DEPARTMENT][0]"}},
    ),
)
PHONE = [{"field_code": "PHONE", "values": [{"value": "+7", "enum_code": "WORK"}]}]
AMO: tuple[tuple[str, str, Any], ...] = (
    (
        "POST",
        "/leads",
        [{"name": "а", "price": 5, "_embedded": {"tags": [{"name": "т"}], "contacts": [{"id": 1}]}}],
    ),
    ("POST", "/leads/complex", [{"name": "а", "_embedded": {"contacts": [{"first_name": "И"}]}}]),
    ("PATCH", "/contacts/1", {"name": "а", "custom_fields_values": PHONE, "tags_to_add": [{"name": "т"}]}),
    (
        "POST",
        "/tasks",
        [{"text": "а", "complete_till": 1_900_000_000, "entity_id": 1, "entity_type": "leads"}],
    ),
    ("POST", "/leads/notes", [{"entity_id": 1, "note_type": "common", "params": {"text": "а"}}]),
    (
        "POST",
        "/leads/pipelines",
        [
            {
                "name": "а",
                "sort": 1,
                "is_main": False,
                "is_unsorted_on": True,
                "_embedded": {"statuses": [{"id": 142, "name": "б"}]},
            }
        ],
    ),
    ("POST", f"/leads/pipelines/{SALES}/statuses", [{"name": "а", "sort": 1, "color": "#fffeb2"}]),
    (
        "POST",
        "/leads/unsorted/sip",
        [
            {
                "source_uid": "a",
                "source_name": "б",
                "metadata": {"phone": "+7"},
                "_embedded": {"leads": [{"name": "в"}]},
            }
        ],
    ),
    ("POST", "/webhooks", {"destination": "https://crm.example/h", "settings": ["add_lead"], "sort": 1}),
    ("POST", "/roles", [{"name": "а", "rights": {"leads": {"view": "A"}}}]),
    ("POST", "/customers", [{"name": "а", "_embedded": {"segments": [{"id": 43}], "contacts": [{"id": 1}]}}]),
    (
        "POST",
        "/chats/templates",
        [{"name": "а", "content": "б", "type": "waba", "buttons": [{"type": "url"}]}],
    ),
    (
        "POST",
        "/leads/1/link",
        [{"to_entity_id": 1, "to_entity_type": "contacts", "metadata": {"is_main": True}}],
    ),
)


def spoil(value: Any, rng: random.Random) -> Any:
    """A copy with one value put in another's place, or gone."""
    whole = copy.deepcopy(value)
    places = list(inside(whole))
    for _ in range(rng.randint(1, 2)):
        holder, key = rng.choice(places)
        if isinstance(holder, dict) and rng.random() < 0.15:
            holder.pop(key, None)
        else:
            holder[key] = copy.deepcopy(rng.choice(SPOILT))
    return whole


def inside(value: Any) -> Any:
    """Every (container, key) below `value`."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield value, key
        yield from inside(item)


@pytest.mark.parametrize("seed", range(3))
def test_bitrix24_answers_spoilt_calls_as_bitrix24(seed: int) -> None:
    rng, b24 = random.Random(seed), B24()
    b24.faults.limits_on = False
    b24.http.application.testing = True
    for _ in range(ROUNDS):
        method, params = rng.choice(BITRIX)
        body = {"auth": TOKEN, **spoil(params, rng)}
        answer = b24.http.post(f"/rest/{method}", json=body)
        assert answer.status_code < 500, (method, body)


@pytest.mark.parametrize("seed", range(3))
def test_amocrm_answers_spoilt_calls_as_amocrm(seed: int) -> None:
    rng, office = random.Random(seed), Office()
    office.client.application.testing = True
    office.patch("/api/v4/customers/mode", {"mode": "segments", "is_enabled": True})
    for _ in range(ROUNDS):
        method, path, body = rng.choice(AMO)
        spoilt = spoil(body, rng)
        answer = office.call(method, f"/api/v4{path}", json=spoilt)
        assert answer.status_code < 500, (path, spoilt)
    for path in (
        "leads",
        "contacts",
        "tasks",
        "leads/notes",
        "leads/unsorted",
        "customers",
        "roles",
        "events",
    ):
        assert office.get(f"/api/v4/{path}").status_code in (200, 204)
