"""The queue of offline events: changes collapse there until the application fetches them.

Source: reference section 5.5; what is unverified there: `ADD` and `UPDATE` of one object stay two records,
and a change of a reserved record makes a new one.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.sandbox.bitrix24.site import Site


@dataclass(slots=True)
class OfflineRecord:
    """One line of the queue; `connector` is the binding's `auth_connector`."""

    id: int
    event: str
    data: Mapping[str, Any]
    user_id: int
    connector: str
    at: datetime
    process_id: str = ""
    is_failed: bool = False


class OfflineQueue:
    """Records of all offline bindings; thread-safe."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = threading.Lock()
        self._records: dict[int, OfflineRecord] = {}

    def put(self, event: str, data: Mapping[str, Any], user_id: int, connector: str) -> None:
        """Enter a change; a free record of the same event and object only gets the newer time."""
        with self._lock:
            for record in self._records.values():
                same = (record.data, record.connector) == (data, connector)
                if (
                    same
                    and not record.process_id
                    and (record.event == event or self._by_object(record, event))
                ):
                    record.at, record.user_id, record.event = self._site.now(), user_id, event
                    return
            record_id = self._site.portal.new_id("offline_event")
            record = OfflineRecord(record_id, event, data, user_id, connector, self._site.now())
            self._records[record_id] = record

    def _by_object(self, record: OfflineRecord, event: str) -> bool:
        """Whether both are of one object, where the queue keeps one record an object."""
        if self._site.switches.offline_key != "object":
            return False
        return _kind(record.event) == _kind(event)

    def records(self, connector: str) -> list[OfflineRecord]:
        """All records of one source, in the order of their ids."""
        with self._lock:
            return [record for record in self._records.values() if record.connector == connector]

    def take(self, chosen: list[OfflineRecord], *, clear: bool) -> str | None:
        """Delete the records at once (None) or hide them behind a new process id."""
        with self._lock:
            live = [record for record in chosen if record.id in self._records]
            if clear:
                for record in live:
                    del self._records[record.id]
                return None
            process_id = secrets.token_hex(16)
            for record in live:
                record.process_id = process_id
            return process_id

    def acknowledge(self, process_id: str, ids: set[str]) -> None:
        """Delete the reserved records of a batch: all, or those named."""
        with self._lock:
            for record in list(self._records.values()):
                if record.process_id == process_id and (not ids or str(record.id) in ids):
                    del self._records[record.id]

    def mark_failed(self, process_id: str, ids: set[str]) -> None:
        """Those records are no longer returned without `error=1`."""
        with self._lock:
            for record in self._records.values():
                if record.process_id == process_id and str(record.id) in ids:
                    record.is_failed, record.process_id = True, ""


def _kind(event: str) -> str:
    """The object's part of an event's name: «ONCRMDEAL»."""
    for verb in ("ADD", "UPDATE", "DELETE"):
        event = event.removesuffix(verb)
    return event
