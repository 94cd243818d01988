"""«Неразобранное»: enquiries that nobody has taken yet. Must not know who decides about them.

A deal stands behind each from the first moment and keeps its id when the enquiry is accepted, so our id of an
enquiry names both: «uid:deal». That makes accepting twice give one deal, though amoCRM forgets the uid.
Source: amoCRM developers' docs, page «Неразобранное».
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.crm.amocrm.api import AmoApi
from connector.crm.wild import Wild
from connector.domain import IncomingLead
from connector.errors import CrmError

#: The type of the stage where deals of enquiries stand.
UNSORTED = 1

#: Our words for amoCRM's categories.
KINDS: Mapping[str, str] = {"sip": "call", "forms": "form", "chats": "chat", "mail": "mail"}


@dataclass(frozen=True, slots=True)
class Summary:
    """How enquiries were dealt with; `average_sort_s` is the mean time until somebody did, in seconds."""

    total: int
    accepted: int
    declined: int
    average_sort_s: int
    by_kind: Mapping[str, int]


class Enquiries:
    """The enquiries of one account."""

    def __init__(self, api: AmoApi) -> None:
        self._api = api

    def waiting(self, since: datetime | None) -> Iterator[IncomingLead]:
        """Enquiries that wait, oldest first."""
        seen: set[str] = set()
        for lead in self._api.pages("leads/unsorted", "unsorted", _read, [("order[created_at]", "asc")]):
            # One that is taken meanwhile moves the rest forward: a page may repeat rows.
            if lead.id not in seen and (since is None or lead.created_at >= since):
                seen.add(lead.id)
                yield lead

    def accept(self, lead_id: str, *, responsible_id: str | None, stage_id: str | None) -> str:
        """Make it a deal; the deal's id, the same one however often it is accepted.

        CrmError not_found when it was declined, or when only the uid is known and nothing waits under it.
        """
        uid, deal_id = self._split(lead_id)
        body: dict[str, Any] = {}
        if responsible_id is not None:
            body["user_id"] = int(responsible_id)
        if stage_id is not None:
            body["status_id"] = int(stage_id)
        try:
            # A repeat finds the enquiry gone and the deal in its stage, so it does no harm.
            return self._api.saved("POST", f"leads/unsorted/{uid}/accept", body, _deal_of)
        except CrmError as error:
            if error.kind not in ("not_found", "rejected") or deal_id is None:
                raise
            if not self._was_accepted(deal_id):
                raise
            return deal_id

    def decline(self, lead_id: str, *, responsible_id: str | None = None) -> None:
        """Turn it down; its deal goes to the trash. One that is gone already is no error."""
        uid, _ = self._split(lead_id)
        body = {"user_id": int(responsible_id)} if responsible_id is not None else {}
        try:
            self._api.put("DELETE", f"leads/unsorted/{uid}/decline", body)
        except CrmError as error:
            if error.kind != "not_found":
                raise

    def summary(self) -> Summary:
        found = self._api.one("leads/unsorted/summary", _read_summary)
        return found or Summary(0, 0, 0, 0, {})

    def _was_accepted(self, deal_id: str) -> bool:
        """Whether somebody, maybe we, made it a deal: it lives and stands in a stage that is not the one for
        enquiries."""
        place = self._api.one(f"leads/{deal_id}", _place)
        if place is None:
            return False
        waiting = self._api.one(f"leads/pipelines/{place[0]}", _waiting_stages)
        return waiting is not None and place[1] not in waiting

    def _split(self, lead_id: str) -> tuple[str, str | None]:
        uid, _, deal_id = lead_id.partition(":")
        if not uid.isalnum() or (deal_id and not deal_id.isdecimal()):
            raise CrmError(
                "not_found",
                account=self._api.account,
                call="GET /api/v4/leads/unsorted/{uid}",
                detail="no such enquiry",
            )
        return uid, deal_id or None


def _read(item: Wild) -> IncomingLead:
    uid = item["uid"].text()
    metadata = item.get("metadata") or Wild({})
    embedded = item.get("_embedded") or Wild({})
    deal_id = next((link["id"].id() for link in (embedded.get("leads") or Wild(None)).each()), None)
    client = metadata.get("client") or Wild({})
    sender = metadata.get("from") or Wild({})
    email = sender.text_at("email") if sender.is_map else ""
    phone = metadata.text_at("phone")
    name = client.text_at("name") or (sender.text_at("name") if sender.is_map else "")
    return IncomingLead(
        id=f"{uid}:{deal_id}" if deal_id is not None else uid,
        kind=KINDS.get(item.text_at("category"), item.text_at("category")),
        created_at=item["created_at"].unix(),
        pipeline_id=item.id_at("pipeline_id"),
        channel=item.text_at("source_name") or None,
        name=name or metadata.text_at("form_name"),
        phones=(phone,) if phone else (),
        emails=(email,) if email else (),
        text="\n".join(
            filter(
                None, (metadata.text_at(part) for part in ("subject", "content_summary", "last_message_text"))
            )
        ),
        deal_id=deal_id,
    )


def _deal_of(item: Wild) -> str:
    return item["_embedded"]["leads"][0]["id"].id()


def _place(item: Wild) -> tuple[str, str] | None:
    """(pipeline, stage) of a deal; None for one in the trash."""
    deleted = item.get("is_deleted")
    if deleted is not None and deleted.flag():
        return None
    return item["pipeline_id"].id(), item["status_id"].id()


def _waiting_stages(item: Wild) -> set[str]:
    """The pipeline's stage «Неразобранное»."""
    stages = item["_embedded"]["statuses"].each()
    return {
        one["id"].id() for one in stages if (kind := one.get("type")) is not None and kind.int() == UNSORTED
    }


def _read_summary(item: Wild) -> Summary:
    categories = item.get("categories") or Wild({})
    by_kind = {
        ours: part["total"].int()
        for theirs, ours in KINDS.items()
        if (part := categories.get(theirs)) is not None
    }
    return Summary(
        total=_number(item, "total"),
        accepted=_number(item, "accepted"),
        declined=_number(item, "declined"),
        average_sort_s=_number(item, "average_sort_time"),
        by_kind=by_kind,
    )


def _number(item: Wild, name: str) -> int:
    part = item.get(name)
    return part.int() if part is not None else 0
