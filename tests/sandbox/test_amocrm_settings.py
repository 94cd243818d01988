"""What an account is set up with: pipelines, statuses, loss reasons, users, roles, sources, widgets."""

from __future__ import annotations

from typing import Any

import pytest

from connector.sandbox.amocrm import Switches
from tests.sandbox.amocrm_office import ADMIN, CONTRACT, LOST, MANAGER, NEW, PARTNERS, SALES, WON, Office

PIPELINES = "/api/v4/leads/pipelines"


@pytest.fixture
def office() -> Office:
    return Office()


def made(answer: Any, key: str, status: int = 200) -> list[dict[str, Any]]:
    assert answer.status_code == status, answer.get_data(as_text=True)
    rows: list[dict[str, Any]] = answer.get_json(force=True)["_embedded"][key]
    return rows


def delete(office: Office, path: str, body: Any = None) -> int:
    return office.call("DELETE", path, json=body).status_code


def test_a_pipeline_lives_its_life(office: Office) -> None:
    item = {
        "name": "Опт",
        "sort": 30,
        "is_main": False,
        "is_unsorted_on": False,
        "request_id": "p",
        "_embedded": {
            "statuses": [
                {"name": "Заявка", "color": "#fffd7f", "sort": 20},
                {"id": 142, "name": "Отгружено"},
            ]
        },
    }
    (row,) = made(office.post(PIPELINES, [item]), "pipelines")
    assert (row["request_id"], row["is_unsorted_on"]) == ("p", False)
    assert [s["name"] for s in row["_embedded"]["statuses"]][1:3] == ["Заявка", "Отгружено"]
    path = f"{PIPELINES}/{row['id']}"
    changed = office.patch(path, {"name": "Оптовая", "is_main": True})
    assert changed.get_json(force=True)["name"] == "Оптовая"
    assert [p["id"] for p in office.read(PIPELINES)["_embedded"]["pipelines"] if p["is_main"]] == [row["id"]]
    assert delete(office, path) == 204 and office.get(path).status_code == 404
    assert [p["is_main"] for p in office.read(PIPELINES)["_embedded"]["pipelines"]].count(True) == 1


def test_pipelines_with_leads_and_the_last_one_stay(office: Office) -> None:
    assert delete(office, f"{PIPELINES}/{SALES}") == 422
    assert delete(office, f"{PIPELINES}/{PARTNERS}") == 204
    office.portal.deals.clear()
    answer = office.call("DELETE", f"{PIPELINES}/{SALES}")
    assert (answer.status_code, answer.get_json(force=True)["title"]) == (422, "Unprocessable Entity")
    assert office.patch(f"{PIPELINES}/{SALES}", {"is_main": False}).status_code == 422


def test_a_status_lives_its_life_and_its_leads_move_on(office: Office) -> None:
    path = f"{PIPELINES}/{SALES}/statuses"
    text = {"level": "newbie", "description": "Позвонить в течение часа"}
    item = {"name": "Замер", "sort": 25, "color": "#deff81", "descriptions": [text]}
    (row,) = made(office.post(path, [item]), "statuses")
    assert row["descriptions"][0]["description"] == text["description"] and row["is_editable"]
    order = [s["id"] for s in office.read(path)["_embedded"]["statuses"]]
    assert order.index(NEW) < order.index(row["id"]) < order.index(CONTRACT)
    one = f"{path}/{row['id']}"
    later = {"descriptions": [{"level": "newbie", "description": "Сразу"}], "name": "Замеры"}
    changed = office.patch(one, later).get_json(force=True)
    assert (changed["name"], changed["descriptions"][0]["updated_by"]) == ("Замеры", ADMIN)
    assert office.read(f"{one}?with=descriptions")["descriptions"][0]["id"] == row["descriptions"][0]["id"]
    lead = next(iter(office.portal.deals))
    office.patch(f"/api/v4/leads/{lead}", {"status_id": row["id"]})
    assert delete(office, one) == 204
    assert office.read(f"/api/v4/leads/{lead}")["status_id"] == NEW


def test_system_statuses_may_only_be_renamed(office: Office) -> None:
    path = f"{PIPELINES}/{SALES}/statuses"
    changed = office.patch(f"{path}/{WON}", {"name": "Победа", "sort": 5, "color": "#fffeb2"})
    body = changed.get_json(force=True)
    assert (body["name"], body["sort"], body["color"]) == ("Победа", 10_000, "#CCFF66")
    assert delete(office, f"{path}/{LOST}") == 422
    unsorted = office.read(path)["_embedded"]["statuses"][0]
    assert (
        unsorted["type"] == 1 and office.patch(f"{path}/{unsorted['id']}", {"name": "х"}).status_code == 404
    )
    for wrong in (
        {"name": "А", "sort": 1, "color": "#123456"},
        {"name": " ", "sort": 1},
        {"name": "А"},
        {"name": "А", "sort": 1, "descriptions": [{"level": "king", "description": ""}]},
        {"name": "А", "sort": 1, "descriptions": [{"level": "master", "description": "я" * 1001}]},
    ):
        assert office.post(path, [wrong]).status_code == 400
    many = [{"name": f"Э{i}", "sort": i} for i in range(97)]
    assert office.post(path, many).status_code == 422


