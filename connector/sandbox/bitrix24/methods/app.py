"""What only an application may call: event handlers, the offline queue, its own description.

A webhook is refused. Source: reference sections 1.1, 5.4 and 5.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from connector.sandbox.bitrix24.call import Call, MethodTable, Page, page_of
from connector.sandbox.bitrix24.event_names import EVENTS, is_known
from connector.sandbox.bitrix24.events import Notice
from connector.sandbox.bitrix24.filters import Column, Columns, compile_filter, sort_rows
from connector.sandbox.bitrix24.offline import OfflineRecord
from connector.sandbox.bitrix24.params import as_list, as_map
from connector.sandbox.bitrix24.wire import RestError, is_yes, missing_parameter, moment, parse_int

TABLE = MethodTable()

_FETCH_LIMIT: Final = 50


@TABLE.add("app.info", scope="", app_only="ACCESS_DENIED")
def app_info(call: Call) -> dict[str, Any]:
    return {
        "ID": 1,
        "CODE": call.caller.id,
        "VERSION": call.site.application.version,
        "STATUS": "L",
        "INSTALLED": call.site.application.is_installed,
        "PAYMENT_EXPIRED": "N",
        "DAYS": None,
        "LANGUAGE_ID": "ru",
        "LICENSE": "ru_std",
        "LICENSE_TYPE": "std",
        "LICENSE_FAMILY": "std",
    }


@TABLE.add("events", scope="")
def events(call: Call) -> list[str]:
    """All names with FULL, those of one scope with SCOPE, else those of the caller's scopes."""
    scope = str(call.params.get("SCOPE") or "").lower()
    if is_yes(call.params.get("FULL", "")):
        return list(EVENTS)
    return [name for name in EVENTS if _scope_of(name) in ({scope} if scope else {"", *call.caller.scopes})]


def _scope_of(event: str) -> str:
    if event.startswith("ONCRM"):
        return "crm"
    if event.startswith("ONTASK"):
        return "task"
    return "user" if event == "ONUSERADD" else ""


def _event(call: Call) -> str:
    name = str(call.params.get("event") or "").upper()
    if not name:
        raise missing_parameter("event")
    if not is_known(name):
        raise RestError(400, "ERROR_EVENT_NOT_FOUND", "Event not found")
    return name


def _is_offline(call: Call) -> bool:
    return str(call.params.get("event_type") or "online").lower() == "offline"


def _connector(call: Call) -> str:
    return str(call.params.get("auth_connector") or "")


@TABLE.add("event.bind", scope="", app_only="WRONG_AUTH_TYPE")
def event_bind(call: Call) -> bool:
    name, queue = _event(call), call.site.events
    if _is_offline(call):
        call.require_admin()
        is_new = queue.bind_offline(name, _connector(call))
    else:
        handler = str(call.params.get("handler") or "")
        if not handler.startswith(("http://", "https://")):
            raise RestError(400, "ERROR_WRONG_HANDLER_URL", "Wrong handler URL")
        user_id = parse_int(call.params.get("auth_type")) or 0
        if user_id not in (0, call.user_id):
            call.require_admin()
        options = as_map(call.params.get("options"))
        gap = parse_int(options.get("minTimeout", 1))
        is_new = queue.bind(name, handler, user_id, min_gap_s=1 if gap is None else gap)
    if not is_new:
        raise RestError(400, "ERROR_CORE", "Unable to set event handler: Handler already binded")
    return True


@TABLE.add("event.get", scope="", app_only="WRONG_AUTH_TYPE")
def event_get(call: Call) -> list[dict[str, Any]]:
    mine = [b for b in call.site.events.online() if b.kind == "app"]
    if not call.user.is_admin:
        mine = [b for b in mine if b.user_id == call.user_id]
    rows: list[dict[str, Any]] = [
        {"event": b.event, "handler": b.url, "auth_type": str(b.user_id), "offline": 0} for b in mine
    ]
    return rows + [
        {"event": b.event, "connector_id": b.connector, "auth_type": "0", "offline": 1}
        for b in call.site.events.offline()
    ]


@TABLE.add("event.unbind", scope="", app_only="WRONG_AUTH_TYPE")
def event_unbind(call: Call) -> dict[str, int]:
    name = _event(call)
    if _is_offline(call):
        return {"count": call.site.events.unbind_offline(name, _connector(call))}
    user_id = parse_int(call.params["auth_type"]) if "auth_type" in call.params else None
    return {"count": call.site.events.unbind(name, str(call.params.get("handler") or ""), user_id)}


