"""The kits that documents were made with, so that each can be made again years later. A file is kept once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, select

from connector.store.schema import kit_files, kit_versions
from connector.store.upsert import insert_new


def is_kept(conn: Connection, account: str, sha256: str) -> bool:
    """Whether the kit of that fingerprint was kept before."""
    same = (kit_versions.c.account == account, kit_versions.c.sha256 == sha256)
    return conn.execute(select(kit_versions.c.sha256).where(*same)).first() is not None


def keep(conn: Connection, account: str, sha256: str, files: Mapping[str, bytes], now: datetime) -> None:
    """Keep a kit; one that is there already stays as it is."""
    names = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    for name, content in files.items():
        row = {"account": account, "sha256": names[name], "content": content}
        insert_new(conn, kit_files, row, returning="sha256")
    version = {"account": account, "sha256": sha256, "files": names, "saved_at": now}
    insert_new(conn, kit_versions, version, returning="sha256")


def files_of(conn: Connection, account: str, sha256: str) -> dict[str, bytes] | None:
    """All files of that kit by name; None when it was never kept."""
    same = (kit_versions.c.account == account, kit_versions.c.sha256 == sha256)
    names = conn.execute(select(kit_versions.c.files).where(*same)).scalar_one_or_none()
    if names is None:
        return None
    wanted = (kit_files.c.account == account, kit_files.c.sha256.in_(set(names.values())))
    rows = conn.execute(select(kit_files.c.sha256, kit_files.c.content).where(*wanted))
    contents = {row.sha256: bytes(row.content) for row in rows}
    return {name: contents[digest] for name, digest in names.items()}
