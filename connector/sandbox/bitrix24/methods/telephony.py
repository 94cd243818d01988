"""`telephony.externalCall.*`, `telephony.externalLine.*`, `voximplant.statistic.get`: calls, their figures.

Source: reference section 4.17.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from connector.sandbox.bitrix24 import files, past
from connector.sandbox.bitrix24.call import Call, MethodTable, Page, page_of
from connector.sandbox.bitrix24.clients import COMPANY, CONTACT
from connector.sandbox.bitrix24.events import Notice
from connector.sandbox.bitrix24.filters import Column, Columns
from connector.sandbox.bitrix24.kinds import CLASSIC
from connector.sandbox.bitrix24.leads import LEAD
from connector.sandbox.bitrix24.methods.activities import record_call
from connector.sandbox.bitrix24.methods.duplicates import normal
from connector.sandbox.bitrix24.params import as_list, as_map
from connector.sandbox.bitrix24.wire import EMPTY_OBJECT, RestError, is_yes, moment, parse_int, parse_moment

TABLE = MethodTable()

OUTGOING, INCOMING, REDIRECTED, CALLBACK, INFO = 1, 2, 3, 4, 5
_REPEAT_WINDOW: Final = timedelta(minutes=30)
_APP_NAME: Final = "REST"


@dataclass(slots=True)
class PhoneCall:
    """One call of an external telephony; the row of statistics once it is over."""

    call_id: str
    external_id: str | None
    user_id: int
    phone: str
    kind: int
    line: str
    started_at: datetime
    registered_at: datetime
    crm: tuple[str, int] | None
    lead_id: int | None
    row_id: int = 0
    duration_s: int = 0
    code: str = ""
    reason: str = ""
    vote: int | None = None
    cost: str = "0.0000"
    currency: str = ""
    activity_id: int | None = None
    record_file_id: int | None = None
    record_url: str | None = None
    transcript_id: int | None = None


def _user(call: Call) -> int:
    user_id = parse_int(call.params.get("USER_ID")) or 0
    if user_id not in call.site.portal.users:
        raise RestError(400, "ERROR_CORE", "USER_ID or USER_PHONE_INNER should be set")
    return user_id


def _phone_call(call: Call) -> PhoneCall:
    found = call.site.phone_calls.get(str(call.params.get("CALL_ID") or ""))
    if found is None:
        raise RestError(400, "ERROR_NOT_FOUND", "Call is not found")
    return found


def _owners(call: Call, phone: str) -> list[tuple[str, Any]]:
    """Contacts, companies and leads with that number, in this order."""
    wanted = normal("PHONE", phone)
    return [
        (entity.code.upper(), obj)
        for entity in (CONTACT, COMPANY, LEAD)
        for obj in entity.all(call.site)
        if any(
            normal("PHONE", e["value"]) == wanted
            for e in entity.fields(call.site)["PHONE"].value(call.site, obj)
        )
    ]


@TABLE.add("telephony.externalcall.register", scope="telephony", app_only="WRONG_AUTH_TYPE")
def register(call: Call) -> dict[str, Any]:
    """The same number and user within half an hour is the same call, unless EXTERNAL_CALL_ID differs."""
    user_id, phone = _user(call), str(call.params.get("PHONE_NUMBER") or "")
    if not phone:
        raise RestError(400, "ERROR_CORE", "PHONE_NUMBER should not be empty")
    kind = parse_int(call.params.get("TYPE")) or 0
    if not OUTGOING <= kind <= INFO:
        raise RestError(400, "ERROR_CORE", "Unknown TYPE")
    external_id = call.params.get("EXTERNAL_CALL_ID")
    now = call.site.now()
    for known in call.site.phone_calls.values():
        same = (known.user_id, known.phone, known.external_id) == (user_id, phone, external_id)
        if same and not known.code and now - known.registered_at < _REPEAT_WINDOW:
            return _registered(known)
    crm, lead_id = _crm_of(call, phone, user_id)
    made = PhoneCall(
        f"externalCall.{secrets.token_hex(16)}.{int(now.timestamp())}",
        str(external_id) if external_id is not None else None,
        user_id,
        phone,
        kind,
        str(call.params.get("LINE_NUMBER") or ""),
        parse_moment(call.params.get("CALL_START_DATE") or now, call.site.zone) or now,
        now,
        crm,
        lead_id,
    )
    call.site.phone_calls[made.call_id] = made
    start = {"CALL_ID": made.call_id, "USER_ID": user_id}
    call.site.events.tell(Notice("ONVOXIMPLANTCALLSTART", start, call.user_id, system=False))
    return _registered(made)


def _crm_of(call: Call, phone: str, user_id: int) -> tuple[tuple[str, int] | None, int | None]:
    """Whose call it is: as told, by the number, or a new lead if wanted and nobody has the number."""
    kind = str(call.params.get("CRM_ENTITY_TYPE") or "").upper()
    number = parse_int(call.params.get("CRM_ENTITY_ID")) or 0
    if kind and number:
        return (kind, number), None
    owners = _owners(call, phone)
    if owners:
        return (owners[0][0], owners[0][1].id), None
    if not is_yes(call.params.get("CRM_CREATE", 0)):
        return None, None
    values = {
        "TITLE": f"{phone} — входящий звонок",
        "ASSIGNED_BY_ID": user_id,
        "SOURCE_ID": str(call.params.get("CRM_SOURCE") or "CALL"),
        "PHONE": [{"value": phone, "valueType": "WORK"}],
    }
    lead_id: int = LEAD.save(call.site, None, values, call.user_id).id
    return ("LEAD", lead_id), lead_id


def _registered(made: PhoneCall) -> dict[str, Any]:
    created = [{"ENTITY_TYPE": "LEAD", "ENTITY_ID": made.lead_id}] if made.lead_id else []
    return {
        "CALL_ID": made.call_id,
        "CRM_CREATED_LEAD": made.lead_id,
        "CRM_CREATED_ENTITIES": created,
        "CRM_ENTITY_TYPE": made.crm[0] if made.crm else None,
        "CRM_ENTITY_ID": made.crm[1] if made.crm else None,
    }


@TABLE.add("telephony.externalcall.finish", scope="telephony", app_only="WRONG_AUTH_TYPE")
def finish(call: Call) -> dict[str, Any]:
    """The call is over: a row of statistics and an activity at whoever it belongs to."""
    made, user_id = _phone_call(call), _user(call)
    duration = parse_int(call.params.get("DURATION")) or 0
    made.duration_s, made.user_id = duration, user_id
    made.code = str(call.params.get("STATUS_CODE") or ("200" if duration else "304"))
    made.reason = str(call.params.get("FAILED_REASON") or "")
    made.vote = parse_int(call.params["VOTE"]) if call.params.get("VOTE") is not None else None
    made.cost = f"{float(call.params.get('COST') or 0):.4f}"
    made.currency = str(call.params.get("COST_CURRENCY") or "")
    made.row_id = made.row_id or call.site.portal.new_id("phone_call")
    if made.crm and made.activity_id is None:
        made.activity_id = _activity(call, made)
    end = {
        "CALL_ID": made.call_id,
        "CALL_TYPE": made.kind,
        "PHONE_NUMBER": made.phone,
        "PORTAL_NUMBER": made.line or "REST_APP:",
        "PORTAL_USER_ID": user_id,
        "CALL_DURATION": duration,
        "CALL_START_DATE": moment(made.started_at, call.site.zone),
        "COST": call.params.get("COST") or 0,
        "COST_CURRENCY": made.currency,
        "CALL_FAILED_CODE": made.code,
        "CALL_FAILED_REASON": made.reason,
        "CRM_ACTIVITY_ID": made.activity_id or 0,
    }
    call.site.events.tell(Notice("ONVOXIMPLANTCALLEND", end, call.user_id, system=False))
    return _finished(made)


def _activity(call: Call, made: PhoneCall) -> int:
    assert made.crm is not None
    owner = next(e for e in CLASSIC.values() if e.code.upper() == made.crm[0])
    subject = f"{'Исходящий' if made.kind == OUTGOING else 'Входящий'} звонок {made.phone}"
    return record_call(
        call,
        (owner.type_id, made.crm[1]),
        subject,
        is_outgoing=made.kind in {OUTGOING, CALLBACK, INFO},
        is_missed=made.code != "200",
        user_id=made.user_id,
        started_at=made.started_at,
        ended_at=made.started_at + timedelta(seconds=made.duration_s),
        call_id=made.call_id,
        phone=made.phone,
    )


def _finished(made: PhoneCall) -> dict[str, Any]:
    return {
        "CALL_ID": made.call_id,
        "EXTERNAL_CALL_ID": made.external_id,
        "PORTAL_USER_ID": made.user_id,
        "PHONE_NUMBER": made.phone,
        "PORTAL_NUMBER": made.line,
        "INCOMING": str(made.kind),
        "CALL_DURATION": made.duration_s,
        "CALL_START_DATE": EMPTY_OBJECT,
        "CALL_STATUS": int(made.code == "200"),
        "CALL_VOTE": made.vote,
        "COST": float(made.cost),
        "COST_CURRENCY": made.currency,
        "CALL_FAILED_CODE": made.code,
        "CALL_FAILED_REASON": made.reason,
        "REST_APP_ID": "1",
        "REST_APP_NAME": _APP_NAME,
        "CRM_ACTIVITY_ID": made.activity_id,
        "COMMENT": None,
        "CRM_ENTITY_TYPE": made.crm[0] if made.crm else None,
        "CRM_ENTITY_ID": made.crm[1] if made.crm else None,
        "ID": made.row_id,
    }


@TABLE.add("telephony.externalcall.attachrecord", scope="telephony", in_batch=False)
def attach_record(call: Call) -> dict[str, Any]:
    """The record's file, its address, or neither: then the answer says where to upload it."""
    made = _phone_call(call)
    if call.params.get("RECORD_URL"):
        made.record_url = str(call.params["RECORD_URL"])
        return {"FILE_ID": call.site.portal.new_id("file")}
    name = str(call.params.get("FILENAME") or "")
    if not name:
        raise RestError(400, "ERROR_CORE", "FILENAME should not be empty")
    content = call.params.get("FILE_CONTENT")
    if not content:
        return {
            "uploadUrl": files.record_upload_url(call.site, call.caller, made.call_id),
            "fieldName": "file",
        }
    made.record_file_id = files.store(call.site, name, files.decode(content)).id
    return {"FILE_ID": made.record_file_id}