def test_loss_reasons_are_added_renamed_and_deleted(office: Office) -> None:
    path = "/api/v4/leads/loss_reasons"
    (row,) = made(office.post(path, [{"name": "Ушёл к другим"}]), "loss_reasons")
    one = f"{path}/{row['id']}"
    assert office.patch(one, {"name": "Конкуренты"}).get_json(force=True)["name"] == "Конкуренты"
    assert office.read(path)["_total_items"] == 3
    assert delete(office, one) == 204 and office.get(one).status_code == 404
    assert office.post(path, [{"name": ""}]).status_code == 400


def test_users_are_added_by_ten_with_their_rights(office: Office) -> None:
    rights = {"leads": {"view": "A", "edit": "M", "add": "A", "delete": "D", "export": "D"}}
    user = {
        "name": "Игорь Новый",
        "email": "new@romashka.example",
        "password": "aBcde1@345",
        "rights": rights,
    }
    (row,) = made(office.post("/api/v4/users", [user]), "users", 201)
    assert row["rights"]["leads"]["delete"] == "D" and row["rights"]["is_admin"] is False
    shown = office.read(f"/api/v4/users/{row['id']}?with=role,group")
    assert shown["name"] == "Игорь Новый" and shown["_embedded"]["roles"] == []
    for wrong in (
        user,  # the address is taken
        {**user, "email": "x"},
        {**user, "email": "a@b", "rights": {"leads": {"view": "X"}}},
        {**user, "email": "a@b", "rights": {"role_id": 5}},
        {"name": "А", "email": "a@b"},
    ):
        assert office.post("/api/v4/users", [wrong]).status_code == 400
    many = [{**user, "email": f"u{i}@romashka.example"} for i in range(11)]
    assert office.post("/api/v4/users", many).status_code == 400
    for _ in range(10):
        batch = [{**user, "email": f"u{len(office.portal.users) + i}@romashka.example"} for i in range(10)]
        last = office.post("/api/v4/users", batch).status_code
    assert last == 201 and office.post("/api/v4/users", [{**user, "email": "z@b"}]).status_code == 403


def test_roles_live_their_life(office: Office) -> None:
    (row,) = made(office.post("/api/v4/roles", [{"name": "Стажёр"}]), "roles", 201)
    one = f"/api/v4/roles/{row['id']}"
    rights = {"leads": {"view": "M", "edit": "M", "add": "A", "delete": "D", "export": "D"}}
    changed = office.patch(one, {"name": "Практикант", "rights": rights})
    assert (changed.status_code, changed.get_json(force=True)["rights"]["leads"]["delete"]) == (202, "D")
    user = {
        "name": "Вера",
        "email": "vera@romashka.example",
        "password": "1",
        "rights": {"role_id": row["id"]},
    }
    (vera,) = made(office.post("/api/v4/users", [user]), "users", 201)
    assert office.read(f"{one}?with=users")["_embedded"]["users"] == [vera["id"]]
    assert vera["rights"]["leads"]["delete"] == "D"
    assert office.read("/api/v4/roles")["_total_items"] == 2
    assert delete(office, one) == 204 and office.get(one).status_code == 404


@pytest.mark.parametrize("path", ["/api/v4/users", "/api/v4/roles", f"/api/v4/users/{MANAGER}"])
def test_people_are_shown_to_admins_and_not_to_external_integrations(path: str) -> None:
    office = Office()
    assert office.get(path, headers={"X-Context-User-ID": str(MANAGER)}).status_code == 403
    assert Office(switches=Switches(integration_kind="external")).get(path).status_code == 403


def test_sources_live_their_life(office: Office) -> None:
    path = "/api/v4/sources"
    item = {"name": "Лендинг", "external_id": "landing-1", "origin_code": "amo.ext.1_v2", "default": True}
    (row,) = made(office.post(path, [{**item, "pipeline_id": PARTNERS}]), "sources")
    assert (row["pipeline_id"], row["default"], row["origin_code"]) == (PARTNERS, True, "amo.ext.1_v2")
    one = f"{path}/{row['id']}"
    changed = office.patch(one, {"name": "Промо", "external_id": "other"}).get_json(force=True)
    assert (changed["name"], changed["external_id"]) == ("Промо", "landing-1"), "the id never changes"
    (found,) = made(office.get(f"{path}?filter[external_id]=landing-1"), "sources")
    assert found == office.read(one)
    made(office.patch(path, [{"id": row["id"], "name": "Ещё"}]), "sources")
    assert office.patch(path, [{"id": 5, "name": "Ещё"}]).status_code == 400
    for wrong in (item, {**item, "external_id": "x" * 37}, {**item, "external_id": "y", "pipeline_id": 5}):
        assert office.post(path, [wrong]).status_code == 400
    refused = office.call("DELETE", path, json=[{"id": 31_075_178}])
    assert refused.get_json(force=True) == {
        "errors": [
            {
                "request_id": "0",
                "errors": {
                    "code": "EntityNotFound",
                    "path": "id",
                    "detail": "source with id = 31075178 not found",
                },
            }
        ],
        "title": "Bad Request",
        "type": "https://httpstatus.es/400",
        "status": 400,
        "detail": "Invalid request items",
    }
    assert delete(office, path, [{"id": row["id"]}]) == 204 and office.get(one).status_code == 404
    assert Office(switches=Switches(integration_kind="external")).get(path).status_code == 403


