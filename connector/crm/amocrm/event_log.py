"""amoCRM's own log of events: what webhooks should have told, deletions and merges, and what others look up.

Must not know what is done about it. The log has no order to choose and gives few rows a page, so it is read
by spans of time. How late an event comes into it, and how long it stays, is not documented: read with an
overlap.
Source: amoCRM developers' docs, page «События и примечания».
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.clock import Clock
from connector.crm.amocrm.api import EVENT_IDS, EVENTS_PAGE, AmoApi, Params
from connector.crm.amocrm.walks import CLOCK_SKEW, by_spans, chunks, first_moment, span, unix
from connector.crm.wild import Wild
from connector.domain import CrmEvent, Deletion, EventKind

#: Types that webhooks tell as something of its own; see `kind_of` for the many that are a plain change.
KINDS: Mapping[str, EventKind] = {
    "lead_added": EventKind.DEAL_ADDED,
    "lead_status_changed": EventKind.DEAL_STAGE_CHANGED,
    "lead_deleted": EventKind.DEAL_DELETED,
}

CHANGES = frozenset(
    {
        "lead_restored",
        "entity_merged",
        "entity_responsible_changed",
        "sale_field_changed",
        "name_field_changed",
        "entity_tag_added",
        "entity_tag_deleted",
    }
)

#: A merge and the deletion of the deal that it swallowed are written within moments.
MERGE_SPREAD = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Entry:
    """One event. `entity_type` is amoCRM's singular word; `by` is None for a robot."""

    id: str
    type: str
    entity_type: str
    entity_id: str
    at: datetime
    by: str | None
    contact_id: str | None
    after: Wild

    @property
    def order(self) -> tuple[datetime, str]:
        """Ids ascend with time, so they put the events of one second in order."""
        return (self.at, self.id)


def kind_of(event_type: str) -> EventKind | None:
    """What a webhook would have made of that event of a deal; None for what changes nothing of the deal."""
    known = KINDS.get(event_type)
    if known is not None:
        return known
    is_field = event_type.startswith("custom_field_") and event_type.endswith("value_changed")
    is_link = event_type.endswith(("_linked", "_unlinked"))
    return EventKind.DEAL_CHANGED if event_type in CHANGES or is_field or is_link else None


class EventLog:
    """The log of one account."""

    def __init__(self, api: AmoApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock

    def told_since(self, since: datetime) -> Iterator[CrmEvent]:
        """Changes of deals at or after `since`, oldest first, whoever made them, robots too."""
        for entry in self.entries(since, [("filter[entity][]", "lead")]):
            kind = kind_of(entry.type)
            if kind is not None:
                yield CrmEvent(kind, entry.entity_id, f"amocrm:event:{entry.id}", entry.at)

    def deletions(self, since: datetime, existing: Callable[[Sequence[str]], set[str]]) -> Iterator[Deletion]:
        """Deals that were deleted or merged away at or after `since` and have not come back, oldest first.

        The event of a merge names one deal and not the other, and which one is not documented. So a merged
        deal that is gone is told as gone; one that is there took in what the same person's deletion removed
        at that moment.
        """
        types = ("lead_deleted", "lead_restored", "entity_merged")
        last: dict[str, Entry] = {}
        merges: list[Entry] = []
        for entry in self.entries(since, of_types(types)):
            if entry.type != "entity_merged":
                last[entry.entity_id] = entry
            elif entry.entity_type == "lead":
                merges.append(entry)
        found = {
            deal_id: Deletion(deal_id, entry.at, _merged_into(entry, merges))
            for deal_id, entry in last.items()
            if entry.type == "lead_deleted"
        }
        unsure = sorted({merge.entity_id for merge in merges} - last.keys())
        there = existing(unsure) if unsure else set()
        for merge in merges:
            if merge.entity_id in unsure and merge.entity_id not in there:
                found.setdefault(merge.entity_id, Deletion(merge.entity_id, merge.at))
        yield from sorted(found.values(), key=lambda deletion: (deletion.at, deletion.deal_id))

    def entries(self, since: datetime | None, params: Params) -> Iterator[Entry]:
        """Events at or after `since`, or all of them, oldest first, a span at a time."""
        start = since or first_moment(self._api, "leads", "leads")
        if start is None:
            return

        def read(start: datetime, end: datetime) -> list[Entry]:
            return self.between(start, end, params)

        for found in by_spans(read, start, self._clock.now() + CLOCK_SKEW):
            yield from found

    def between(self, start: datetime, end: datetime, params: Params) -> list[Entry]:
        """Events from one moment to another, both included, oldest first."""
        return self._read([*params, *span("created_at", start, end)])

    def of(
        self, entity: str, ids: Sequence[str], types: Sequence[str], since: datetime | None = None
    ) -> list[Entry]:
        """Events of those types about these things, oldest first."""
        found: list[Entry] = []
        for some in chunks(ids, EVENT_IDS):
            params: list[tuple[str, object]] = [*of_types(types), ("filter[entity][]", entity)]
            params += [("filter[entity_id][]", one) for one in some]
            if since is not None:
                params.append(("filter[created_at][from]", unix(since)))
            found += self._read(params)
        return sorted(found, key=lambda entry: entry.order)

    def _read(self, params: Params) -> list[Entry]:
        found = self._api.pages("events", "events", _entry, params, size=EVENTS_PAGE)
        # A row that is written meanwhile pushes others to the next page, where they come again.
        return sorted({entry.id: entry for entry in found}.values(), key=lambda entry: entry.order)


def of_types(types: Sequence[str]) -> list[tuple[str, object]]:
    return [("filter[type][]", name) for name in types]


def _merged_into(deletion: Entry, merges: Sequence[Entry]) -> str | None:
    """The deal that took in the deleted one, where exactly one merge fits."""
    fitting = {
        merge.entity_id
        for merge in merges
        if merge.entity_id != deletion.entity_id
        and merge.by == deletion.by
        and abs(merge.at - deletion.at) <= MERGE_SPREAD
    }
    return fitting.pop() if len(fitting) == 1 else None


def _entry(item: Wild) -> Entry:
    return Entry(
        id=item["id"].text(),
        type=item["type"].text(),
        entity_type=item["entity_type"].text(),
        entity_id=item["entity_id"].id(),
        at=item["created_at"].unix(),
        by=item.id_at("created_by"),
        contact_id=_talk_contact(item),
        after=item.get("value_after") or Wild(None),
    )


def _talk_contact(item: Wild) -> str | None:
    """Whose chat a message belongs to; seen beside the entity, and inside of `_embedded.entity`."""
    name = "linked_talk_contact_id"
    entity = (item.get("_embedded") or Wild({})).get("entity") or Wild({})
    return item.id_at(name) or entity.id_at(name)