@TABLE.add("telephony.externalcall.show", scope="telephony")
def show(call: Call) -> bool:
    return bool(_phone_call(call).call_id)


@TABLE.add("telephony.externalcall.hide", scope="telephony")
def hide(call: Call) -> bool:
    return bool(_phone_call(call).call_id)


@TABLE.add("telephony.externalcall.searchcrmentities", scope="telephony")
def search(call: Call) -> list[dict[str, Any]]:
    return [
        {
            "CRM_ENTITY_TYPE": kind,
            "CRM_ENTITY_ID": obj.id,
            "ASSIGNED_BY_ID": (user_id := _responsible(obj)),
            "NAME": f"{obj.name} {getattr(obj, 'last_name', '')}".strip()
            if kind != "LEAD"
            else obj.fields["TITLE"],
            "ASSIGNED_BY": {
                "ID": str(user_id),
                "TIMEMAN_STATUS": "OPENED",
                "USER_PHONE_INNER": None,
                "WORK_PHONE": None,
                "PERSONAL_PHONE": None,
                "PERSONAL_MOBILE": None,
            },
        }
        for kind, obj in _owners(call, str(call.require("PHONE_NUMBER")))
    ]


def _responsible(obj: Any) -> int:
    return int(getattr(obj, "responsible_id", 0) or getattr(obj, "created_by", 0))


