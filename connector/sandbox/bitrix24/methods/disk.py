"""The Drive: storages, folders, uploads in one step and in two. Source: reference section 4.15."""

from __future__ import annotations

from typing import Any, Final

from connector.sandbox.bitrix24 import files
from connector.sandbox.bitrix24.call import Call, MethodTable, Page, page_of
from connector.sandbox.bitrix24.filters import Column, Columns
from connector.sandbox.bitrix24.params import as_list, as_map
from connector.sandbox.bitrix24.wire import RestError, is_yes
from connector.sandbox.state import StoredFile, User

TABLE = MethodTable()

_COMMON: Final = 1
_ROOT: Final = 1

#: Drives of people: their storages and root folders are numbered from here on, by the person.
_PERSONAL: Final = 1_000_000


def _personal(call: Call, user: User) -> dict[str, str | None]:
    number = str(_PERSONAL + user.id)
    return {
        "ID": number,
        "NAME": " ".join(filter(None, (user.name, user.last_name))),
        "CODE": None,
        "MODULE_ID": "disk",
        "ENTITY_TYPE": "user",
        "ENTITY_ID": str(user.id),
        "ROOT_OBJECT_ID": number,
    }


def _storage(call: Call) -> dict[str, str | None]:
    return {
        "ID": str(_COMMON),
        "NAME": "Общий диск",
        "CODE": None,
        "MODULE_ID": "disk",
        "ENTITY_TYPE": "common",
        "ENTITY_ID": "shared_files_s1",
        "ROOT_OBJECT_ID": str(_ROOT),
    }


def _folder(call: Call) -> int:
    number = call.id()
    is_root = number == _ROOT or number - _PERSONAL in call.site.portal.users
    if not is_root and number not in call.site.folders:
        raise RestError(404, "ERROR_NOT_FOUND", f"Could not find entity with id `{number}`.")
    return number


def _file(call: Call) -> StoredFile:
    number = call.id()
    if number not in call.site.disk_names:
        raise RestError(404, "ERROR_NOT_FOUND", f"Could not find entity with id `{number}`.")
    return call.site.portal.files[number]


@TABLE.add("disk.storage.getlist", scope="disk")
def storage_list(call: Call) -> Page:
    """The common drive and one of each person; `filter` by ENTITY_TYPE and ENTITY_ID."""
    users = [user for _, user in sorted(call.site.portal.users.items())]
    rows = [_storage(call), *(_personal(call, user) for user in users)]

    def find(name: str) -> Column:
        return Column("string", lambda row: row.get(name))

    return page_of(call, rows, Columns(find, strict=False, zone=call.site.zone), list)


@TABLE.add("disk.storage.get", scope="disk")
def storage_get(call: Call) -> dict[str, str | None]:
    return _storage(call)


@TABLE.add("disk.storage.getforapp", scope="disk", app_only="ACCESS_DENIED")
def storage_for_app(call: Call) -> dict[str, str | None]:
    return {**_storage(call), "NAME": "bitrix.restapi", "ENTITY_TYPE": "restapp", "ENTITY_ID": "3"}


@TABLE.add("disk.folder.uploadfile", scope="disk", in_batch=False)
def upload_file(call: Call) -> dict[str, Any]:
    """With `fileContent` the stored file; without it the address for the second step."""
    return _upload(call, _folder(call))


@TABLE.add("disk.storage.uploadfile", scope="disk", in_batch=False)
def storage_upload(call: Call) -> dict[str, Any]:
    return _upload(call, _ROOT)


def _upload(call: Call, folder_id: int) -> dict[str, Any]:
    content = as_list(call.params.get("fileContent"))
    if not content:
        return {"field": "file", "uploadUrl": files.upload_url(call.site, call.caller, folder_id)}
    name = str(as_map(call.params.get("data")).get("NAME") or (content[0] if len(content) > 1 else ""))
    if not name:
        raise RestError(400, "ERROR_ARGUMENT", "Invalid value of parameter {Parameter: data.NAME}")
    unique = is_yes(call.params.get("generateUniqueName", "N"))
    stored = files.put_on_disk(call.site, folder_id, name, files.decode(content[-1]), unique=unique)
    return files.disk_object(call.site, stored, call.caller)


@TABLE.add("disk.storage.addfolder", scope="disk")
def storage_add_folder(call: Call) -> dict[str, Any]:
    return _add_folder(call, _ROOT)


@TABLE.add("disk.folder.addsubfolder", scope="disk")
def add_subfolder(call: Call) -> dict[str, Any]:
    return _add_folder(call, _folder(call))


def _add_folder(call: Call, parent_id: int) -> dict[str, Any]:
    name = str(call.require_map("data").get("NAME") or "")
    if (parent_id, name) in call.site.folders.values():
        raise RestError(400, "DISK_OBJ_22000", "An object with this name already exists")
    number = call.site.portal.new_id("file", _ROOT + 1)
    call.site.folders[number] = (parent_id, name)
    return _folder_object(number, name, parent_id)


def _folder_object(number: int, name: str, parent_id: int) -> dict[str, Any]:
    parent = str(parent_id)
    return {
        "ID": number,
        "NAME": name,
        "CODE": None,
        "STORAGE_ID": "1",
        "TYPE": "folder",
        "PARENT_ID": parent,
    }


@TABLE.add("disk.folder.getchildren", scope="disk")
def folder_children(call: Call) -> Page:
    folder_id = _folder(call)
    rows = [
        _folder_object(n, name, parent)
        for n, (parent, name) in call.site.folders.items()
        if parent == folder_id
    ]
    for number, (parent, _) in call.site.disk_names.items():
        if parent == folder_id:
            rows.append(files.disk_object(call.site, call.site.portal.files[number], call.caller))
    wanted = as_map(call.params.get("filter"))
    if "NAME" in wanted:
        rows = [row for row in rows if row["NAME"] == wanted["NAME"]]
    return Page(rows, total=len(rows))


@TABLE.add("disk.file.get", scope="disk")
def file_get(call: Call) -> dict[str, Any]:
    return files.disk_object(call.site, _file(call), call.caller)


@TABLE.add("disk.file.getexternallink", scope="disk")
def file_external_link(call: Call) -> str:
    return files.timeline_url(call.site, _file(call))


@TABLE.add("disk.file.delete", scope="disk")
def file_delete(call: Call) -> bool:
    file = _file(call)
    del call.site.disk_names[file.id]
    with call.site.portal.lock:
        del call.site.portal.files[file.id]
    return True


@TABLE.add("disk.file.markdeleted", scope="disk")
def file_mark_deleted(call: Call) -> dict[str, Any]:
    file = _file(call)
    row = files.disk_object(call.site, file, call.caller)
    del call.site.disk_names[file.id]
    return {**row, "DELETED_TYPE": 3}
