"""Our own history of deals: what the CRM showed, kept from day one. Written by intake and backfill only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, delete, func, select, update

from connector.domain import (
    SERVICE_TAG,
    AccountInfo,
    Deal,
    LossReason,
    Outcome,
    Pipeline,
    Stage,
    StageChange,
    User,
)
from connector.errors import ConfigError, Problem
from connector.store.schema import (
    accounts,
    deal_links,
    deals,
    loss_reasons,
    stage_changes,
    stages,
    users,
)
from connector.store.upsert import insert_new, upsert

#: Which deals a sweep goes through.
Which = Literal["open", "closed", "gone"]


@dataclass(frozen=True, slots=True)
class AccountRow:
    """What we know of an account. Moves before `live_since` are history and start nothing.

    `user_id`: whose key we have, "" until the CRM has told.
    """

    account: str
    crm: str
    crm_account_id: str
    timezone: str
    currency: str
    user_id: str
    live_since: datetime
    reconciled_until: datetime | None
    directory_read_at: datetime | None


@dataclass(frozen=True, slots=True)
class DealRow:
    """A deal as we last saw it. `read_at`: the moment before that reading began."""

    deal_id: str
    name: str
    pipeline_id: str
    stage_id: str
    outcome: Outcome
    amount: Decimal | None
    currency: str
    responsible_id: str | None
    updated_at: datetime
    is_deleted: bool
    is_service: bool
    read_at: datetime
    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class Directory:
    """Pipelines, people and loss reasons by their ids, as last read from the CRM."""

    pipelines: Mapping[str, Pipeline]
    users: Mapping[str, User]
    loss_reasons: Mapping[str, LossReason]

    def stage(self, pipeline_id: str, stage_id: str) -> Stage | None:
        pipeline = self.pipelines.get(pipeline_id)
        return pipeline.stage(stage_id) if pipeline else None


def account_row(conn: Connection, account: str) -> AccountRow | None:
    """What we know of the account, None before the first contact with its CRM."""
    row = conn.execute(select(accounts).where(accounts.c.account == account)).one_or_none()
    return AccountRow(**row._mapping) if row else None


def connected_account(conn: Connection, account: str) -> AccountRow:
    """What we know of the account. Raises ConfigError before the first contact with its CRM."""
    row = account_row(conn, account)
    if row is None:
        raise ConfigError([Problem("ACCOUNT", f"аккаунт «{account}» ещё не подключён к CRM")])
    return row


def account_names(conn: Connection) -> list[str]:
    """Names of all accounts that the store knows."""
    return list(conn.execute(select(accounts.c.account).order_by(accounts.c.account)).scalars())


def ensure_account(conn: Connection, account: str, crm: str, now: datetime) -> None:
    """Make the account known; moves from this second on start rules. A known one stays as it is."""
    live_since = now.replace(microsecond=0)  # CRMs give whole seconds
    insert_new(
        conn, accounts, {"account": account, "crm": crm, "live_since": live_since}, returning="account"
    )


def save_account_info(conn: Connection, account: str, info: AccountInfo) -> None:
    """Write down what the CRM says of itself."""
    conn.execute(
        update(accounts)
        .where(accounts.c.account == account)
        .values(
            crm_account_id=info.account_id,
            timezone=info.timezone,
            currency=info.currency,
            user_id=info.user_id,
        )
    )


def save_history_account(conn: Connection, account: str, timezone: str, currency: str) -> None:
    """Write down what the files of an imported account say of it."""
    mine = update(accounts).where(accounts.c.account == account)
    conn.execute(mine.values(timezone=timezone, currency=currency))


def set_reconciled(conn: Connection, account: str, until: datetime) -> None:
    conn.execute(update(accounts).where(accounts.c.account == account).values(reconciled_until=until))


def save_directory(
    conn: Connection,
    account: str,
    pipelines: Sequence[Pipeline],
    people: Sequence[User],
    reasons: Sequence[LossReason],
    now: datetime,
    *,
    qualified: Collection[tuple[str, str]] = (),
    key: Collection[tuple[str, str]] = (),
) -> None:
    """Replace what we know of stages; people and reasons that vanished stay, since old deals name them.

    qualified, key: (pipeline id, stage id) of the stages that the playbook marks so. No CRM tells when a
    person came or went: it is the day on which that is seen first, and unknown for whoever was there, or was
    gone, when we came.
    """
    row = account_row(conn, account)
    today = now.astimezone(ZoneInfo(row.timezone if row else "UTC")).date()
    is_first = row is None or row.directory_read_at is None
    known = {user.user_id: user for user in conn.execute(select(users).where(users.c.account == account))}
    conn.execute(delete(stages).where(stages.c.account == account))
    upsert(
        conn,
        stages,
        [
            {
                "account": account,
                "pipeline_id": pipeline.id,
                "stage_id": stage.id,
                "pipeline_name": pipeline.name,
                "name": stage.name,
                "sort": stage.sort,
                "outcome": stage.outcome.value,
                "is_qualified": (pipeline.id, stage.id) in qualified,
                "is_key": (pipeline.id, stage.id) in key,
            }
            for pipeline in pipelines
            for stage in pipeline.stages
        ],
    )
    upsert(
        conn,
        users,
        [
            {
                "account": account,
                "user_id": u.id,
                "name": u.name,
                "email": u.email,
                "is_active": u.is_active,
                "is_admin": u.is_admin,
                "team": u.team[:255],
                "timezone": u.timezone,
                "hired_on": _hired_on(known.get(u.id), None if is_first else today),
                "fired_on": _fired_on(u, known.get(u.id), today),
            }
            for u in people
        ],
    )
    upsert(
        conn,
        loss_reasons,
        [{"account": account, "loss_reason_id": r.id, "name": r.name} for r in reasons],
    )
    conn.execute(update(accounts).where(accounts.c.account == account).values(directory_read_at=now))


def _hired_on(known: Any, today: date | None) -> date | None:
    return known.hired_on if known is not None else today


def _fired_on(user: User, known: Any, today: date) -> date | None:
    if user.is_active or known is None:
        return None
    return today if known.is_active else known.fired_on


def mark_stages(
    conn: Connection,
    account: str,
    *,
    qualified: Collection[tuple[str, str]],
    key: Collection[tuple[str, str]],
) -> None:
    """Mark the stages as the playbook does now."""
    places = conn.execute(
        select(stages.c.pipeline_id, stages.c.stage_id).where(stages.c.account == account)
    ).all()
    for place in places:
        own = (stages.c.account == account, stages.c.pipeline_id == place[0], stages.c.stage_id == place[1])
        is_marked = {"is_qualified": tuple(place) in qualified, "is_key": tuple(place) in key}
        conn.execute(update(stages).where(*own).values(**is_marked))


def directory(conn: Connection, account: str) -> Directory:
    """Pipelines, people and loss reasons as last read."""
    by_pipeline: dict[str, list[Stage]] = {}
    names: dict[str, str] = {}
    statement = (
        select(stages).where(stages.c.account == account).order_by(stages.c.pipeline_id, stages.c.sort)
    )
    for row in conn.execute(statement):
        names[row.pipeline_id] = row.pipeline_name
        by_pipeline.setdefault(row.pipeline_id, []).append(
            Stage(row.pipeline_id, row.stage_id, row.name, row.sort, Outcome(row.outcome))
        )
    people = conn.execute(select(users).where(users.c.account == account))
    reasons = conn.execute(select(loss_reasons).where(loss_reasons.c.account == account))
    return Directory(
        pipelines={key: Pipeline(key, names[key], tuple(rows)) for key, rows in by_pipeline.items()},
        users={
            row.user_id: User(
                row.user_id, row.name, row.email, row.is_active, row.is_admin, row.team, row.timezone
            )
            for row in people
        },
        loss_reasons={row.loss_reason_id: LossReason(row.loss_reason_id, row.name) for row in reasons},
    )


def save_deals(conn: Connection, found: Sequence[Deal], *, read_at: datetime, overwrite: bool = True) -> None:
    """Store deals as the CRM shows them now. `read_at` is the moment before the reading began.

    With `overwrite` False a deal that is known stays as it is: what we have is newer.
    """
    rows = [_new_deal_row(deal, read_at) for deal in found]
    keep = () if overwrite else [column.name for column in deals.c]
    upsert(conn, deals, rows, keep=keep)


def save_links(conn: Connection, deal: Deal) -> None:
    """Remember whose contacts and company a deal has, so that their changes find the deal."""
    conn.execute(
        delete(deal_links).where(deal_links.c.account == deal.account, deal_links.c.deal_id == deal.id)
    )
    rows = [{"entity": "contact", "entity_id": contact_id} for contact_id in deal.contact_ids]
    if deal.company_id:
        rows.append({"entity": "company", "entity_id": deal.company_id})
    upsert(conn, deal_links, [{"account": deal.account, "deal_id": deal.id, **row} for row in rows])


def add_links(conn: Connection, found: Sequence[Deal]) -> None:
    """As `save_links` for many deals that are new: nothing of theirs has to be forgotten."""
    rows = [
        {"account": deal.account, "deal_id": deal.id, "entity": entity, "entity_id": entity_id}
        for deal in found
        for entity, ids in (("contact", deal.contact_ids), ("company", (deal.company_id,)))
        for entity_id in ids
        if entity_id
    ]
    upsert(conn, deal_links, rows)


def linked_deals(conn: Connection, account: str, entity: str, entity_id: str) -> list[str]:
    """Ids of the deals that we saw with this contact or company."""
    statement = select(deal_links.c.deal_id).where(
        deal_links.c.account == account, deal_links.c.entity == entity, deal_links.c.entity_id == entity_id
    )
    return [row.deal_id for row in conn.execute(statement)]


def deal_row(conn: Connection, account: str, deal_id: str) -> DealRow | None:
    """The stored deal, or None."""
    return deal_rows(conn, account, [deal_id]).get(deal_id)


def deal_rows(conn: Connection, account: str, deal_ids: Sequence[str]) -> dict[str, DealRow]:
    """The stored deals among these, by id."""
    statement = select(deals).where(deals.c.account == account, deals.c.deal_id.in_(deal_ids))
    return {row.deal_id: _deal(row) for row in conn.execute(statement)}


def count_deals(conn: Connection, account: str) -> int:
    """How many deals we know, deleted ones left out."""
    statement = select(func.count()).where(deals.c.account == account, deals.c.is_deleted.is_(False))
    return int(conn.execute(statement).scalar_one())


def mark_deleted(conn: Connection, account: str, deal_id: str, read_at: datetime) -> None:
    conn.execute(
        update(deals)
        .where(deals.c.account == account, deals.c.deal_id == deal_id)
        .values(is_deleted=True, read_at=read_at)
    )


def portion(
    conn: Connection, account: str, *, which: Which, after: str, limit: int, seen_since: datetime
) -> list[DealRow]:
    """The next `limit` deals by id above `after`: open ones, closed ones, or those that are gone and were
    noticed so since `seen_since`; the service deal is left out."""
    is_open = deals.c.outcome == Outcome.OPEN.value
    wanted = {
        "open": (deals.c.is_deleted.is_(False), is_open),
        "closed": (deals.c.is_deleted.is_(False), ~is_open),
        "gone": (deals.c.is_deleted.is_(True), deals.c.read_at >= seen_since),
    }
    statement = (
        select(deals)
        .where(deals.c.account == account, deals.c.deal_id > after, deals.c.is_service.is_(False))
        .where(*wanted[which])
        .order_by(deals.c.deal_id)
        .limit(limit)
    )
    return [_deal(row) for row in conn.execute(statement)]


def known_changes(conn: Connection, account: str, event_ids: Sequence[str]) -> set[str]:
    """Those of `event_ids` whose moves are stored."""
    statement = select(stage_changes.c.event_id).where(
        stage_changes.c.account == account, stage_changes.c.event_id.in_(event_ids)
    )
    return set(conn.execute(statement).scalars())


def own_changes(conn: Connection, account: str, deal_id: str) -> dict[str, int]:
    """Moves of a deal that we made ourselves: event id to the id of the effect."""
    statement = select(stage_changes.c.event_id, stage_changes.c.effect_id).where(
        stage_changes.c.account == account,
        stage_changes.c.deal_id == deal_id,
        stage_changes.c.effect_id.is_not(None),
    )
    return {row.event_id: int(row.effect_id) for row in conn.execute(statement)}


def mark_own(conn: Connection, account: str, event_id: str, effect_id: int) -> None:
    """Write down that the effect made this move."""
    conn.execute(
        update(stage_changes)
        .where(stage_changes.c.account == account, stage_changes.c.event_id == event_id)
        .values(effect_id=effect_id)
    )


def changes_of(conn: Connection, account: str, deal_id: str) -> list[StageChange]:
    """The stored moves of a deal in their order."""
    statement = (
        select(stage_changes)
        .where(stage_changes.c.account == account, stage_changes.c.deal_id == deal_id)
        .order_by(stage_changes.c.at, stage_changes.c.event_id)
    )
    return [_change(row) for row in conn.execute(statement)]


def save_changes(conn: Connection, account: str, changes: Sequence[StageChange]) -> None:
    """Store moves; those with a known `event_id` stay as they are."""
    rows = [{"account": account, **_change_row(change)} for change in changes]
    upsert(conn, stage_changes, rows, keep=[column.name for column in stage_changes.c])


def correct_change(conn: Connection, account: str, stored: StageChange, real: StageChange) -> None:
    """Give a move that we saw or guessed the identity, moment and stages that the CRM has for it."""
    conn.execute(
        update(stage_changes)
        .where(stage_changes.c.account == account, stage_changes.c.event_id == stored.event_id)
        .values(**_change_row(real))
    )


def _deal(row: Any) -> DealRow:
    return DealRow(
        deal_id=row.deal_id,
        name=row.name,
        pipeline_id=row.pipeline_id,
        stage_id=row.stage_id,
        outcome=Outcome(row.outcome),
        amount=row.amount,
        currency=row.currency,
        responsible_id=row.responsible_id,
        updated_at=row.updated_at,
        is_deleted=row.is_deleted,
        is_service=row.is_service,
        read_at=row.read_at,
        fingerprint=row.fingerprint,
    )


def _change(row: Any) -> StageChange:
    return StageChange(
        event_id=row.event_id,
        deal_id=row.deal_id,
        at=row.at,
        to_pipeline_id=row.to_pipeline_id,
        to_stage_id=row.to_stage_id,
        from_pipeline_id=row.from_pipeline_id,
        from_stage_id=row.from_stage_id,
        changed_by=row.changed_by,
    )


def _change_row(change: StageChange) -> dict[str, Any]:
    return {
        "event_id": change.event_id,
        "deal_id": change.deal_id,
        "at": change.at,
        "from_pipeline_id": change.from_pipeline_id,
        "from_stage_id": change.from_stage_id,
        "to_pipeline_id": change.to_pipeline_id,
        "to_stage_id": change.to_stage_id,
        "changed_by": change.changed_by,
    }


def _new_deal_row(deal: Deal, read_at: datetime) -> dict[str, Any]:
    return {
        "account": deal.account,
        "deal_id": deal.id,
        "name": deal.name[:512],
        "pipeline_id": deal.pipeline_id,
        "stage_id": deal.stage_id,
        "outcome": deal.outcome.value,
        "amount": deal.amount,
        "currency": deal.currency,
        "responsible_id": deal.responsible_id,
        "channel": deal.channel[:255] if deal.channel else None,
        "utm_source": deal.utm_source[:255],
        "utm_medium": deal.utm_medium[:255],
        "utm_campaign": deal.utm_campaign[:255],
        "loss_reason_id": deal.loss_reason_id,
        "created_at": deal.created_at,
        "updated_at": deal.updated_at,
        "closed_at": deal.closed_at,
        "is_deleted": deal.is_deleted,
        "is_service": SERVICE_TAG in deal.tags,
        "read_at": read_at,
        "fingerprint": fingerprint(deal),
    }


def fingerprint(deal: Deal) -> str:
    """A digest of what people and rules see of a deal; its moments of change are left out, for they change
    with a mere note, and so are links, which have a table of their own."""
    seen = (
        *(deal.name, deal.pipeline_id, deal.stage_id, deal.outcome.value, deal.currency),
        *(deal.responsible_id, deal.company_id, deal.loss_reason_id, deal.channel),
        None if deal.amount is None else str(deal.amount.normalize()),
        sorted(deal.tags),
        sorted(deal.fields.items()),
    )
    return hashlib.sha256(json.dumps(seen, ensure_ascii=False).encode()).hexdigest()[:16]