def test_field_groups_live_their_life(office: Office) -> None:
    path = "/api/v4/leads/custom_fields/groups"
    (row,) = made(office.post(path, [{"name": "Замер", "sort": 3}]), "custom_field_groups")
    assert row["id"].startswith("leads_") and row["type"] == "custom_field_group"
    one = f"{path}/{row['id']}"
    assert office.patch(one, {"name": "Монтаж"}).get_json(force=True)["name"] == "Монтаж"
    kinds = {g["id"]: g["type"] for g in office.read(path)["_embedded"]["custom_field_groups"]}
    assert kinds["statistic"] == "linked_group" and len(kinds) == 3
    assert office.patch(f"{path}/default", {"name": "х"}).status_code == 422
    assert delete(office, f"{path}/default") == 422
    assert delete(office, one) == 204 and office.get(one).status_code == 404


def test_widgets_are_installed_and_removed(office: Office) -> None:
    path = "/api/v4/widgets/connector"
    assert office.read(path)["is_active_in_account"] is False
    shown = office.post(path, {"login": "a"}).get_json(force=True)
    assert shown["is_active_in_account"] and shown["settings"] == {"login": "a"}
    assert len(office.read("/api/v4/widgets")["_embedded"]["widgets"]) == 2
    assert delete(office, path) == 204 and office.read(path)["is_active_in_account"] is False
    assert office.get("/api/v4/widgets/none").status_code == 404
    assert office.post(path, {}, headers={"X-Context-User-ID": str(MANAGER)}).status_code == 403


def test_short_links_are_made_and_followed(office: Office) -> None:
    contact = next(iter(office.portal.contacts))
    item = {"url": "https://romashka.example", "metadata": {"entity_type": "contacts", "entity_id": contact}}
    (link,) = made(office.post("/api/v4/short_links", [item]), "short_links")
    assert link["url"].startswith("https://amo.sh/") and link["metadata"] == item["metadata"]
    opened = office.client.post("/sandbox/api/amocrm/short-links/follow", json={"url": link["url"]})
    assert opened.get_json() == {"url": "https://romashka.example"}
    (event,) = office.read("/api/v4/events?filter[type]=link_followed")["_embedded"]["events"]
    assert event["entity_id"] == contact and event["value_after"][0]["note"]["id"]
    for wrong in ({**item, "url": "x"}, {**item, "metadata": {"entity_type": "leads", "entity_id": 1}}):
        assert office.post("/api/v4/short_links", [wrong]).status_code == 400


def test_a_leads_subscriber_is_its_responsible_user(office: Office) -> None:
    lead = next(iter(office.portal.deals))
    body = office.read(f"/api/v4/leads/{lead}/subscriptions")
    assert body["_embedded"]["subscriptions"] == [{"subscriber_id": MANAGER, "type": "user"}]
    assert (body["_total_items"], body["_page_count"]) == (1, 1)
    assert office.get("/api/v4/leads/999/subscriptions").status_code == 204


def test_lists_are_changed_in_a_batch_and_files_renamed(office: Office) -> None:
    path = "/api/v4/catalogs"
    (row,) = made(office.post(path, [{"name": "Склады"}]), "catalogs")
    (changed,) = made(office.patch(path, [{"id": row["id"], "name": "Склад"}]), "catalogs")
    assert (changed["name"], changed["request_id"]) == ("Склад", "0")
    assert office.patch(path, [{"id": 5, "name": "х"}]).status_code == 400
    session = {"file_name": "План.txt", "file_size": 3, "content_type": "text/plain"}
    address = office.post("/v1.0/sessions", session).get_json(force=True)["upload_url"]
    file = office.client.post(address.removeprefix(office.amo.world.base_url), data=b"abc").get_json(
        force=True
    )
    renamed = office.patch(f"/v1.0/files/{file['uuid']}", {"name": "Схема"}).get_json(force=True)
    assert (renamed["name"], renamed["metadata"]["extension"]) == ("Схема", "txt")
    assert office.patch("/v1.0/files/none", {"name": "х"}).status_code == 404
