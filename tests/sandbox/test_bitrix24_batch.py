"""`batch`: references between commands, errors with and without halt, lists against objects."""

from __future__ import annotations

from typing import Any

from tests.sandbox.b24 import B24, SECRET


def run(b24: B24, cmd: Any, halt: int = 0) -> dict[str, Any]:
    status, body = b24.post("batch", cmd=cmd, halt=halt)
    assert status == 200
    assert list(body["result"]) == ["result", "result_error", "result_total", "result_next", "result_time"]
    result: dict[str, Any] = body["result"]
    return result


def test_command_uses_the_result_of_another() -> None:
    answer = run(B24(), {"me": "user.current", "dep": "department.get?ID=$result[me][UF_DEPARTMENT][0]"})
    assert answer["result"]["dep"][0]["NAME"] == "Отдел продаж"
    assert answer["result_total"] == {"dep": 1}
    assert (answer["result_error"], answer["result_next"]) == ([], [])
    assert set(answer["result_time"]) == {"me", "dep"}


def test_reference_goes_into_wrapped_lists_and_into_the_middle_of_a_text() -> None:
    cmd = {
        "deals": "crm.item.list?entityTypeId=2&filter[%25title]=%D1%81%D1%82%D0%B0%D0%B2",
        "add": "crm.deal.add?fields[TITLE]=Copy of $result[deals][items][0][id]",
        "get": "crm.deal.get?id=$result[add]",
    }
    assert run(B24(), cmd)["result"]["get"]["TITLE"] == "Copy of 10"


def test_whole_list_can_be_handed_on() -> None:
    cmd = {
        "deal": "crm.item.get?entityTypeId=2&id=10",
        "people": "crm.contact.list?filter[@ID]=$result[deal][item][contactIds]",
    }
    assert [row["ID"] for row in run(B24(), cmd)["result"]["people"]] == ["55", "56"]


def test_reference_to_nothing_is_an_empty_text() -> None:
    answer = run(B24(), {"a": "crm.deal.get?id=404", "b": "crm.deal.add?fields[TITLE]=<$result[a][TITLE]>"})
    assert answer["result_error"] == {"a": {"error": "", "error_description": "Not found"}}
    assert set(answer["result"]) == {"b"}


def test_halt_stops_at_the_first_error() -> None:
    cmd = {"a": "crm.deal.get?id=10", "b": "crm.deal.get?id=404", "c": "profile"}
    going_on, stopping = run(B24(), cmd, halt=0), run(B24(), cmd, halt=1)
    assert set(going_on["result"]) == {"a", "c"}
    assert set(stopping["result"]) == {"a"}
    assert set(going_on["result_error"]) == set(stopping["result_error"]) == {"b"}
    assert set(stopping["result_time"]) == {"a"}


def test_all_commands_failing_is_still_http_200() -> None:
    b24 = B24(webhook_scopes=["crm"])
    answer = run(b24, {"u": "user.current", "d": "department.get"})
    assert (answer["result"], answer["result_time"]) == ([], [])
    assert {error["error"] for error in answer["result_error"].values()} == {"insufficient_scope"}


def test_numeric_keys_make_lists_and_a_gap_makes_an_object() -> None:
    whole = run(B24(), ["crm.duplicate.findbycomm?type=PHONE&values[]=000", "profile"])
    assert whole["result"][0] == []
    assert whole["result"][1]["ID"] == "1"
    assert isinstance(whole["result_time"], list)
    with_gap = run(B24(), ["profile", "crm.deal.get?id=404", "profile"])
    assert set(with_gap["result"]) == {"0", "2"}
    assert with_gap["result_error"] == {"1": {"error": "", "error_description": "Not found"}}


def test_null_result_keeps_its_place() -> None:
    answer = run(B24(), {"gone": "crm.item.productrow.delete?id=902"})
    assert answer["result"] == {"gone": None}


def test_commands_beyond_fifty_are_refused_one_by_one() -> None:
    answer = run(B24(), {f"c{n}": "profile" for n in range(52)})
    assert len(answer["result"]) == 50
    assert {key: error["error"] for key, error in answer["result_error"].items()} == {
        "c50": "ERROR_BATCH_LENGTH_EXCEEDED",
        "c51": "ERROR_BATCH_LENGTH_EXCEEDED",
    }


def test_batch_and_uploads_are_not_allowed_inside() -> None:
    answer = run(B24(), {"b": "batch?cmd[x]=profile", "u": "disk.folder.uploadfile?id=1", "n": "crm.nothing"})
    assert {key: error["error"] for key, error in answer["result_error"].items()} == {
        "b": "ERROR_BATCH_METHOD_NOT_ALLOWED",
        "u": "ERROR_BATCH_METHOD_NOT_ALLOWED",
        "n": "ERROR_METHOD_NOT_FOUND",
    }


def test_lists_say_where_the_next_page_is() -> None:
    b24 = B24()
    b24.add_deals(60)
    answer = run(b24, {"all": "crm.deal.list", "one": "crm.deal.list?filter[ID]=10"})
    assert answer["result_total"] == {"all": 63, "one": 1}
    assert answer["result_next"] == {"all": 50}


def test_empty_object_of_php_survives_the_batch() -> None:
    assert run(B24(), {"u": "user.get"})["result"]["u"][0]["TIMESTAMP_X"] == {}


def test_form_with_doubly_encoded_commands() -> None:
    b24 = B24()
    data = {"halt": "0", "cmd[d]": "crm.deal.list?filter%5B%25TITLE%5D=%D0%BE%D0%BF%D1%82&select%5B%5D=ID"}
    answer = b24.http.post(f"/rest/1/{SECRET}/batch", data=data)
    assert answer.json is not None
    assert answer.json["result"]["result"]["d"] == [{"ID": "12"}]
