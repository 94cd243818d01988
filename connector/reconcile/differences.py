"""What the CRM has and we have otherwise: one difference a deal, in words and as a hint. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from connector.domain import SERVICE_TAG, CrmEvent, Deal, EventKind, StageChange
from connector.errors import PlanTooLarge
from connector.store import facts
from connector.store.deal_changes import TOOK_IN
from connector.store.facts import DealRow

#: (pipeline id, stage id)
Place = tuple[str, str]


class Kind(StrEnum):
    """What differs; their order is the order in which a plan shows them."""

    NEW = "new"
    MOVED = "moved"
    CHANGED = "changed"
    DELETED = "deleted"
    RESTORED = "restored"


@dataclass(frozen=True, slots=True)
class Difference:
    """One deal that the CRM has otherwise. `hint` makes intake look at it; `before`, `after`: its places."""

    kind: Kind
    deal_id: str
    name: str
    at: datetime
    hint: CrmEvent
    before: Place | None = None
    after: Place | None = None


def of_deal(deal: Deal, known: DealRow | None) -> Difference | None:
    """How the CRM's deal differs from ours; None where it does not, and for the service deal."""
    if SERVICE_TAG in deal.tags:
        return None
    place = (deal.pipeline_id, deal.stage_id)
    kind = _kind(deal, known)
    if kind is None:
        return None
    # The same state of a deal is the same hint, however often it is seen.
    state = f"{deal.updated_at:%Y%m%d%H%M%S}:{facts.fingerprint(deal)}"
    return Difference(
        kind,
        deal.id,
        deal.name,
        deal.updated_at,
        _hint(EventKind.DEAL_CHANGED, deal.id, f"{kind}:{state}", deal.updated_at),
        (known.pipeline_id, known.stage_id) if known else None,
        place,
    )


def of_move(move: StageChange, known: DealRow | None) -> Difference:
    """A move in the CRM's history that we have not stored."""
    origin = move.from_pipeline_id, move.from_stage_id
    return Difference(
        Kind.MOVED,
        move.deal_id,
        known.name if known else "",
        move.at,
        _hint(EventKind.DEAL_STAGE_CHANGED, move.deal_id, f"move:{move.event_id}", move.at),
        (origin[0], origin[1]) if origin[0] and origin[1] else None,
        (move.to_pipeline_id, move.to_stage_id),
    )


def gone(known: DealRow, at: datetime, *, seen: datetime) -> Difference:
    """A deal of ours that the CRM no longer has. seen: what tells this find from another one of that deal."""
    hint = _hint(EventKind.DEAL_DELETED, known.deal_id, f"gone:{seen:%Y%m%d%H%M%S%f}", at)
    return Difference(Kind.DELETED, known.deal_id, known.name, at, hint, (known.pipeline_id, known.stage_id))


def back(known: DealRow, at: datetime, *, seen: datetime) -> Difference:
    """A deal that we took for deleted and that the CRM has. seen: as for `gone`."""
    hint = _hint(EventKind.DEAL_CHANGED, known.deal_id, f"back:{seen:%Y%m%d%H%M%S%f}", at)
    return Difference(Kind.RESTORED, known.deal_id, known.name, at, hint, (known.pipeline_id, known.stage_id))


def told(event: CrmEvent, known: DealRow | None, at: datetime) -> Difference | None:
    """What the CRM's own log says of a deal that we do not know, or take for alive or gone and it is not.
    Changes of known deals show in the deals themselves."""
    if event.kind is EventKind.DEAL_DELETED:
        return gone(known, at, seen=at) if known is not None and not known.is_deleted else None
    if known is not None and known.is_deleted:
        return back(known, at, seen=at)
    if known is not None:
        return None
    hint = _hint(event.kind, event.entity_id, f"told:{at:%Y%m%d%H%M%S}", at)
    return Difference(Kind.NEW, event.entity_id, "", at, hint)


def merged_into(deal_id: str, known: DealRow | None, at: datetime, swallowed: str) -> Difference:
    """A deal that took the deal `swallowed` in: its contacts, tags and fields may be others now."""
    hint = _hint(EventKind.DEAL_CHANGED, deal_id, f"merged:{at:%Y%m%d%H%M%S}", at)
    hint = replace(hint, note=f"{TOOK_IN}{swallowed}")
    return Difference(Kind.CHANGED, deal_id, known.name if known else "", at, hint)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that differs, in a fixed order. `checked`: deals compared; `known`: deals that we have."""

    account: str
    checked: int
    known: int
    differences: tuple[Difference, ...]

    def of_kind(self, kind: Kind) -> list[Difference]:
        return [one for one in self.differences if one.kind is kind]

    def check_size(self, *, least: int, share: float) -> None:
        """Raise PlanTooLarge when more would change than `share` of what we know, or than `least` deals."""
        limit = max(least, int(self.known * share))
        if len(self.differences) > limit:
            raise PlanTooLarge(
                f"расхождений {len(self.differences)}, а за раз меняется не больше {limit}. Посмотрите на "
                "план: если он верен, повторите с --force; работающий Коннектор возьмёт их и сам, частями"
            )


def in_order(differences: Sequence[Difference]) -> tuple[Difference, ...]:
    """By kind, then by moment, then by id."""
    kinds = list(Kind)
    return tuple(sorted(differences, key=lambda one: (kinds.index(one.kind), one.at, one.deal_id)))


def _kind(deal: Deal, known: DealRow | None) -> Kind | None:
    if known is None:
        return None if deal.is_deleted else Kind.NEW
    if deal.is_deleted != known.is_deleted:
        return Kind.DELETED if deal.is_deleted else Kind.RESTORED
    if (deal.pipeline_id, deal.stage_id) != (known.pipeline_id, known.stage_id):
        return Kind.MOVED
    is_same = known.fingerprint in (None, facts.fingerprint(deal)) and deal.updated_at == known.updated_at
    return None if is_same else Kind.CHANGED


def _hint(kind: EventKind, deal_id: str, what: str, at: datetime) -> CrmEvent:
    return CrmEvent(kind, deal_id, dedup=f"reconcile:{deal_id}:{what}"[:80], at=at)
