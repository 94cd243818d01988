"""Paging, filters and order of the sandbox's amoCRM."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from connector.sandbox.amocrm import Switches
from connector.sandbox.amocrm.php import build_query, parse_query
from tests.sandbox.amocrm_office import BASE, CONTRACT, LOST, MANAGER, NEW, SALES, Office


@pytest.fixture
def office() -> Office:
    """One deal of the portal and four more: ids 1..5, the third lost."""
    made = Office()
    body = [{"name": f"№{i}", "price": i * 100} for i in range(2, 6)]
    made.post("/api/v4/leads", body)
    made.patch("/api/v4/leads/3", {"status_id": LOST, "loss_reason_id": 502})
    made.patch("/api/v4/leads/4", {"status_id": CONTRACT, "responsible_user_id": MANAGER})
    return made


def ids(office: Office, query: str) -> list[int]:
    answer = office.get(f"/api/v4/leads?{query}")
    if answer.status_code == 204:
        return []
    return [row["id"] for row in answer.get_json(force=True)["_embedded"]["leads"]]


def test_following_next_reads_every_lead_once(office: Office) -> None:
    path, seen = "/api/v4/leads?limit=2&filter[id][]=1&filter[id][]=2&filter[id][]=5", []
    while True:
        body = office.read(path)
        seen += [row["id"] for row in body["_embedded"]["leads"]]
        if "next" not in body["_links"]:
            break
        href = body["_links"]["next"]["href"]
        assert href.startswith(BASE) and "filter%5Bid%5D%5B0%5D=1" in href and "[" not in href
        path = href.removeprefix(BASE)
    assert seen == [1, 2, 5]
    assert body["_links"].keys() == {"self", "first", "prev"}
    assert parse_qs(urlsplit(path).query)["page"] == ["2"]


def test_lead_lists_have_no_totals_and_users_have(office: Office) -> None:
    assert office.read("/api/v4/leads").keys() == {"_page", "_links", "_embedded"}
    users = office.read("/api/v4/users?limit=1")
    assert (users["_total_items"], users["_page_count"]) == (2, 2)


def test_page_past_the_end_is_204(office: Office) -> None:
    assert office.get("/api/v4/leads?page=3").status_code == 204


def test_limit_is_cut_to_250(office: Office) -> None:
    assert "limit=250" in office.read("/api/v4/leads?limit=1000")["_links"]["self"]["href"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("filter[id]=2,3", [2, 3]),
        ("filter[id][0]=2&filter[id][1]=3", [2, 3]),
        ("filter[price][from]=300&filter[price][to]=400", [3, 4]),
        (f"filter[statuses][0][pipeline_id]={SALES}&filter[statuses][0][status_id]={CONTRACT}", [4]),
        (f"filter[statuses][0][pipeline_id]={SALES + 1}&filter[statuses][0][status_id]={CONTRACT}", []),
        (f"filter[responsible_user_id]={MANAGER}", [1, 4]),
        ("filter[closed_at][from]=1", [3]),
        ("filter[name]=№5", [5]),
        ("filter[updated_at][from]=99999999999", []),
        ("filter[id]=abc", []),
        ("filter[name][0][1]=№5", [5]),
        ("filter=5", [1, 2, 3, 4, 5]),
        ("filter[unknown]=5", [1, 2, 3, 4, 5]),
        ("query=окон", [1]),
        ("order[price]=desc", [1, 2, 3, 4, 5]),
        ("order[id]=desc", [5, 4, 3, 2, 1]),
        ("page=-1&limit=0", [1, 2, 3, 4, 5]),
        ("page=99999999999999999999999", [1, 2, 3, 4, 5]),
        ("filter[id][]=" + "9" * 5000, []),
    ],
)
def test_filters_orders_and_odd_queries(office: Office, query: str, expected: list[int]) -> None:
    assert ids(office, query) == expected


def test_select_is_filtered_by_enum_id(office: Office) -> None:
    fields = office.read("/api/v4/leads/custom_fields?limit=250")["_embedded"]["custom_fields"]
    source = next(f for f in fields if f["code"] == "SOURCE")
    enum_id = next(e["id"] for e in source["enums"] if e["value"] == "Сайт")
    assert ids(office, f"filter[custom_fields_values][{source['id']}][]={enum_id}") == [1]
    assert ids(office, f"filter[custom_fields_values][{source['id']}][]=5") == []


def test_unpaid_filters_are_ignored() -> None:
    office = Office(switches=Switches(filters_paid=False))
    assert ids(office, "filter[id]=99") == [1]
    assert office.read("/api/v4/account?with=is_api_filter_enabled")["is_api_filter_enabled"] is False


def test_tasks_are_filtered_by_entity_only_with_its_type(office: Office) -> None:
    office.post("/api/v4/tasks", [{"text": "а", "complete_till": 1, "entity_id": 1, "entity_type": "leads"}])
    office.post("/api/v4/tasks", [{"text": "б", "complete_till": 1, "entity_id": 2, "entity_type": "leads"}])

    def texts(query: str) -> list[str]:
        return [t["text"] for t in office.read(f"/api/v4/tasks?{query}")["_embedded"]["tasks"]]

    assert texts("filter[entity_id]=2") == ["а", "б"]
    assert texts("filter[entity_type]=leads&filter[entity_id]=2") == ["б"]
    assert texts("filter[is_completed]=0") == ["а", "б"]
    assert office.get("/api/v4/tasks?filter[is_completed][]=1").status_code == 204


def test_closest_task_shows_in_the_lead(office: Office) -> None:
    assert ids(office, "filter[closest_task_at][from]=1") == []
    office.post("/api/v4/tasks", [{"text": "а", "complete_till": 7, "entity_id": 1, "entity_type": "leads"}])
    assert office.read("/api/v4/leads/1")["closest_task_at"] == 7


def test_php_query_reads_both_array_styles_and_later_wins() -> None:
    assert parse_query("a[]=1&a[]=2&b[x][y]=3&c=4&c=5&%5B=6") == {
        "a": {"0": "1", "1": "2"},
        "b": {"x": {"y": "3"}},
        "c": "5",
        "[": "6",
    }


def test_php_form_encodes_like_http_build_query() -> None:
    data = {"a": {"b": ["x y", None, True]}, "c": "~:/@-_.Я"}
    assert build_query(data) == "a%5Bb%5D%5B0%5D=x+y&a%5Bb%5D%5B2%5D=1&c=%7E%3A%2F%40-_.%D0%AF"


def test_first_stage_is_not_the_unsorted_one(office: Office) -> None:
    assert {row["status_id"] for row in office.read("/api/v4/leads?filter[id]=1")["_embedded"]["leads"]} == {
        NEW
    }
