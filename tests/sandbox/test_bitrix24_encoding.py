"""How Bitrix24 reads requests and writes answers: PHP's nesting, empty maps, dates and names."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from connector.sandbox.bitrix24.entities import camel_name
from connector.sandbox.bitrix24.params import Params, from_query, nest
from connector.sandbox.bitrix24.wire import EMPTY_OBJECT, day, moment, parse_moment, php
from tests.sandbox.b24 import B24, SECRET

MOSCOW = ZoneInfo("Europe/Moscow")


def test_php_keys_become_nested_maps_and_lists() -> None:
    query = (
        "fields[PHONE][0][VALUE]=%2B7&fields[PHONE][1][VALUE]=8&filter[%3E%3DDATE_CREATE]=2026&id[]=1&id[]=2"
    )
    assert from_query(query) == {
        "fields": {"PHONE": [{"VALUE": "+7"}, {"VALUE": "8"}]},
        "filter": {">=DATE_CREATE": "2026"},
        "id": ["1", "2"],
    }


def test_map_with_a_gap_in_its_keys_stays_a_map() -> None:
    assert nest([("a[0]", "x"), ("a[2]", "y")]) == {"a": {"0": "x", "2": "y"}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, []),
        ({"0": "a", "1": "b"}, ["a", "b"]),
        ({0: "a", 1: "b"}, ["a", "b"]),
        ({"1": "a"}, {"1": "a"}),
        ({"1": "a", "0": "b"}, {"1": "a", "0": "b"}),
        (EMPTY_OBJECT, {}),
        ({"x": {"y": {}}}, {"x": {"y": []}}),
        (Decimal("10000.00"), 10000),
        (Decimal("999.99"), 999.99),
    ],
)
def test_values_are_written_as_php_would(value: object, expected: object) -> None:
    assert php(value) == expected
    assert type(php(value)) is type(expected)


def test_dates_carry_the_portals_offset_and_bare_days_a_shifted_midnight() -> None:
    assert moment(datetime(2026, 2, 2, 9, 0, 0, 5, tzinfo=UTC), MOSCOW) == "2026-02-02T12:00:00+03:00"
    assert day(date(2026, 2, 2), MOSCOW) == "2026-02-02T03:00:00+03:00"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-02-03T15:00:00+05:00", datetime(2026, 2, 3, 10, tzinfo=UTC)),
        ("2026-02-03T15:00:00", datetime(2026, 2, 3, 12, tzinfo=UTC)),
        ("2026-02-03", datetime(2026, 2, 2, 21, tzinfo=UTC)),
        ("03.02.2026 15:00:00", datetime(2026, 2, 3, 12, tzinfo=UTC)),
        ("soon", None),
    ],
)
def test_times_without_offset_are_the_portals(text: str, expected: datetime | None) -> None:
    assert parse_moment(text, MOSCOW) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("STAGE_ID", "stageId"),
        ("UF_CRM_1747309879", "ufCrm_1747309879"),
        ("UF_CRM_3_1747309727", "ufCrm3_1747309727"),
        ("UF_CRM_3_DIGIT", "ufCrm3Digit"),
        ("UF_CRM_3_DIGIT10", "ufCrm_3_DIGIT10"),
        ("UF_CRM_LOSS_REASON", "ufCrmLossReason"),
    ],
)
def test_universal_names_follow_the_documented_rule(name: str, expected: str) -> None:
    assert camel_name(name) == expected


def test_top_level_names_match_in_any_case_only_where_allowed() -> None:
    assert Params({"FIELDS": 1}).get("fields") == 1
    assert Params({"FIELDS": 1}, any_case=False).get("fields") is None


@pytest.mark.parametrize("method", ["crm.deal.get", "CRM.Deal.Get", "crm.deal.get.json"])
def test_json_form_and_query_say_the_same(method: str) -> None:
    b24 = B24()
    url = f"/rest/1/{SECRET}/{method}"
    answers = [
        b24.http.post(url, json={"id": 10}),
        b24.http.post(url, data={"ID": "10"}),
        b24.http.get(url + "?Id=10"),
    ]
    answers.append(b24.http.post(url, data={"ID": "10"}, content_type="multipart/form-data"))
    assert [answer.json["result"]["TITLE"] for answer in answers if answer.json] == ["Поставка"] * 4


def test_timeline_comments_take_lower_case_fields_only() -> None:
    fields = {"ENTITY_TYPE": "deal", "ENTITY_ID": 10, "COMMENT": "x"}
    status, body = B24().post("crm.timeline.comment.add", FIELDS=fields)
    assert (status, body["error"]) == (400, "100")
