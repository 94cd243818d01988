"""Files into amoCRM's own storage and onto a deal. Must not know what is in them.

A file goes up in parts to a session of the file service, then is linked with the deal; the note that shows it
in the timeline is made by `timeline.py`. Source: amoCRM developers' docs, page «Файлы».
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.crm.amocrm.api import AmoApi
from connector.crm.wild import Wild
from connector.domain import CrmFile


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as amoCRM keeps it."""

    uuid: str
    version_uuid: str
    name: str
    size: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class _Step:
    """What the file service answers to a session or a part: where the next part goes, or the file."""

    next_url: str
    part_size: int
    file: StoredFile | None


class FileStore:
    """Uploads of one account. `drive_url` is the account's file service."""

    def __init__(self, api: AmoApi, drive_url: str) -> None:
        self._api = api
        self._drive_url = drive_url.rstrip("/")

    def put_on_deal(
        self, deal_id: str, files: Sequence[CrmFile], *, since: datetime | None
    ) -> list[StoredFile]:
        """Upload files and link them with the deal in one call; as they are stored, in the order given.

        `since` set means that an earlier attempt may have got through: then a file of the same name and size
        that was linked after that moment is taken for ours.
        """
        known = self._linked_since(deal_id, since) if files and since is not None else []
        stored, new = [], []
        for file in files:
            mine = next(
                (one for one in known if (one.name, one.size) == (file.name, len(file.content))), None
            )
            if mine is None:
                mine = self.upload(file)
                new.append({"file_uuid": mine.uuid})
            stored.append(mine)
        if new:
            self._api.put("PUT", f"leads/{deal_id}/files", new)
        return stored

    def upload(self, file: CrmFile) -> StoredFile:
        """Send a file in parts of the size that the service asks for."""
        session = {
            "file_name": file.name,
            "file_size": len(file.content),
            "content_type": file.mime_type,
            "with_preview": False,
        }
        step = self._api.file_service(
            "POST", f"{self._drive_url}/v1.0/sessions", _read_session, json_body=session
        )
        part_size = step.part_size
        for start in range(0, max(len(file.content), 1), part_size):
            part = file.content[start : start + part_size]
            step = self._api.file_service("POST", step.next_url, _read_step, body=part)
        if step.file is None:
            raise self._api.unexpected("POST file service", "the last part did not give the file")
        return step.file

    def _linked_since(self, deal_id: str, since: datetime) -> list[StoredFile]:
        """What is linked with the deal and was stored at or after that moment."""
        uuids, _ = self._api.page(
            f"leads/{deal_id}/files", "files", lambda item: item["file_uuid"].text(), [("limit", 50)]
        )
        files = [
            self._api.file_service("GET", f"{self._drive_url}/v1.0/files/{uuid}", _read_file)
            for uuid in uuids
        ]
        return [file for file in files if file.created_at >= since]


def _read_session(body: Wild) -> _Step:
    return _Step(body["upload_url"].text(), max(body["max_part_size"].int(), 1), None)


def _read_step(body: Wild) -> _Step:
    """The answer to a part: the address of the next one, or after the last part the file itself."""
    following = body.text_at("next_url")
    return _Step(following, 0, None if following else _read_file(body))


def _read_file(body: Wild) -> StoredFile:
    """The service keeps the extension apart from the name; people and notes see them together."""
    name = body["name"].text()
    extension = (body.get("metadata") or Wild({})).text_at("extension")
    if extension and not name.lower().endswith(f".{extension.lower()}"):
        name = f"{name}.{extension}"
    return StoredFile(
        uuid=body["uuid"].text(),
        version_uuid=body["version_uuid"].text(),
        name=name,
        size=body["size"].int(),
        created_at=body["created_at"].unix(),
    )
