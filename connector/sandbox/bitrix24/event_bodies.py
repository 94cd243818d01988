"""What a change of the portal says to its handlers: names of events and their `data`.

Source: reference section 5.3. Knows nothing of handlers and delivery.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from connector.sandbox.bitrix24.site import Site
from connector.sandbox.state import Change, Requisites

Pairs = list[tuple[str, str]]


def flatten(name: str, value: Any) -> Pairs:
    """PHP's form keys: `data[FIELDS][ID]`."""
    if isinstance(value, Mapping):
        return [pair for key, item in value.items() for pair in flatten(f"{name}[{key}]", item)]
    if isinstance(value, list | tuple):
        return [pair for place, item in enumerate(value) for pair in flatten(f"{name}[{place}]", item)]
    return [(name, "" if value is None else str(value))]


def events_of(site: Site, change: Change) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Names and data of the events that a change raises."""
    fields: dict[str, Any] = {"ID": change.entity_id}
    verb = {"add": "ADD", "update": "UPDATE", "delete": "DELETE"}[change.action]
    if change.entity == "task":
        yield _task_event(verb, change)
    elif change.entity == "note":
        if (change.after or change.before).kind in {"common", "attachment"}:
            has_fields = site.switches.comment_events_have_fields
            yield f"ONCRMTIMELINECOMMENT{verb}", {"FIELDS": fields} if has_fields else fields
    elif change.entity == "deal" and "pipeline_id" in change.fields:
        # A change of pipeline comes as this event and not as an update.
        fields |= {"CATEGORY_ID": change.after.pipeline_id, "STAGE_ID": change.after.stage}
        yield "ONCRMDEALMOVETOCATEGORY", {"FIELDS": fields}
    elif change.entity == "company" and change.fields == ("requisites",):
        yield from _requisite_events(site, change)
    elif not (change.fields == ("rows",) and not site.switches.rows_raise_deal_update):
        yield f"ONCRM{change.entity.upper()}{verb}", {"FIELDS": fields}


def _task_event(verb: str, change: Change) -> tuple[str, Mapping[str, Any]]:
    fields = {"ID": change.entity_id}
    # «undefined» is what the portal really writes here.
    if verb == "ADD":
        access = {"IS_ACCESSIBLE_BEFORE": "N", "IS_ACCESSIBLE_AFTER": "undefined"}
        return "ONTASKADD", {"FIELDS_BEFORE": "undefined", "FIELDS_AFTER": fields, **access}
    access = {"IS_ACCESSIBLE_BEFORE": "undefined", "IS_ACCESSIBLE_AFTER": "undefined"}
    if verb == "UPDATE":
        return "ONTASKUPDATE", {"FIELDS_BEFORE": fields, "FIELDS_AFTER": fields, **access}
    return "ONTASKDELETE", {"FIELDS_BEFORE": fields, **access}


def _requisite_events(site: Site, change: Change) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Bank details are an object of their own here, so a change of them alone is not the requisite's."""
    before, after = change.before.requisites, change.after.requisites
    kept = after or before
    verb = "UPDATE" if before and after else "ADD" if after else "DELETE"
    bank_before, bank_after = (_bank_of(held) for held in (before, after))
    if before is None or after is None or replace(before, **bank_after) != after:
        yield f"ONCRMREQUISITE{verb}", {"FIELDS": {"ID": kept.id}}
    if bank_before != bank_after:
        bank_verb = "UPDATE" if any(bank_before.values()) else "ADD"
        bank_verb = bank_verb if any(bank_after.values()) else "DELETE"
        yield f"ONCRMBANKDETAIL{bank_verb}", {"FIELDS": {"ID": kept.id}}
    if site.switches.requisites_raise_company_update:
        yield "ONCRMCOMPANYUPDATE", {"FIELDS": {"ID": change.entity_id}}


def _bank_of(held: Requisites | None) -> dict[str, Any]:
    names = ("bank_name", "bik", "account", "corr_account")
    return {name: getattr(held, name) if held else "" for name in names}
