"""What a change of the portal says in the words of the event log.

Pure. Creation and moves of leads are not here: those come from the portal's history. Source: reference 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.sandbox.amocrm.leads import price_of
from connector.sandbox.amocrm.notes import note_type
from connector.sandbox.amocrm.people import full_name
from connector.sandbox.amocrm.wire import unix
from connector.sandbox.amocrm.world import COLLECTIONS, World
from connector.sandbox.state import Change, Note, Task

Values = tuple[dict[str, Any], ...]

SINGULAR = {"deal": "lead", "contact": "contact", "company": "company", "task": "task"}
NOTE_EVENTS = {
    "common": "common_note_added",
    "attachment": "attachment_note_added",
    "call_in": "incoming_call",
    "call_out": "outgoing_call",
    "service_message": "service_note_added",
    "extended_service_message": "service_note_added",
    "message_cashier": "message_to_cashier_note_added",
    "geolocation": "geo_note_added",
    "sms_in": "incoming_sms",
    "sms_out": "outgoing_sms",
    "targeting_in": "targeting_in_note_added",
    "targeting_out": "targeting_out_note_added",
    "site_visit": "site_visit_note_added",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One event without its id and author."""

    type: str
    entity_type: str
    entity_id: int
    after: Values = ()
    before: Values = ()
    #: Further keys of the event: `linked_talk_contact_id` of chat messages.
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


def facts(world: World, change: Change) -> Iterator[Fact]:
    """The events of one change, in a fixed order."""
    if change.entity == "note":
        yield from _note(change)
    elif change.entity == "task":
        yield from _task(change)
    elif change.action == "delete":
        yield Fact(f"{SINGULAR[change.entity]}_deleted", SINGULAR[change.entity], change.entity_id)
    elif change.action == "add":
        if change.entity != "deal":
            word = SINGULAR[change.entity]
            yield Fact(
                f"{word}_added", word, change.entity_id, ({"note": {"id": 50_000_000 + change.entity_id}},)
            )
    else:
        yield from _entity(world, change)


def _note(change: Change) -> Iterator[Fact]:
    note: Note = change.after
    kind = NOTE_EVENTS.get(note_type(note))
    if change.action == "delete" and note_type(note) == "common" and note.entity in SINGULAR:
        yield Fact("common_note_deleted", SINGULAR[note.entity], note.entity_id, ({"note": {"id": note.id}},))
    if change.action == "add" and kind and note.entity in SINGULAR:
        yield Fact(kind, SINGULAR[note.entity], note.entity_id, ({"note": {"id": note.id}},))


def _task(change: Change) -> Iterator[Fact]:
    after: Task = change.after
    if change.action != "update":
        yield Fact("task_added" if change.action == "add" else "task_deleted", "task", after.id)
        return
    before: Task = change.before
    if before.text != after.text:
        yield Fact(
            "task_text_changed",
            "task",
            after.id,
            ({"task": {"text": after.text}},),
            ({"task": {"text": before.text}},),
        )
    if before.due_at != after.due_at:
        yield Fact(
            "task_deadline_changed",
            "task",
            after.id,
            ({"task_deadline": {"timestamp": unix(after.due_at)}},),
            ({"task_deadline": {"timestamp": unix(before.due_at)}},),
        )
    if before.kind != after.kind:
        yield Fact(
            "task_type_changed",
            "task",
            after.id,
            ({"task_type": {"id": after.kind}},),
            ({"task_type": {"id": before.kind}},),
        )
    if after.is_done and not before.is_done:
        yield Fact("task_completed", "task", after.id)
    if after.result and after.result != before.result:
        yield Fact("task_result_added", "task", after.id, ({"note": {"id": 60_000_000 + after.id}},))


def _entity(world: World, change: Change) -> Iterator[Fact]:
    word, before, after = SINGULAR[change.entity], change.before, change.after
    if "is_deleted" in change.fields:
        yield Fact(f"{word}_restored", word, change.entity_id)

    def fact(type_: str, now: Values, then: Values) -> Fact:
        return Fact(type_, word, change.entity_id, now, then)

    if before.responsible_id != after.responsible_id:
        yield fact(
            "entity_responsible_changed",
            ({"responsible_user": {"id": after.responsible_id}},),
            ({"responsible_user": {"id": before.responsible_id}},),
        )
    names = (before.name, after.name) if word == "lead" else (full_name(before), full_name(after))
    if names[0] != names[1]:
        yield fact(
            "name_field_changed",
            ({"name_field_value": {"name": names[1]}},),
            ({"name_field_value": {"name": names[0]}},),
        )
    if word == "lead" and price_of(before) != price_of(after):
        yield fact(
            "sale_field_changed",
            ({"sale_field_value": {"sale": price_of(after)}},),
            ({"sale_field_value": {"sale": price_of(before)}},),
        )
    yield from _tags(world, change)
    yield from _links(change)
    yield from _fields(world, change)


def _tags(world: World, change: Change) -> Iterator[Fact]:
    collection, word = COLLECTIONS[change.entity], SINGULAR[change.entity]
    old, new = world.tags_of(collection, change.before), world.tags_of(collection, change.after)
    before = tuple({"tag": {"name": name}} for name in old)
    after = tuple({"tag": {"name": name}} for name in new)
    if set(new) - set(old):
        yield Fact("entity_tag_added", word, change.entity_id, after, before)
    if set(old) - set(new):
        yield Fact("entity_tag_deleted", word, change.entity_id, after, before)


def _linked(entity: str, row: Any) -> set[tuple[str, int]]:
    companies = {("company", row.company_id)} if entity != "company" and row.company_id is not None else set()
    contacts = {("contact", i) for i in row.contact_ids} if entity == "deal" else set()
    return companies | contacts


def _links(change: Change) -> Iterator[Fact]:
    old, new = _linked(change.entity, change.before), _linked(change.entity, change.after)
    word = SINGULAR[change.entity]
    for kind, entity_id in sorted(new - old):
        yield Fact(
            "entity_linked", word, change.entity_id, ({"link": {"entity": {"type": kind, "id": entity_id}}},)
        )
    for kind, entity_id in sorted(old - new):
        yield Fact(
            "entity_unlinked",
            word,
            change.entity_id,
            (),
            ({"link": {"entity": {"type": kind, "id": entity_id}}},),
        )


def _fields(world: World, change: Change) -> Iterator[Fact]:
    if not {"fields", "channel", "utm", "post", "phones", "emails", "requisites"} & set(change.fields):
        return
    for found in world.fields.of(COLLECTIONS[change.entity], change.before, change.after):
        if found.get(change.before) != found.get(change.after):
            yield Fact(
                f"custom_field_{found.id}_value_changed",
                SINGULAR[change.entity],
                change.entity_id,
                tuple(world.codec.event_values(found, change.after)),
                tuple(world.codec.event_values(found, change.before)),
            )
