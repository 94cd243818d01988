"""The file service (`/v1.0`, `/download`) and files of entities (`/api/v4/{entity}/{id}/files`).

A file is sent in parts to one-time addresses. Source: reference 4.17.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from connector.sandbox.amocrm.account import stable_uuid
from connector.sandbox.amocrm.leads import price_of
from connector.sandbox.amocrm.notes import file_version
from connector.sandbox.amocrm.request import (
    INT,
    OPTIONAL_STRING,
    STRING,
    Batch,
    Call,
    check_types,
    integers,
    strings,
)
from connector.sandbox.amocrm.wire import (
    ApiError,
    Reply,
    Violation,
    blank,
    hal,
    no_content,
    not_a_choice,
    not_found,
    problem,
    unix,
)
from connector.sandbox.amocrm.world import ENTITIES, Route, World
from connector.sandbox.state import StoredFile

MAX_FILE_SIZE = 314_572_800
MAX_PART_SIZE = 524_288


@dataclass(slots=True)
class _Upload:
    session_id: int
    name: str
    size: int
    mime_type: str
    user_id: int
    parts: list[bytes] = field(default_factory=list)

    @property
    def received(self) -> int:
        return sum(map(len, self.parts))


@dataclass(slots=True)
class _Meta:
    created_at: int
    user_id: int
    session_id: int


class Drive:
    """Sessions under way and what is linked to what; the bytes are in the portal."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._uploads: dict[str, _Upload] = {}
        self._meta: dict[str, _Meta] = {}
        #: (collection, entity id) -> link id by file uuid.
        self._links: dict[tuple[str, int], dict[str, int]] = {}
        self._trashed: set[str] = set()

    def open_session(self, world: World, call: Call) -> Reply:
        item = call.item()

        def rule(body: dict[str, Any]) -> list[Violation]:
            kinds = {"file_name": STRING, "file_size": INT, "content_type": OPTIONAL_STRING}
            found = check_types(body, kinds, required=("file_name", "file_size"))
            if not found and not body["file_name"].strip():
                found.append(blank("file_name"))
            if not found and not 0 < body["file_size"] <= MAX_FILE_SIZE:
                found.append(not_a_choice("file_size"))
            return found

        Batch([item]).check(rule)
        with world.portal.lock:
            session_id = world.portal.new_id("amocrm_session", 26_136_001)
            mime_type = item.get("content_type") or "application/octet-stream"
            upload = _Upload(session_id, item["file_name"], item["file_size"], mime_type, call.user_id)
            address = self._address(upload)
        return hal(
            {
                "max_file_size": MAX_FILE_SIZE,
                "max_part_size": MAX_PART_SIZE,
                "session_id": session_id,
                "upload_url": address,
            }
        )

    def _address(self, upload: _Upload) -> str:
        token = secrets.token_urlsafe(32)
        self._uploads[token] = upload
        return f"{self._world.base_url}/v1.0/sessions/upload/{token}"

    def part(self, world: World, call: Call, token: str) -> Reply:
        """Take one part: the next address, or the file's model after the last byte."""
        if len(call.body) > MAX_PART_SIZE:
            raise ApiError(problem(413, "Part is too large"))
        with world.portal.lock:
            upload = self._uploads.pop(token, None)
            if upload is None:
                raise not_found("Session not found")
            upload.parts.append(call.body)
            if upload.received > upload.size:
                raise ApiError(problem(400, "More bytes than announced"))
            if upload.received < upload.size:
                return hal({"next_url": self._address(upload), "session_id": upload.session_id})
            content = b"".join(upload.parts)
            file = world.portal.add_file(StoredFile(0, str(uuid4()), upload.name, upload.mime_type, content))
            self._meta[file.uuid] = _Meta(world.now(), upload.user_id, upload.session_id)
            return hal(self._model(file))

    def _model(self, file: StoredFile) -> dict[str, Any]:
        meta = self._meta.get(file.uuid) or _Meta(self._world.now(), self._world.api_user_id, 0)
        author = {"type": "internal", "id": meta.user_id}
        name = PurePosixPath(file.name)
        base = f"{self._world.base_url}/download/{stable_uuid(self._world, 'drive')}/{file.uuid}"
        shown = quote(file.name, safe="")
        version = file_version(file)
        is_trashed = file.uuid in self._trashed
        return {
            "_links": {
                "download": {"href": f"{base}/{shown}"},
                "download_version": {"href": f"{base}/{version}/{shown}"},
                "self": {"href": f"{self._world.base_url}/v1.0/files/{file.uuid}"},
            },
            "created_at": meta.created_at,
            "created_by": author,
            "deleted_at": meta.created_at if is_trashed else None,
            "deleted_by": author if is_trashed else None,
            "has_multiple_versions": False,
            "is_trashed": is_trashed,
            "metadata": {"extension": name.suffix.lstrip("."), "mime_type": file.mime_type},
            "name": name.stem,
            "previews": None,
            "sanitized_name": name.stem,
            "session_id": meta.session_id,
            "size": len(file.content),
            "source_id": None,
            "type": "image" if file.mime_type.startswith("image/") else "file",
            "updated_at": meta.created_at,
            "updated_by": author,
            "uuid": file.uuid,
            "version_uuid": version,
        }

    def _find(self, uuid: object) -> StoredFile | None:
        return next((f for f in list(self._world.portal.files.values()) if f.uuid == uuid), None)

    def _known(self, uuid: object) -> StoredFile:
        file = self._find(uuid)
        if file is None:
            raise not_found("File not found")
        return file

    def files(self, world: World, call: Call) -> Reply:
        wanted = set(strings(call.filter.get("uuid")))
        name = call.filter.get("name")
        rows = [f for f in list(world.portal.files.values()) if not wanted or f.uuid in wanted]
        if isinstance(name, str):
            rows = [f for f in rows if name.casefold() in f.name.casefold()]
        rows = [f for f in rows if f.uuid not in self._trashed]
        if not rows:
            return no_content()
        links = world.link("/v1.0/files")
        return hal(
            {"_count": len(rows), "_links": links, "_embedded": {"files": [self._model(f) for f in rows]}}
        )

    def file(self, world: World, call: Call, uuid: str) -> Reply:
        return hal(self._model(self._known(uuid)))

    def rename(self, world: World, call: Call, uuid: str) -> Reply:
        """The name without its extension, which stays."""
        item = call.item()
        Batch([item]).check(lambda body: check_types(body, {"name": STRING}, required=("name",)))
        with world.portal.lock:
            file = self._known(uuid)
            name = item["name"].strip() + PurePosixPath(file.name).suffix
            world.portal.files[file.id] = replace(file, name=name)
            return hal(self._model(world.portal.files[file.id]))

    def versions(self, world: World, call: Call, uuid: str) -> Reply:
        model = self._model(self._known(uuid))
        version = {
            **{k: v for k, v in model.items() if k not in ("version_uuid", "session_id", "is_trashed")},
            "uuid": model["version_uuid"],
            "file_uuid": uuid,
            "is_main": True,
        }
        return hal({"_count": 1, "_embedded": {"versions": [version]}, "_links": world.link(call.path)})

    def trash(self, world: World, call: Call, *, restore: bool = False) -> Reply:
        uuids = [item.get("uuid") for item in call.items().items]
        for uuid in uuids:
            self._known(uuid)
        (self._trashed.difference_update if restore else self._trashed.update)(str(u) for u in uuids)
        return no_content()

    def download(self, world: World, call: Call, **path: str) -> Reply:
        """The bytes; the address is unguessable and needs no token."""
        file = self._known(path["uuid"])
        if path["drive"] != stable_uuid(world, "drive"):
            raise not_found("File not found")
        disposition = f"attachment; filename*=UTF-8''{quote(file.name, safe='')}"
        return Reply(200, file.content, file.mime_type, {"Content-Disposition": disposition})

    def attach(self, world: World, call: Call, entity_id: int, *, collection: str) -> Reply:
        self._entity(world, collection, entity_id)

        def rule(item: dict[str, Any]) -> list[Violation]:
            found = check_types(item, {"file_uuid": STRING}, required=("file_uuid",))
            if not found and self._find(item["file_uuid"]) is None:
                found.append(not_a_choice("file_uuid"))
            return found

        batch = call.items().check(rule)
        with world.portal.lock:
            links = self._links.setdefault((collection, entity_id), {})
            for _, item in batch:
                links.setdefault(item["file_uuid"], world.portal.new_id("amocrm_file_link", 2_128_681))
        return Reply(202)

    def detach(self, world: World, call: Call, entity_id: int, *, collection: str) -> Reply:
        self._entity(world, collection, entity_id)
        with world.portal.lock:
            for item in call.items().items:
                self._links.get((collection, entity_id), {}).pop(str(item.get("file_uuid")), None)
        return Reply(202)

    def attached(self, world: World, call: Call, entity_id: int, *, collection: str) -> Reply:
        """Newest first, keyset paging by `before_id`."""
        self._entity(world, collection, entity_id)
        limit = (integers(call.text("limit")) or [50])[0]
        before = integers(call.text("before_id"))
        rows = sorted(self._links.get((collection, entity_id), {}).items(), key=lambda r: -r[1])
        rows = [row for row in rows if not before or row[1] < before[0]]
        shown = rows[:limit] if 1 <= limit <= 250 else rows[:50]
        if not shown:
            return no_content()
        path = f"/api/v4/{collection}/{entity_id}/files?limit={limit}"
        links = world.link(path)
        if len(rows) > len(shown):
            links["next"] = {"href": f"{world.base_url}{path}&before_id={shown[-1][1]}"}
        models = [{"file_uuid": uuid, "id": link_id} for uuid, link_id in shown]
        return hal({"_links": links, "_embedded": {"files": models}})

    def linked(self, world: World, call: Call, uuid: str) -> Reply:
        self._known(uuid)
        entities = [
            _linked_entity(collection, world.rows(collection)[entity_id])
            for (collection, entity_id), links in self._links.items()
            if uuid in links
        ]
        return hal({"file_uuid": uuid, "entities": entities})

    def _entity(self, world: World, collection: str, entity_id: int) -> None:
        if world.row(collection, entity_id) is None:
            raise not_found("Entity not found")

    def routes(self) -> list[Route]:
        """All methods of the file service and of entities' files."""
        routes = [
            Route("POST", "/v1.0/sessions", self.open_session),
            Route("POST", "/v1.0/sessions/upload/<token>", self.part),
            Route("GET", "/v1.0/files", self.files),
            Route("DELETE", "/v1.0/files", self.trash),
            Route("POST", "/v1.0/files/restore", partial(self.trash, restore=True)),
            Route("GET", "/v1.0/files/<uuid>", self.file),
            Route("PATCH", "/v1.0/files/<uuid>", self.rename),
            Route("GET", "/v1.0/files/<uuid>/versions", self.versions),
            Route("GET", "/download/<drive>/<uuid>/<name>", self.download),
            Route("GET", "/download/<drive>/<uuid>/<version>/<name>", self.download),
            Route("GET", "/api/v4/files/<uuid>/links", self.linked),
        ]
        for collection in ENTITIES:
            path = f"/api/v4/{collection}/<int:entity_id>/files"
            routes += [
                Route("GET", path, partial(self.attached, collection=collection)),
                Route("PUT", path, partial(self.attach, collection=collection)),
                Route("DELETE", path, partial(self.detach, collection=collection)),
            ]
        return routes


def _linked_entity(collection: str, row: Any) -> dict[str, Any]:
    body = {
        "id": row.id,
        "name": row.name,
        "main_user_id": row.responsible_id,
        "date_create": unix(row.created_at),
        "date_update": unix(row.updated_at),
        "entity_type": collection,
        "closest_task_at": None,
    }
    if collection == "leads":
        body |= {"price": price_of(row), "pipeline_id": row.pipeline_id, "status_id": int(row.stage)}
    return body
