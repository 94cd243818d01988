"""Events that a portal keeps for its application until they are taken: the offline queue.

A notice over HTTP is sent once; what is in the queue waits. The queue is bound under our name
(`auth_connector`), so our own changes are not in it. A batch is reserved (`clear=0`) and dropped after it is
stored; plans without reservation hand out each event once and for good. A webhook has no queue.
Source: Bitrix24 REST docs, pages «Офлайн-события», «event.offline.get», «feature.get».
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from typing import Final

from connector.crm.base import EventBatch
from connector.crm.bitrix24.api import CONNECTOR, PAGE, B24Api
from connector.crm.bitrix24.webhook import HANDLERS
from connector.crm.wild import Malformed, Wild
from connector.domain import CrmEvent, EventKind
from connector.errors import CrmError

RESERVATION: Final = "rest_offline_extended"
SOURCES: Final = "rest_auth_connector"


class OfflineQueue:
    """The queue of one portal. Thread-safe; two processes get different events of it."""

    def __init__(self, api: B24Api) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._features: Mapping[str, bool] | None = None
        self._left: list[str] | None = None

    @property
    def has_sources(self) -> bool:
        """Whether the plan can leave our own changes out of the queue."""
        return self._told()[SOURCES]

    def take(self) -> EventBatch | None:
        """The oldest events; None when there are none, and where there is no queue.

        Batches that an earlier process reserved and never confirmed come first.
        """
        if not self._api.is_application:
            return None
        try:
            reserves = self._told()[RESERVATION]
            for process_id in self._unconfirmed() if reserves else ():
                batch = self._get({"process_id": process_id})
                if batch is not None:
                    return batch
            return self._get({"clear": 0} if reserves else {"clear": 1})
        except CrmError as error:
            if error.kind != "config":
                raise
            # The token is no administrator's, or the portal has no queue: `connect` tells that.
            return None

    def confirm(self, batch: EventBatch) -> None:
        """Drop a batch; one that was handed out for good has nothing to drop."""
        if batch.id:
            self._api.call("event.offline.clear", {"process_id": batch.id}, lambda answer: answer)

    def _told(self) -> Mapping[str, bool]:
        """What the plan allows; asked once."""
        with self._lock:
            if self._features is None:
                answers = self._api.batch(
                    {code: ("feature.get", {"CODE": code}) for code in (RESERVATION, SOURCES)}
                )
                self._features = {
                    code: answers.read(code, lambda answer: answer.text_at("value") == "Y")
                    for code in (RESERVATION, SOURCES)
                }
            return self._features

    def _source(self) -> dict[str, object]:
        return {"auth_connector": CONNECTOR} if self.has_sources else {}

    def _unconfirmed(self) -> Iterator[str]:
        """Batches reserved before this process began; each is handed out once."""
        source = self._source()
        with self._lock:
            if self._left is None:
                rows = self._api.offset(
                    "event.offline.list", source, lambda rows: rows, lambda row: row.text_at("PROCESS_ID")
                )
                self._left = list(dict.fromkeys(filter(None, rows)))
        while True:
            with self._lock:
                if not self._left:
                    return
                process_id = self._left.pop(0)
            yield process_id

    def _get(self, params: Mapping[str, object]) -> EventBatch | None:
        # Not repeatable: with clear=1 an answer that got lost has taken its events along.
        return self._api.call(
            "event.offline.get",
            {**params, **self._source(), "limit": PAGE},
            self._read,
            repeatable=params.get("clear") != 1,
        )

    def _read(self, result: Wild) -> EventBatch | None:
        events = tuple(self._event(row) for row in result["events"].each())
        return EventBatch(result.text_at("process_id"), events) if events else None

    def _event(self, row: Wild) -> CrmEvent:
        name = row.text_at("EVENT_NAME").upper()
        handler = HANDLERS.get(name)
        kind, entity_id, note = EventKind.OTHER, "", f"unsupported {name}"
        if handler is not None:
            try:
                (kind, entity_id), note = handler(Wild(row["EVENT_DATA"].value, row.path)), ""
            except Malformed:
                note = f"{name} without an object"
        said = f"{self._api.account}|{name}|{entity_id}|{row.text_at('ID')}|{row.text_at('TIMESTAMP_X')}"
        return CrmEvent(
            kind,
            entity_id,
            f"bitrix24-queue:{hashlib.sha256(said.encode()).hexdigest()}",
            row["TIMESTAMP_X"].iso(),
            note,
        )
