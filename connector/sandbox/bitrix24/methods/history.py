"""`crm.stagehistory.list`: every move of an object, without its author and without the stage before.

Source: reference section 4.6.
"""

from __future__ import annotations

from typing import Any, Final

from connector.sandbox.bitrix24.call import Call, MethodTable, Page, ids_in_filter, page_of, selected
from connector.sandbox.bitrix24.deals import DEAL
from connector.sandbox.bitrix24.filters import Column, Columns
from connector.sandbox.bitrix24.kinds import find_object
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.smart import INVOICE, LEAD, SmartMove
from connector.sandbox.bitrix24.wire import invalid_argument, moment, parse_int, parse_moment
from connector.sandbox.state import HistoryRow

TABLE = MethodTable()

CREATED, MOVED, CLOSED, OTHER_PIPELINE = 1, 2, 3, 5
_OLD_INVOICE: Final = 5
_NUMBERS: Final = frozenset({"ID", "TYPE_ID", "OWNER_ID", "CATEGORY_ID"})


@TABLE.add("crm.stagehistory.list", scope="crm", any_case=False)
def stagehistory_list(call: Call) -> Page:
    """Moves of deals, leads, invoices and elements. Rows of deleted objects are gone (unverified)."""
    type_id = parse_int(call.require("entityTypeId"))
    if type_id in {LEAD, INVOICE} or type_id in call.site.smart.types:
        return _others(call, type_id or 0)
    if type_id not in {DEAL.type_id, _OLD_INVOICE}:
        raise invalid_argument("Entity type is not supported")
    rows = _rows(call) if type_id == DEAL.type_id else []
    names = selected(call)

    def present(page: list[HistoryRow]) -> dict[str, Any]:
        items = [_present(call.site, row) for row in page]
        if names and "*" not in names:
            items = [{key: value for key, value in item.items() if key in names} for item in items]
        return {"items": items}

    def find(name: str) -> Column | None:
        return _column(call.site, name)

    columns = Columns(find, strict=True, zone=call.site.zone)

    def keep(row: HistoryRow) -> bool:
        return _is_shown(call.site, row)

    return page_of(call, rows, columns, present, ascending_by="ID", keep=keep)


def _others(call: Call, type_id: int) -> Page:
    """Leads have a status and no category, all others what deals have."""
    rows = [
        _present_other(call.site, move)
        for move in call.site.smart.moves
        if move.type_id == type_id and find_object(call.site, type_id, move.owner_id) is not None
    ]
    names = selected(call)

    def find(name: str) -> Column | None:
        if rows and name not in rows[0]:
            return None
        if name == "CREATED_TIME":
            return Column("datetime", lambda row: parse_moment(row[name], call.site.zone))
        return Column("integer" if name in _NUMBERS else "string", lambda row: row[name])

    def present(page: list[dict[str, Any]]) -> dict[str, Any]:
        if not names or "*" in names:
            return {"items": page}
        return {"items": [{key: value for key, value in row.items() if key in names} for row in page]}

    return page_of(call, rows, Columns(find, strict=True, zone=call.site.zone), present, ascending_by="ID")


def _present_other(site: Site, move: SmartMove) -> dict[str, Any]:
    row: dict[str, Any] = {
        "ID": move.id,
        "TYPE_ID": move.kind,
        "OWNER_ID": move.owner_id,
        "CREATED_TIME": moment(move.at, site.zone),
    }
    if move.type_id == LEAD:
        return {**row, "STATUS_SEMANTIC_ID": move.semantics, "STATUS_ID": move.stage}
    more = {"CATEGORY_ID": move.category_id, "STAGE_SEMANTIC_ID": move.semantics, "STAGE_ID": move.stage}
    return row | more


def _rows(call: Call) -> list[HistoryRow]:
    """Moves of the deals named in the filter, or of all, in the order of their ids."""
    owners = ids_in_filter(call, "OWNER_ID")
    if owners is None:
        with call.site.portal.lock:
            return list(call.site.portal.history)
    return sorted((row for owner in owners for row in call.site.moves.of(owner)), key=lambda row: row.id)


def _is_shown(site: Site, row: HistoryRow) -> bool:
    deal = site.portal.deals.get(row.deal_id)
    if deal is None or deal.is_deleted:
        return False
    return not site.switches.history_of_current_pipeline_only or row.to_pipeline_id == deal.pipeline_id


def _column(site: Site, name: str) -> Column | None:
    columns = {
        "ID": Column("integer", lambda row: row.id),
        "TYPE_ID": Column("integer", lambda row: type_of(site, row)),
        "OWNER_ID": Column("integer", lambda row: row.deal_id),
        "CREATED_TIME": Column("datetime", lambda row: row.at),
        "CATEGORY_ID": Column("integer", lambda row: row.to_pipeline_id),
        "STAGE_ID": Column("string", lambda row: row.to_stage),
        "STAGE_SEMANTIC_ID": Column("string", lambda row: site.semantics(row.to_pipeline_id, row.to_stage)),
    }
    return columns.get(name)


def type_of(site: Site, row: HistoryRow) -> int:
    """TYPE_ID: 1 created, 2 moved, 3 moved to a final stage, 5 moved to another pipeline."""
    if row.from_stage is None:
        return CREATED
    if row.from_pipeline_id != row.to_pipeline_id:
        return OTHER_PIPELINE
    return MOVED if site.semantics(row.to_pipeline_id, row.to_stage) == "P" else CLOSED


def _present(site: Site, row: HistoryRow) -> dict[str, Any]:
    return {
        "ID": row.id,
        "TYPE_ID": type_of(site, row),
        "OWNER_ID": row.deal_id,
        "CREATED_TIME": moment(row.at, site.zone),
        "CATEGORY_ID": row.to_pipeline_id,
        "STAGE_SEMANTIC_ID": site.semantics(row.to_pipeline_id, row.to_stage),
        "STAGE_ID": row.to_stage,
    }
