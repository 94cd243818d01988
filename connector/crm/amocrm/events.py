"""amoCRM's events -> stage changes. Pure.

An event of a move carries both stages; the event of a creation carries none, so the stage in which a deal was
born is the «before» of its first move, or its present stage when it never moved.
Source: amoCRM developers' docs, page «События и примечания».
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from connector.crm.wild import Wild
from connector.domain import StageChange

TYPES = ("lead_added", "lead_status_changed")

#: (pipeline id, stage id)
Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class StageEvent:
    """One event of a deal's way; `before` and `after` are None for the creation."""

    id: str
    deal_id: str
    at: datetime
    by: str | None
    before: Place | None
    after: Place | None

    @property
    def order(self) -> tuple[datetime, str]:
        """Ids ascend with time, so they put the events of one second in order."""
        return (self.at, self.id)


def read_event(item: Wild) -> StageEvent:
    """An event of one of `TYPES`."""
    moved = item["type"].text() == "lead_status_changed"
    return StageEvent(
        id=item["id"].text(),
        deal_id=item["entity_id"].id(),
        at=item["created_at"].unix(),
        by=item.id_at("created_by"),
        before=_place(item, "value_before") if moved else None,
        after=_place(item, "value_after") if moved else None,
    )


def births(events: Iterable[StageEvent]) -> dict[str, Place]:
    """Where each deal that moved stood before the first of these moves."""
    result: dict[str, Place] = {}
    for event in sorted(events, key=lambda event: event.order):
        if event.before is not None:
            result.setdefault(event.deal_id, event.before)
    return result


def changes(events: Iterable[StageEvent], born: Mapping[str, Place]) -> list[StageChange]:
    """The stage changes in their order. A creation without a known place is left out: its deal is gone."""
    result = []
    for event in sorted(events, key=lambda event: event.order):
        after = event.after or born.get(event.deal_id)
        if after is None:
            continue
        before = event.before or (None, None)
        result.append(
            StageChange(
                event_id=event.id,
                deal_id=event.deal_id,
                at=event.at,
                to_pipeline_id=after[0],
                to_stage_id=after[1],
                from_pipeline_id=before[0],
                from_stage_id=before[1],
                changed_by=event.by,
            )
        )
    return result


def _place(item: Wild, name: str) -> Place:
    status = item[name][0]["lead_status"]
    return status["pipeline_id"].id(), status["id"].id()
