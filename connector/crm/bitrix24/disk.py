"""Files on a person's own drive, each put there once. Must not know what is in them.

Source: Bitrix24 REST docs, pages «disk.storage.getlist», «disk.folder.uploadfile», «disk.folder.getchildren».
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from connector.crm.bitrix24.api import B24Api
from connector.crm.wild import Wild
from connector.domain import CrmFile
from connector.errors import CrmError

#: The folder in a person's drive; the name is what that person sees.
FOLDER: Final = "Отчёты Коннектора"

#: What the portal says of a name that is taken.
NAME_TAKEN: Final = "DISK_OBJ_22000"


@dataclass(frozen=True, slots=True)
class Stored:
    """A file on the drive; `url` is its page, which asks for the portal's own login."""

    name: str
    url: str


def put(
    api: B24Api, user_id: str, files: Sequence[CrmFile], *, may_exist: bool, since: datetime
) -> list[Stored] | None:
    """Put files onto the drive of a person; None where that may not be done.

    With `may_exist` a file of that name and size that was made at or after `since` is taken for ours.
    """
    try:
        with api.understanding("disk.folder.getchildren"):
            root = _root_of(api, user_id)
            if root is None:
                return None
            folder = _folder(api, root)
            return [_put_one(api, folder, file, since if may_exist else None) for file in files]
    except CrmError as error:
        # No right to the drive, no such drive, no room: the report itself is worth more than its files.
        if error.kind in ("config", "rejected", "not_found"):
            return None
        raise


def _root_of(api: B24Api, user_id: str) -> str | None:
    wanted = {"filter": {"ENTITY_TYPE": "user", "ENTITY_ID": user_id}}
    storages = api.offset("disk.storage.getlist", wanted, lambda rows: rows, lambda row: row)
    # A filter that the portal does not know is ignored: whose drive it is is looked at again.
    for storage in storages:
        if storage.text_at("ENTITY_TYPE") == "user" and storage.text_at("ENTITY_ID") == user_id:
            return storage["ROOT_OBJECT_ID"].id()
    return None


def _folder(api: B24Api, root: str) -> str:
    known = _child(api, root, FOLDER, "folder")
    if known is not None:
        return known["ID"].id()
    try:
        return api.write(
            "disk.folder.addsubfolder",
            {"id": int(root), "data": {"NAME": FOLDER}},
            lambda made: made["ID"].id(),
        )
    except CrmError as error:
        known = _child(api, root, FOLDER, "folder") if error.code == NAME_TAKEN else None
        if known is None:
            raise
        return known["ID"].id()


def _put_one(api: B24Api, folder: str, file: CrmFile, since: datetime | None) -> Stored:
    known = _child(api, folder, file.name, "file") if since is not None else None
    if (
        known is not None
        and since is not None
        and known.text_at("SIZE") == str(len(file.content))
        and known["CREATE_TIME"].iso() >= since
    ):
        return _stored(known)
    return api.write(
        "disk.folder.uploadfile",
        {
            "id": int(folder),
            "data": {"NAME": file.name},
            "fileContent": [file.name, base64.b64encode(file.content).decode()],
            "generateUniqueName": True,
        },
        _stored,
    )


def _child(api: B24Api, folder: str, name: str, kind: str) -> Wild | None:
    """The newest thing of that name in a folder."""
    rows = api.offset(
        "disk.folder.getchildren",
        {"id": int(folder), "filter": {"NAME": name}},
        lambda rows: rows,
        lambda row: row,
    )
    found = [row for row in rows if row.text_at("NAME") == name and row.text_at("TYPE") == kind]
    return max(found, key=lambda row: row["ID"].int(), default=None)


def _stored(row: Wild) -> Stored:
    return Stored(row.text_at("NAME"), row.text_at("DETAIL_URL"))
