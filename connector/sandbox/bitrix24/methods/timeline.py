"""Comments in the timeline, with files. Source: reference section 4.10.

These methods take only lower-case `fields` (since crm 23.100).
"""

from __future__ import annotations

import io
from typing import Any, Final

from PIL import Image, UnidentifiedImageError

from connector.sandbox.bitrix24 import files
from connector.sandbox.bitrix24.call import Call, MethodTable, Page, page_of, selected
from connector.sandbox.bitrix24.filters import Column, Columns, split_operator
from connector.sandbox.bitrix24.kinds import entity_by_code
from connector.sandbox.bitrix24.params import as_list, as_map
from connector.sandbox.bitrix24.wire import (
    EMPTY_OBJECT,
    RestError,
    invalid_argument,
    moment,
    parse_int,
)
from connector.sandbox.state import EntityType, Note, StoredFile

TABLE = MethodTable()

KINDS: Final = frozenset({"common", "attachment"})
_SHARED: Final[dict[str, EntityType]] = {"deal": "deal", "contact": "contact", "company": "company"}


def owner_of(call: Call, type_: Any, number: Any) -> tuple[str, int]:
    """Kind (as timelines spell it) and id of an object that is there."""
    entity = entity_by_code(call.site, str(type_ or ""))
    entity_id = parse_int(number) or 0
    if entity is None or entity.find(call.site, entity_id) is None:
        raise RestError(400, "OWNER_NOT_FOUND", "Owner was not found")
    return entity.code, entity_id


def timeline_note(
    call: Call, owner: tuple[str, int], kind: str, text: str, author: int, file_ids: list[int]
) -> Note:
    """An entry of a timeline. The shared portal knows three kinds of owners; others stand in `params`."""
    code, owner_id = owner
    now = call.site.now()
    shared = _SHARED.get(code)
    params = {} if shared else {"owner": code}
    note = Note(0, shared or "note", owner_id, kind, text, author, now, now, file_ids, params)
    added: Note = call.site.portal.add("note", note, by=call.user_id)
    return added


def owner_code(note: Note) -> str:
    return str(note.params.get("owner") or note.entity)


def _comment(call: Call) -> Note:
    note = call.site.portal.notes.get(call.id())
    if note is None or note.kind not in KINDS:
        raise RestError(400, "NOT_FOUND", "Comment was not found")
    return note


def owners_of(note: Note) -> list[tuple[str, int]]:
    """The owner of an entry and those it was bound to afterwards."""
    return [(owner_code(note), note.entity_id), *(tuple(pair) for pair in note.params.get("bindings", ()))]


@TABLE.add("crm.timeline.comment.add", scope="crm", any_case=False)
def comment_add(call: Call) -> int:
    wanted = call.require_map("fields")
    owner = owner_of(call, wanted.get("ENTITY_TYPE"), wanted.get("ENTITY_ID"))
    text = str(wanted.get("COMMENT") or "")
    if not text.strip():
        raise invalid_argument("The field COMMENT is empty")
    stored = files.store_pairs(call.site, wanted.get("FILES"))
    author = parse_int(wanted.get("AUTHOR_ID")) or call.user_id
    kind = "attachment" if stored else "common"
    return timeline_note(call, owner, kind, text, author, [file.id for file in stored]).id


@TABLE.add("crm.timeline.comment.get", scope="crm", any_case=False)
def comment_get(call: Call) -> dict[str, Any]:
    return _present(call, _comment(call))


@TABLE.add("crm.timeline.comment.list", scope="crm", any_case=False)
def comment_list(call: Call) -> Page:
    """Comments of one object: its type and id must both be in the filter."""
    filter_ = as_map(call.params.get("filter"))
    named = {split_operator(key)[1]: value for key, value in filter_.items()}
    if not named.get("ENTITY_ID") or not named.get("ENTITY_TYPE"):
        raise invalid_argument("The filter must contain ENTITY_ID and ENTITY_TYPE")
    owners = {parse_int(value) for value in as_list(named["ENTITY_ID"])}
    with call.site.portal.lock:
        portal = call.site.portal
        kinds = (*_SHARED.values(), "note")
        ids = {i for kind in kinds for owner in owners for i in portal.index.notes.of(kind, owner)}
        ids |= {i for i in call.site.bound_notes if i in portal.notes}
        found = (portal.notes[i] for i in sorted(ids))
        notes = [note for note in found if note.kind in KINDS]
    columns = Columns(_column, strict=False, zone=call.site.zone)

    def present(page: list[Note]) -> list[dict[str, Any]]:
        names = set(selected(call))
        rows = [_present(call, note) for note in page]
        if not names or "*" in names:
            return rows
        return [{key: value for key, value in row.items() if key in names} for row in rows]

    return page_of(call, notes, columns, present, ascending_by="ID")


@TABLE.add("crm.timeline.comment.update", scope="crm", any_case=False)
def comment_update(call: Call) -> bool:
    note, wanted = _comment(call), call.require_map("fields")
    changes: dict[str, Any] = {}
    if "COMMENT" in wanted:
        changes["text"] = str(wanted["COMMENT"] or "")
        if not changes["text"].strip():
            raise invalid_argument("The field COMMENT is empty")
    if "FILES" in wanted:
        changes["file_ids"] = [file.id for file in files.store_pairs(call.site, wanted["FILES"])]
    call.site.portal.update("note", note.id, changes, by=call.user_id)
    return True


@TABLE.add("crm.timeline.comment.delete", scope="crm", any_case=False)
def comment_delete(call: Call) -> bool:
    call.site.portal.delete("note", _comment(call).id, by=call.user_id)
    return True


def _column(name: str) -> Column | None:
    columns = {
        "ID": Column("integer", lambda note: note.id),
        "ENTITY_ID": Column("integer", lambda note: [number for _, number in owners_of(note)]),
        "ENTITY_TYPE": Column("string", lambda note: [code for code, _ in owners_of(note)]),
        "CREATED": Column("datetime", lambda note: note.created_at),
        "COMMENT": Column("string", lambda note: note.text),
        "AUTHOR_ID": Column("integer", lambda note: note.created_by),
    }
    return columns.get(name)


def _present(call: Call, note: Note) -> dict[str, Any]:
    site = call.site
    attached: dict[str, Any] = {}
    for file_id in note.file_ids:
        file = site.portal.files[file_id]
        attached[str(file_id)] = {
            "id": file_id,
            "date": moment(note.created_at, site.zone),
            "type": "image" if file.mime_type.startswith("image/") else "file",
            "name": file.name,
            "size": len(file.content),
            **_image(file),
            "authorId": note.created_by,
            "authorName": _name(call, note.created_by),
            "urlPreview": files.timeline_url(site, file, "showFile"),
            "urlShow": files.timeline_url(site, file, "showFile"),
            "urlDownload": files.timeline_url(site, file),
        }
    return {
        "ID": str(note.id),
        "ENTITY_ID": str(note.entity_id),
        "ENTITY_TYPE": owner_code(note),
        "CREATED": moment(note.created_at, site.zone),
        "COMMENT": note.text,
        "AUTHOR_ID": str(note.created_by),
        "FILES": attached or EMPTY_OBJECT,
    }


def _image(file: StoredFile) -> dict[str, Any]:
    if not file.mime_type.startswith("image/"):
        return {}
    try:
        width, height = Image.open(io.BytesIO(file.content)).size
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        return {}
    return {"image": {"width": width, "height": height}}


def _name(call: Call, user_id: int) -> str:
    user = call.site.portal.users.get(user_id)
    return f"{user.name} {user.last_name}".strip() if user else ""