@TABLE.add("event.test", scope="", app_only="WRONG_AUTH_TYPE")
def event_test(call: Call) -> int:
    """Raises ONAPPTEST; the arguments come back in `data[QUERY]`."""
    query = {name: value for name, value in call.params.items() if name != "auth"}
    call.site.events.tell(Notice("ONAPPTEST", {"QUERY": query}, call.user_id, system=False))
    return 1


def _columns(call: Call) -> Columns:
    columns = {
        "ID": Column("integer", lambda record: record.id),
        "MESSAGE_ID": Column("integer", lambda record: record.id),
        "TIMESTAMP_X": Column("datetime", lambda record: record.at),
        "EVENT_NAME": Column("string", lambda record: record.event),
        "PROCESS_ID": Column("string", lambda record: record.process_id),
        "ERROR": Column("integer", lambda record: int(record.is_failed)),
    }
    return Columns(columns.get, strict=False, zone=call.site.zone)


def _texts(value: Any) -> Any:
    """The event's data with all values as texts, as in the form of an online event."""
    if isinstance(value, Mapping):
        return {name: _texts(item) for name, item in value.items()}
    return str(value)


def _record(call: Call, record: OfflineRecord) -> dict[str, Any]:
    shown = call.site.switches.offline_has_data and bool(record.data)
    return {
        "ID": str(record.id),
        "TIMESTAMP_X": moment(record.at, call.site.zone),
        "EVENT_NAME": record.event,
        "EVENT_DATA": _texts(record.data) if shown else False,
        "EVENT_ADDITIONAL": {"user_id": str(record.user_id)} if shown else False,
        "MESSAGE_ID": str(record.id),
    }


@TABLE.add("event.offline.get", scope="", app_only="WRONG_AUTH_TYPE")
def offline_get(call: Call) -> dict[str, Any]:
    """`clear` 1 deletes at once; 0 reserves the records under a process id, where the plan allows it."""
    call.require_admin()
    queue, columns = call.site.offline, _columns(call)
    clear = parse_int(call.params.get("clear", 1)) != 0
    if not clear and not call.site.switches.offline_extended:
        raise RestError(403, "ACCESS_DENIED", "Extended offline events are not available on this plan")
    process_id = str(call.params.get("process_id") or "")
    with_failed = is_yes(call.params.get("error", 0))
    matches = compile_filter(call.params.get("filter"), columns)
    chosen = [
        record
        for record in queue.records(_connector(call))
        if record.process_id == process_id and (with_failed or not record.is_failed) and matches(record)
    ]
    ordered = sort_rows(chosen, call.params.get("order") or {"TIMESTAMP_X": "ASC"}, columns)
    limit = min(parse_int(call.params.get("limit")) or _FETCH_LIMIT, _FETCH_LIMIT)
    taken = ordered[:limit]
    rows = [_record(call, record) for record in taken]
    if process_id:
        return {"process_id": process_id, "events": rows}
    return {"process_id": queue.take(taken, clear=clear), "events": rows}


@TABLE.add("event.offline.list", scope="", app_only="WRONG_AUTH_TYPE")
def offline_list(call: Call) -> Page:
    call.require_admin()
    return page_of(
        call,
        call.site.offline.records(_connector(call)),
        _columns(call),
        lambda page: [
            {**_record(call, r), "PROCESS_ID": r.process_id, "ERROR": str(int(r.is_failed))} for r in page
        ],
        ascending_by="ID",
    )


def _named_ids(call: Call) -> set[str]:
    named = call.params.get("id") or call.params.get("message_id")
    return {str(value) for value in as_list(named)}


@TABLE.add("event.offline.clear", scope="", app_only="WRONG_AUTH_TYPE")
def offline_clear(call: Call) -> bool:
    call.require_admin()
    call.site.offline.acknowledge(str(call.require("process_id")), _named_ids(call))
    return True


@TABLE.add("event.offline.error", scope="", app_only="WRONG_AUTH_TYPE")
def offline_error(call: Call) -> bool:
    call.require_admin()
    call.site.offline.mark_failed(str(call.require("process_id")), _named_ids(call))
    return True
