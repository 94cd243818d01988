"""Changes to deals: read, compare, send the difference; and which deals are there at all. Must not know why.

amoCRM has no locks: what a PATCH names is overwritten, so a whole deal written back would undo what others
changed meanwhile. Fields, tags and links that are not named stay as they are.
Source: amoCRM developers' docs, pages «Сделки», «Теги»; the official SDK's issues 252 and 366.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from connector.crm.amocrm.api import PAGE, AmoApi
from connector.crm.amocrm.directory import SetUp
from connector.crm.amocrm.enquiries import UNSORTED
from connector.crm.amocrm.field_values import FieldDefinition, Unwritable, encode, same
from connector.crm.amocrm.wire import custom_fields
from connector.crm.wild import Wild
from connector.domain import DealChanges
from connector.errors import CrmError

WON, LOST = "142", "143"

#: More than any deal, and still a whole number in JSON.
LARGEST_AMOUNT = Decimal(10) ** 15


class Deals:
    """Deals of one account. `filterable` says whether they may be asked for by their ids, a paid option."""

    def __init__(self, api: AmoApi, set_up: SetUp, zone: ZoneInfo, *, filterable: bool) -> None:
        self._api = api
        self._set_up = set_up
        self._zone = zone
        self._filterable = filterable

    def existing(self, deal_ids: Sequence[str]) -> set[str]:
        """Those of `deal_ids` that amoCRM still has; what lies in its trash is not among them.

        Deals can be asked for by their ids where filtering is paid for. Elsewhere many are looked for in the
        whole list first, and only those that it does not show are asked for one by one.
        """
        wanted = list(dict.fromkeys(deal_ids))
        found: set[str] = set()
        if not self._filterable and len(wanted) > PAGE:
            listed = self._api.pages("leads", "leads", _living_id, [("order[id]", "asc")])
            found = set(wanted).intersection(filter(None, listed))
            wanted = [deal_id for deal_id in wanted if deal_id not in found]
        there = self._api.by_ids("leads", "leads", wanted, _living_id, filterable=self._filterable)
        return found | set(filter(None, there))

    def update(self, deal_id: str, changes: DealChanges) -> bool:
        """Make `changes`; False when the deal is like that already.

        Raises CrmError: not_found without such a deal, rejected with «path: reason» for what does not fit.
        """
        call = "PATCH /api/v4/leads/{id}"
        lead = self._api.one(f"leads/{deal_id}", lambda item: item)
        if lead is None or _flag(lead, "is_deleted"):
            raise CrmError("not_found", account=self._api.account, call=call, detail="no such deal")
        body: dict[str, Any] = {}
        if changes.name is not None and changes.name != lead.text_at("name"):
            if not changes.name.strip():
                raise self._refused("name", "a deal needs one")
            body["name"] = changes.name
        if changes.amount is not None:
            if not changes.amount.is_finite() or not 0 <= changes.amount < LARGEST_AMOUNT:
                raise self._refused("amount", f"{changes.amount} is no budget")
            body |= _price(lead, changes.amount)
        if changes.responsible_id is not None and changes.responsible_id != lead.id_at("responsible_user_id"):
            body["responsible_user_id"] = self._number("responsible_id", changes.responsible_id)
        body |= self._place(lead, changes)
        body |= _tags(lead, changes)
        fields = self._fields(lead, changes.fields)
        if fields:
            body["custom_fields_values"] = [
                {"field_id": int(definition.id), "values": values} for definition, values in fields
            ]
        if not body:
            return False
        try:
            self._api.put("PATCH", f"leads/{deal_id}", body)
        except CrmError as error:
            raise _with_names(error, [definition for definition, _ in fields]) from error
        return True

    def _place(self, lead: Wild, changes: DealChanges) -> dict[str, Any]:
        """Pipeline and stage always go together; a reason goes with the lost stage alone."""
        here = (lead["pipeline_id"].id(), lead["status_id"].id())
        pipeline_id = changes.pipeline_id or here[0]
        stage_id = changes.stage_id or (here[1] if pipeline_id == here[0] else self._first_stage(pipeline_id))
        reason = changes.loss_reason_id
        if reason is not None and stage_id != LOST:
            raise self._refused("loss_reason_id", f"{reason} goes with the lost stage (143) alone")
        body: dict[str, Any] = {}
        new_reason = reason is not None and reason != lead.id_at("loss_reason_id")
        if (pipeline_id, stage_id) != here or new_reason:
            body["pipeline_id"] = self._number("pipeline_id", pipeline_id)
            body["status_id"] = self._number("stage_id", stage_id)
        if reason is not None and body:
            body["loss_reason_id"] = self._number("loss_reason_id", reason)
        return body

    def _first_stage(self, pipeline_id: str) -> str:
        """Where a deal enters another pipeline when nobody says: its first stage after «Неразобранное»."""
        number = self._number("pipeline_id", pipeline_id)
        stages = self._api.one(f"leads/pipelines/{number}", _open_stages)
        if not stages:
            raise self._refused("pipeline_id", f"there is no pipeline {pipeline_id} with an open stage")
        return stages[0][1]

    def _fields(self, lead: Wild, wanted: Mapping[str, str]) -> list[tuple[FieldDefinition, Any]]:
        """The fields that are to hold something else, with their values; None clears one."""
        current = {one.id: one.values for one in custom_fields(lead)} if wanted else {}
        found = []
        for name, text in wanted.items():
            definition = self._set_up.definition("deal", name)
            if definition is None:
                raise self._refused(f"fields.{name}", "deals have no such field")
            if definition.is_computed:
                raise self._refused(f"fields.{name}", "amoCRM computes this field itself")
            try:
                values = encode(definition, text, self._zone)
            except Unwritable as error:
                raise self._refused(f"fields.{name}", str(error)) from None
            if not same(definition, current.get(definition.id, ()), values, self._zone):
                found.append((definition, values))
        return found

    def _number(self, path: str, text: str) -> int:
        if not text.isdecimal():
            raise self._refused(path, f"{text[:40]} is no id of amoCRM's")
        return int(text)

    def _refused(self, path: str, reason: str) -> CrmError:
        """Refused here, before amoCRM is asked: nothing was changed."""
        return CrmError(
            "rejected",
            account=self._api.account,
            call="PATCH /api/v4/leads/{id}",
            code="NotWritable",
            detail=f"{path}: {reason}"[:300],
        )


def _living_id(item: Wild) -> str | None:
    return None if _flag(item, "is_deleted") else item["id"].id()


def _price(lead: Wild, amount: Decimal) -> dict[str, Any]:
    """The budget is whole roubles, but in accounts with minor units."""
    exact = lead.get("price_with_minor_units")
    if exact is not None:
        wanted = amount.quantize(Decimal("0.01"), ROUND_HALF_UP)
        return {} if exact.decimal() == wanted else {"price": float(wanted)}
    whole = int(amount.quantize(Decimal(1), ROUND_HALF_UP))
    price = lead.get("price")
    return {} if price is not None and price.decimal() == whole else {"price": whole}


def _tags(lead: Wild, changes: DealChanges) -> dict[str, Any]:
    """Only what is to be added and taken away: the full set would undo others' tags. A tag is named by its id
    or its name, never by both, which can make a second one."""
    tags = ((lead.get("_embedded") or Wild({})).get("tags") or Wild(None)).each()
    present = {tag["name"].text(): tag["id"].int() for tag in tags}
    add = [{"name": name} for name in dict.fromkeys(changes.add_tags) if name.strip() and name not in present]
    remove = [{"id": present[name]} for name in dict.fromkeys(changes.remove_tags) if name in present]
    body: dict[str, Any] = {}
    if add:
        body["tags_to_add"] = add
    if remove:
        body["tags_to_delete"] = remove
    return body


def _with_names(error: CrmError, fields: list[FieldDefinition]) -> CrmError:
    """amoCRM's «custom_fields_values.0.values…» with the name of the field that it means."""

    def named(match: re.Match[str]) -> str:
        index = int(match[1])
        return f"{match[0]} («{fields[index].name}»)" if index < len(fields) else match[0]

    detail = re.sub(r"custom_fields_values\.(\d{1,4})\b[\w.]*", named, error.detail)
    return CrmError(
        error.kind,
        account=error.account,
        call=error.call,
        code=error.code,
        status=error.status,
        detail=detail,
        retry_after=error.retry_after,
    )


def _open_stages(item: Wild) -> list[tuple[int, str]]:
    """(sort, id) of the stages a deal may enter, in their order."""
    stages = []
    for status in item["_embedded"]["statuses"].each():
        kind = status.get("type")
        if status["id"].id() not in (WON, LOST) and (kind is None or kind.int() != UNSORTED):
            stages.append((status["sort"].int(), status["id"].id()))
    return sorted(stages)


def _flag(item: Wild, name: str) -> bool:
    part = item.get(name)
    return part is not None and part.flag()
