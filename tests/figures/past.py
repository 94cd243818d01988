"""A past written by hand, in the words of the history format: stages, deals, transitions, as UTC texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, insert

from connector.figures.base import Facts
from connector.store.schema import accounts, deals, loss_reasons, metadata, stage_changes, stages, users

ACCOUNT = "main"

#: (pipeline, stage, name, sort, kind); 142 and 143 are shared by both pipelines.
STAGES = [
    ("1", "10", "Новая", 10, "open"),
    ("1", "20", "Встреча", 20, "open"),
    ("1", "30", "Счёт", 30, "open"),
    ("1", "142", "Успешно", 10000, "won"),
    ("1", "143", "Отказ", 11000, "lost"),
    ("2", "40", "Запрос", 10, "open"),
    ("2", "9", "Отгрузка", 20, "open"),
    ("2", "142", "Успешно", 10000, "won"),
    ("2", "143", "Отказ", 11000, "lost"),
]

#: Stages that mean «qualified», and the key ones; pipeline 2 has no key stage.
QUALIFIED, KEY = {("1", "20"), ("2", "9")}, {("1", "30")}

#: Tables of activities, in the history format and in the store.
ACTIVITIES = ("calls", "messages", "meetings", "tasks", "invoices")

REASONS = {"1": "Дорого", "2": "Нет бюджета"}

MANAGERS = {"1": "Анна", "2": "Борис", "10": "Вера"}


def utc(text: str) -> datetime:
    """`2026-03-01 10:00:00` or `2026-03-01` as an aware moment."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@dataclass
class Past:
    """Deals and transitions as dicts of texts, the way the CSV files hold them."""

    deals: list[dict[str, str]] = field(default_factory=list)
    transitions: list[dict[str, str]] = field(default_factory=list)
    #: Activities by the name of their table, likewise.
    activities: dict[str, list[dict[str, str]]] = field(
        default_factory=lambda: {name: [] for name in ACTIVITIES}
    )
    #: What the history format has no column for: deal id -> columns of the store.
    more: dict[str, dict[str, Any]] = field(default_factory=dict)

    def deal(
        self,
        *moves: tuple[str, str] | tuple[str, str, str],
        price: str = "100",
        manager: str = "1",
        channel: str = "site",
        reason: str = "",
        deleted: bool = False,
        source: str = "",
        **more: Any,
    ) -> str:
        """Add a deal that went through `moves`: (at, stage[, pipeline]), the first one its creation."""
        deal_id = str(len(self.deals) + 1)
        stage, pipeline, closed_at = "", "1", ""
        for move in moves:
            before, (at, stage) = stage, move[:2]
            pipeline = move[2] if len(move) == 3 else pipeline
            closed_at = at if stage in ("142", "143") else ""
            self.transitions.append(
                {
                    "event_id": str(len(self.transitions) + 1),
                    "deal_id": deal_id,
                    "pipeline_id": pipeline,
                    "at": at,
                    "from_stage_id": before,
                    "to_stage_id": stage,
                }
            )
        self.deals.append(
            {
                "deal_id": deal_id,
                "pipeline_id": pipeline,
                "stage_id": stage,
                "manager_id": manager,
                "channel_id": channel,
                "utm_source": source,
                "price": price,
                "created_at": moves[0][0],
                "closed_at": closed_at,
                "loss_reason_id": reason,
                "is_deleted": "1" if deleted else "",
            }
        )
        self.more[deal_id] = more
        return deal_id

    def facts(
        self, conn: Connection, as_of: str = "2026-04-01", zone: str = "UTC", currency: str = "RUB"
    ) -> Facts:
        """Store this past and look at it from `as_of` (UTC text)."""
        kinds = {(pipeline, stage): kind for pipeline, stage, _, _, kind in STAGES}
        _fill(
            conn,
            accounts,
            [{"crm": "amocrm", "timezone": zone, "currency": currency, "live_since": utc("2020-01-01")}],
        )
        _fill(
            conn,
            stages,
            [
                {
                    "pipeline_id": pipeline,
                    "stage_id": stage,
                    "pipeline_name": f"Воронка {pipeline}",
                    "name": name,
                    "sort": sort,
                    "outcome": kind,
                    "is_qualified": (pipeline, stage) in QUALIFIED,
                    "is_key": (pipeline, stage) in KEY,
                }
                for pipeline, stage, name, sort, kind in STAGES
            ],
        )
        _fill(conn, users, [{"user_id": key, "name": name} for key, name in MANAGERS.items()])
        _fill(conn, loss_reasons, [{"loss_reason_id": key, "name": name} for key, name in REASONS.items()])
        _fill(
            conn,
            deals,
            [
                {
                    "deal_id": d["deal_id"],
                    "name": f"Сделка {d['deal_id']}",
                    "pipeline_id": d["pipeline_id"],
                    "stage_id": d["stage_id"],
                    "outcome": kinds[d["pipeline_id"], d["stage_id"]],
                    "amount": Decimal(d["price"]) if d["price"] else None,
                    "currency": currency,
                    "responsible_id": d["manager_id"] or None,
                    "channel": d["channel_id"] or None,
                    "utm_source": d["utm_source"],
                    "loss_reason_id": d["loss_reason_id"] or None,
                    "created_at": utc(d["created_at"]),
                    "updated_at": utc(d["created_at"]),
                    "closed_at": utc(d["closed_at"]) if d["closed_at"] else None,
                    "is_deleted": bool(d["is_deleted"]),
                    "read_at": utc("2030-01-01"),
                    **self.more.get(d["deal_id"], {}),
                }
                for d in self.deals
            ],
        )
        _fill(
            conn,
            stage_changes,
            [
                {
                    "event_id": t["event_id"],
                    "deal_id": t["deal_id"],
                    "at": utc(t["at"]),
                    "from_stage_id": t["from_stage_id"] or None,
                    "to_pipeline_id": t["pipeline_id"],
                    "to_stage_id": t["to_stage_id"],
                }
                for t in self.transitions
            ],
        )
        for name, rows in self.activities.items():
            _fill(conn, metadata.tables[name], [_activity(row, currency) for row in rows])
        return Facts(conn, ACCOUNT, ZoneInfo(zone), utc(as_of))


def _activity(row: dict[str, str], currency: str) -> dict[str, Any]:
    values: dict[str, Any] = {"is_deleted": False}
    for name, cell in row.items():
        if name.endswith("at") and name != "status":
            values[name] = utc(cell) if cell else None
        elif name == "amount":
            values[name] = Decimal(cell) if cell else None
        else:
            values[name] = cell == "1" if name == "answered" else (cell or None)
    if "invoice_id" in row:
        values["currency"] = currency
    if "call_id" in row:
        values["duration_s"] = int(row["duration_s"])
    return values


def _fill(conn: Connection, table: Any, rows: list[dict[str, Any]]) -> None:
    # One statement a row: rows may differ in their columns.
    for row in rows:
        conn.execute(insert(table).values(account=ACCOUNT, **row))
