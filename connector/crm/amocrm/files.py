"""Files into amoCRM's own storage and onto a deal. Must not know what is in them.

A file goes up in parts to a session of the file service, then is linked with the deal; the note that shows it
in the timeline is made by `timeline.py`. Source: amoCRM developers' docs, page «Файлы».
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.crm.amocrm.api import AmoApi
from connector.crm.wild import Wild
from connector.domain import CrmFile
from connector.errors import CrmError

#: How often a file is begun anew before its job is put back.
SESSIONS = 2


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
    file_size: int
    file: StoredFile | None


class _Spent(Exception):
    """A part's address was spent by a first try whose answer was lost."""

    def __init__(self, error: CrmError) -> None:
        self.error = error
        super().__init__(str(error))


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

    def upload(self, file: CrmFile, *, version_of: str | None = None) -> StoredFile:
        """Send a file in parts of the size that the service asks for.

        `version_of`: the file that this becomes the new, active version of. A part whose answer was lost is
        sent again; where its address is spent by then, the part had arrived, and the file is sent anew: an
        upload that was not finished leaves no file behind.
        """
        for attempt in range(1, SESSIONS + 1):
            try:
                return self._send(file, version_of)
            except _Spent as lost:
                if attempt == SESSIONS:
                    raise lost.error from None
        raise AssertionError("unreachable")

    def versions(self, uuid: str) -> list[StoredFile]:
        """All versions of a file, as the service lists them."""
        return self._api.file_service("GET", f"{self._drive_url}/v1.0/files/{uuid}/versions", _read_versions)

    def _send(self, file: CrmFile, version_of: str | None) -> StoredFile:
        session: dict[str, object] = {
            "file_name": file.name,
            "file_size": len(file.content),
            "content_type": file.mime_type,
            "with_preview": False,
        }
        if version_of is not None:
            session["file_uuid"] = version_of
        step = self._api.file_service(
            "POST", f"{self._drive_url}/v1.0/sessions", _read_session, json_body=session
        )
        if 0 < step.file_size < len(file.content):
            raise self._api.unexpected(
                "POST file service", f"{file.name}: {len(file.content)} bytes, {step.file_size} are allowed"
            )
        part_size = step.part_size
        for start in range(0, max(len(file.content), 1), part_size):
            step = self._part(step.next_url, file.content[start : start + part_size])
        if step.file is None:
            raise self._api.unexpected("POST file service", "the last part did not give the file")
        return step.file

    def _part(self, url: str, part: bytes) -> _Step:
        try:
            return self._api.file_service("POST", url, _read_step, body=part)
        except CrmError as error:
            if error.kind != "retry":
                raise
        return self._part_again(url, part)

    def _part_again(self, url: str, part: bytes) -> _Step:
        try:
            return self._api.file_service("POST", url, _read_step, body=part)
        except CrmError as error:
            if error.kind != "not_found":
                raise
            raise _Spent(error) from error

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
    most = body.get("max_file_size")
    part_size = max(body["max_part_size"].int(), 1)
    return _Step(body["upload_url"].text(), part_size, most.int() if most is not None else 0, None)


def _read_step(body: Wild) -> _Step:
    """The answer to a part: the address of the next one, or after the last part the file itself."""
    following = body.text_at("next_url")
    return _Step(following, 0, 0, None if following else _read_file(body))


def _read_versions(body: Wild) -> list[StoredFile]:
    """In a version `uuid` is the version's own and `file_uuid` the file's."""
    return [
        _read_file(
            Wild({**item.value, "uuid": item["file_uuid"].text(), "version_uuid": item["uuid"].text()})
        )
        for item in body["_embedded"]["versions"].each()
        if isinstance(item.value, Mapping)
    ]


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
