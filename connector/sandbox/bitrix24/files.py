"""Files of the portal: storing what comes as base64, and the addresses they are read back from.

Source: reference sections 4.10 and 4.15.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
import uuid
from typing import Any
from urllib.parse import quote

from flask import Request, Response

from connector.sandbox.bitrix24.call import Caller
from connector.sandbox.bitrix24.params import as_list
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.wire import RestError, dump, moment
from connector.sandbox.state import StoredFile


def store(site: Site, name: str, content: bytes) -> StoredFile:
    """Keep a file; its type follows from its name."""
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return site.portal.add_file(StoredFile(0, uuid.uuid4().hex, name, kind, content))


def store_pairs(site: Site, value: Any) -> list[StoredFile]:
    """Keep the files of `[["a.pdf", "<base64>"], …]`; one bare pair counts as a list of one."""
    items = as_list(value)
    if len(items) == 2 and all(isinstance(item, str) for item in items):
        items = [items]
    pairs = [as_list(item) for item in items]
    return [store(site, str(pair[0]), decode(pair[1])) for pair in pairs if len(pair) >= 2]


def decode(text: Any) -> bytes:
    """Bytes of base64; error 400 when it is none."""
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise RestError(400, "ERROR_ARGUMENT", "Invalid file content") from None


def timeline_url(site: Site, file: StoredFile, action: str = "downloadFile") -> str:
    """Where a file of a timeline comment is; the token in it opens it without a browser session."""
    query = f"?&ncc=1&token={file.uuid}&filename={quote(file.name)}"
    return f"{site.base_url}/disk/{action}/{file.id}/{query}"


def disk_url(site: Site, file: StoredFile, caller: Caller) -> str:
    """`DOWNLOAD_URL` of a Drive file: it carries the caller's own token."""
    return f"{_caller_url(site, caller)}download.json?token={file.uuid}"


def upload_url(site: Site, caller: Caller, folder_id: int) -> str:
    """Where the second step of a big upload goes."""
    return f"{_caller_url(site, caller)}upload.json?token=disk%7C{folder_id}"


def record_upload_url(site: Site, caller: Caller, call_id: str) -> str:
    """Where the record of a call goes when it was not sent along."""
    return f"{_caller_url(site, caller)}upload.json?token=telephony%7C{quote(call_id)}"


def _caller_url(site: Site, caller: Caller) -> str:
    if caller.kind == "webhook":
        return f"{site.rest_url}{caller.user_id}/{caller.id}/"
    return site.rest_url


def disk_object(site: Site, file: StoredFile, caller: Caller) -> dict[str, Any]:
    """The Drive's view of a file."""
    folder_id, name = site.disk_names.get(file.id, (0, file.name))
    stamp = moment(site.now(), site.zone)
    user = str(caller.user_id)
    return {
        "ID": file.id,
        "NAME": name,
        "CODE": None,
        "STORAGE_ID": "1",
        "TYPE": "file",
        "PARENT_ID": str(folder_id),
        "DELETED_TYPE": 0,
        "GLOBAL_CONTENT_VERSION": 1,
        "FILE_ID": file.id,
        "SIZE": str(len(file.content)),
        "CREATE_TIME": stamp,
        "UPDATE_TIME": stamp,
        "DELETE_TIME": None,
        "CREATED_BY": user,
        "UPDATED_BY": user,
        "DELETED_BY": None,
        "DOWNLOAD_URL": disk_url(site, file, caller),
        "DETAIL_URL": f"{site.base_url}/company/personal/user/{user}/disk/file/{quote(name)}",
    }


def put_on_disk(site: Site, folder_id: int, name: str, content: bytes, *, unique: bool) -> StoredFile:
    """Keep a file in a folder. A taken name is an error unless `unique` asks for a new one."""
    taken = {found for file_id, (folder, found) in site.disk_names.items() if folder == folder_id}
    if name in taken and not unique:
        raise RestError(400, "DISK_OBJ_22000", "An object with this name already exists")
    final, count = name, 0
    while final in taken:
        count += 1
        stem, dot, suffix = name.rpartition(".")
        final = f"{stem} ({count}).{suffix}" if dot else f"{name} ({count})"
    file = store(site, final, content)
    site.disk_names[file.id] = (folder_id, final)
    return file


def serve(site: Site, caller: Caller, action: str, request: Request) -> Response:
    """`/rest/…/download.json` and the second step of an upload."""
    token = request.args.get("token", "")
    if action == "download":
        file = next((f for f in site.portal.files.values() if f.uuid == token), None)
        return _content(file)
    kind, _, folder = token.partition("|")
    upload = request.files.get("file")
    record_of = site.phone_calls.get(folder) if kind == "telephony" else None
    if upload is not None and record_of is not None:
        record = store(site, upload.filename or "record.mp3", upload.read())
        record_of.record_file_id = record.id
        return _uploaded({"FILE_ID": record.id})
    if kind != "disk" or not folder.isdigit() or upload is None:
        raise RestError(400, "ERROR_ARGUMENT", "File is not uploaded")
    stored = put_on_disk(site, int(folder), upload.filename or "file", upload.read(), unique=True)
    return _uploaded(disk_object(site, stored, caller))


def _uploaded(result: dict[str, Any]) -> Response:
    return Response(dump({"result": result}), 200, content_type="application/json; charset=utf-8")


def download(site: Site, file_id: int, token: str) -> Response:
    """`/disk/downloadFile/…`: only who knows the token gets in."""
    file = site.portal.files.get(file_id)
    return _content(file if file and file.uuid == token else None)


def _content(file: StoredFile | None) -> Response:
    if file is None:
        return Response("Not found", 404, content_type="text/plain; charset=utf-8")
    disposition = f"attachment; filename*=utf-8''{quote(file.name)}"
    headers = {"Content-Disposition": disposition}
    return Response(file.content, 200, content_type=file.mime_type, headers=headers)
