"""Pipelines, stages, sources, users, history of stages."""

from __future__ import annotations

from tests.sandbox.b24 import B24


def test_default_pipeline_has_id_zero_and_no_origin() -> None:
    body = B24().post("crm.category.list", entityTypeId=2)[1]
    assert body["total"] == 2
    assert body["result"]["categories"] == [
        {"id": 0, "name": "Основная", "sort": 300, "entityTypeId": 2, "isDefault": "Y"},
        {
            "id": 5,
            "name": "Опт",
            "sort": 305,
            "entityTypeId": 2,
            "isDefault": "N",
            "originId": "",
            "originatorId": "",
        },
    ]
    assert [row["ID"] for row in B24().result("crm.dealcategory.list")] == ["5"]
    assert B24().result("crm.dealcategory.default.get") == {"ID": "0", "NAME": "Основная"}
    assert B24().result("crm.dealcategory.stage.list", id=5)[0]["STATUS_ID"] == "C5:NEW"


def test_stages_of_a_pipeline_lie_in_its_own_directory() -> None:
    rows = B24().result("crm.status.list", filter={"ENTITY_ID": "DEAL_STAGE_5"}, order={"SORT": "ASC"})
    assert [
        (row["STATUS_ID"], row["SEMANTICS"], row["EXTRA"]["SEMANTICS"], row["SYSTEM"]) for row in rows
    ] == [
        ("C5:NEW", None, "process", "Y"),
        ("C5:PREPARATION", None, "process", "N"),
        ("C5:WON", "S", "success", "Y"),
        ("C5:LOSE", "F", "failure", "Y"),
        ("C5:APOLOGY", "F", "apology", "N"),
    ]
    assert {row["CATEGORY_ID"] for row in rows} == {"5"}
    main = B24().result("crm.status.list", filter={"ENTITY_ID": "DEAL_STAGE"})
    assert {row["CATEGORY_ID"] for row in main} == {None}
    assert all(isinstance(row["ID"], str) and isinstance(row["SORT"], str) for row in main)


def test_sources_are_the_portals_channels() -> None:
    rows = B24().result("crm.status.list", filter={"ENTITY_ID": "SOURCE"})
    assert [(row["STATUS_ID"], row["NAME"]) for row in rows] == [("WEB", "Сайт"), ("CALL", "Звонок")]


def test_status_ids_stay_the_same() -> None:
    b24 = B24()
    assert b24.result("crm.status.list") == b24.result("crm.status.list")


def test_history_tells_the_new_stage_only() -> None:
    b24 = B24()
    b24.result("crm.item.update", entityTypeId=2, id=12, fields={"stageId": "C5:PREPARATION"})
    b24.result("crm.item.update", entityTypeId=2, id=12, fields={"stageId": "C5:WON"})
    b24.result("crm.item.update", entityTypeId=2, id=12, fields={"categoryId": 0, "stageId": "NEW"})
    query = {"entityTypeId": 2, "filter": {"OWNER_ID": 12}, "order": {"ID": "ASC"}}
    body = b24.post("crm.stagehistory.list", **query)[1]
    items = body["result"]["items"]
    assert body["total"] == 4
    assert [(i["TYPE_ID"], i["CATEGORY_ID"], i["STAGE_ID"], i["STAGE_SEMANTIC_ID"]) for i in items] == [
        (1, 5, "C5:NEW", "P"),
        (2, 5, "C5:PREPARATION", "P"),
        (3, 5, "C5:WON", "S"),
        (5, 0, "NEW", "P"),
    ]
    assert set(items[0]) == {
        "ID",
        "TYPE_ID",
        "OWNER_ID",
        "CREATED_TIME",
        "CATEGORY_ID",
        "STAGE_SEMANTIC_ID",
        "STAGE_ID",
    }
    b24.switches.history_of_current_pipeline_only = True
    only = b24.result("crm.stagehistory.list", entityTypeId=2, filter={"=OWNER_ID": 12}, select=["STAGE_ID"])
    assert only == {"items": [{"STAGE_ID": "NEW"}]}


def test_history_pages_by_key_and_forgets_deleted_deals() -> None:
    b24 = B24()
    b24.add_deals(60)
    page = b24.result("crm.stagehistory.list", entityTypeId=2, filter={">ID": 50}, start=-1)["items"]
    assert [item["ID"] for item in page] == list(range(51, 64))
    b24.result("crm.deal.delete", id=12)
    assert b24.result("crm.stagehistory.list", entityTypeId=2, filter={"OWNER_ID": 12}) == {"items": []}
    assert (
        b24.post("crm.stagehistory.list", entityTypeId=2, filter={"stage": 1})[1]["error"]
        == "INVALID_ARG_VALUE"
    )


def test_users_are_filtered_by_keys_at_the_top_or_in_filter() -> None:
    b24 = B24()
    b24.portal.users[7].is_active = False
    assert [u["ID"] for u in b24.result("user.get", ACTIVE=True)] == ["1"]
    assert [u["ID"] for u in b24.result("user.get", filter={"ACTIVE": "N"})] == ["7"]
    assert [u["ID"] for u in b24.result("user.get", sort="ID", order="DESC")] == ["7", "1"]
    (user,) = b24.result("user.get", ID=7)
    assert (user["ACTIVE"], user["UF_DEPARTMENT"], user["TIMESTAMP_X"]) == (False, [3], {})
    assert [u["ID"] for u in b24.result("user.search", FIND="смир")] == ["1"]


def test_small_directories() -> None:
    b24 = B24()
    assert {"ID": 2, "NAME": "Сделка", "SYMBOL_CODE": "DEAL", "SYMBOL_CODE_SHORT": "D"} in b24.result(
        "crm.enum.ownertype"
    )
    assert b24.result("crm.currency.base.get") == "RUB"
    assert b24.result("crm.currency.list")[0]["BASE"] == "Y"
    assert b24.result("feature.get", CODE="rest_offline_extended") == {"value": "Y"}
    assert b24.result("server.time").endswith("+03:00")
    assert "ONCRMDEALMOVETOCATEGORY" in b24.result("events")