@TABLE.add("telephony.call.attachtranscription", scope="telephony")
def attach_transcription(call: Call) -> dict[str, int]:
    made = _phone_call(call)
    made.transcript_id = made.transcript_id or call.site.portal.new_id("transcript")
    return {"TRANSCRIPT_ID": made.transcript_id}


@TABLE.add("telephony.externalline.add", scope="telephony", app_only="WRONG_AUTH_TYPE")
def line_add(call: Call) -> dict[str, int]:
    number = str(call.require("NUMBER"))
    call.site.phone_lines[number] = str(call.params.get("NAME") or number)
    return {"ID": call.site.number_of("phone_line", number)}


@TABLE.add("telephony.externalline.get", scope="telephony", app_only="WRONG_AUTH_TYPE")
def line_get(call: Call) -> list[dict[str, Any]]:
    return [{"NUMBER": number, "NAME": name} for number, name in call.site.phone_lines.items()]


@TABLE.add("telephony.externalline.delete", scope="telephony", app_only="WRONG_AUTH_TYPE")
def line_delete(call: Call) -> list[Any]:
    if call.site.phone_lines.pop(str(call.require("NUMBER")), None) is None:
        raise RestError(400, "ERROR_NOT_FOUND", "Line is not found")
    return []


def _statistic(call: Call, made: PhoneCall) -> dict[str, Any]:
    return {
        "ID": str(made.row_id),
        "PORTAL_USER_ID": str(made.user_id),
        "PORTAL_NUMBER": made.line,
        "PHONE_NUMBER": made.phone,
        "CALL_ID": made.call_id,
        "EXTERNAL_CALL_ID": made.external_id,
        "CALL_CATEGORY": "external",
        "CALL_LOG": None,
        "CALL_DURATION": str(made.duration_s),
        "CALL_START_DATE": moment(made.started_at, call.site.zone),
        "CALL_RECORD_URL": made.record_url,
        "CALL_VOTE": None if made.vote is None else str(made.vote),
        "COST": made.cost,
        "COST_CURRENCY": made.currency,
        "CALL_FAILED_CODE": made.code,
        "CALL_FAILED_REASON": made.reason,
        "CRM_ENTITY_TYPE": made.crm[0] if made.crm else None,
        "CRM_ENTITY_ID": str(made.crm[1]) if made.crm else None,
        "CRM_ACTIVITY_ID": str(made.activity_id) if made.activity_id else None,
        "REST_APP_ID": "1",
        "REST_APP_NAME": _APP_NAME,
        "TRANSCRIPT_ID": str(made.transcript_id) if made.transcript_id else None,
        "TRANSCRIPT_PENDING": "N",
        "SESSION_ID": None,
        "REDIAL_ATTEMPT": None,
        "COMMENT": None,
        "RECORD_DURATION": None,
        "RECORD_FILE_ID": made.record_file_id,
        "CALL_TYPE": str(made.kind),
    }


def _past(call: Call, activity_ids: list[int] | None) -> Iterator[PhoneCall]:
    for known in past.phone_calls(call.site, activity_ids):
        at = known["started_at"]
        yield PhoneCall(**{"external_id": None, "line": "", "registered_at": at, "lead_id": None, **known})


@TABLE.add("voximplant.statistic.get", scope="telephony")
def statistic(call: Call) -> Page:
    """All calls that are over; `SORT` and `ORDER` are texts here."""
    wanted = {name.upper(): value for name, value in as_map(call.params.get("filter")).items()}
    named = wanted.get("CRM_ACTIVITY_ID")
    ids = None if named is None else [number for number in map(parse_int, as_list(named)) if number]
    made = [*call.site.phone_calls.values(), *_past(call, ids)]
    rows = [_statistic(call, one) for one in made if one.row_id]

    def find(name: str) -> Column:
        if name == "CALL_START_DATE":
            return Column("datetime", lambda row: parse_moment(row[name], call.site.zone))
        if name in {"ID", "PORTAL_USER_ID", "CALL_DURATION", "CRM_ENTITY_ID", "CRM_ACTIVITY_ID", "CALL_TYPE"}:
            return Column("integer", lambda row: parse_int(row.get(name)))
        return Column("string", lambda row: row.get(name))

    order = call.params.get("order")
    direction = str(order) if isinstance(order, str) else "ASC"
    columns = Columns(find, strict=False, zone=call.site.zone)
    sort = {str(call.params.get("sort") or "ID").upper(): direction}
    return page_of(call, rows, columns, list, default_order=sort)
