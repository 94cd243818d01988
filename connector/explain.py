"""The story of one deal: what the CRM said, which rule fired on what, what left, what waits and why.

The same story is printed by `connector why` and shown on the deal's page. Reads the store only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.domain import EventKind, StageChange
from connector.effects import describe
from connector.playbook.model import HAPPENINGS
from connector.store import facts, happenings, inbox, missed, outbox, runs
from connector.store.database import Database
from connector.store.facts import DealRow, Directory
from connector.store.happenings import Happening
from connector.store.inbox import InboxRow
from connector.store.missed import Missed
from connector.store.outbox import Effect
from connector.store.runs import RuleRun

#: Words for people, the same on pages and in the terminal.
_RESULTS = {
    "match": "сработало",
    "no_match": "условие не выполнено",
    "error": "условие не вычислилось",
    "repeated": "уже срабатывало раньше",
    "stopped": "остановлено, сделку гоняют по кругу",
}

STATUSES = {
    "ready": "в очереди",
    "sending": "выполняется",
    "done": "сделано",
    "held": "ждёт данных",
    "dead": "не удалось",
    "cancelled": "отменено",
}


EVENTS = {
    EventKind.DEAL_ADDED: "сделка создана",
    EventKind.DEAL_CHANGED: "сделка изменена",
    EventKind.DEAL_STAGE_CHANGED: "этап изменён",
    EventKind.DEAL_DELETED: "сделка удалена",
    EventKind.CONTACT_CHANGED: "контакт изменён",
    EventKind.COMPANY_CHANGED: "компания изменена",
    EventKind.ACTIVITY_CHANGED: "звонок, встреча, сообщение или задача",
    EventKind.ACTIVITY_DELETED: "удаление дела или задачи",
    EventKind.OTHER: "другое",
}
SOURCES = {
    "webhook": "вебхук",
    "reconcile": "сверка",
    "queue": "очередь событий CRM",
    "backfill": "чтение истории",
    "hand": "вручную",
}

#: What a webhook did not tell.
MISSED = {
    "new": "новая сделка",
    "moved": "переход на другой этап",
    "changed": "изменение сделки",
    "deleted": "удаление",
    "restored": "восстановление",
}
EVENT_STATUSES = {"new": "в очереди", "done": "обработан", "ignored": "не понадобился"}
#: The same before a number of them: «обработано 28».
EVENT_COUNTS = {"new": "в очереди", "done": "обработано", "ignored": "не понадобилось"}


@dataclass(frozen=True, slots=True)
class Firing:
    """One rule's answer to one move, with the effects that it decided."""

    run: RuleRun
    result: str
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """All that we know of a deal. `own`: effects that no rule decided, such as tasks about held ones;
    `movers`: rules whose moves were made by us, by the move's event id; `missed`: what no webhook told."""

    account: str
    deal_id: str
    deal: DealRow | None
    place: str
    events: tuple[InboxRow, ...]
    moves: tuple[tuple[StageChange, str, str], ...]
    firings: tuple[Firing, ...]
    own: tuple[Effect, ...]
    movers: Mapping[str, str]
    missed: tuple[Missed, ...]
    happened: tuple[Happening, ...]

    def made_by(self, move: StageChange) -> str:
        """«, сделал Коннектор по правилу …» for a move of ours, else ""."""
        rule = self.movers.get(move.event_id)
        return "" if rule is None else f", сделал Коннектор по правилу «{rule}»"


def tell(db: Database, account: str, deal_id: str) -> Story:
    """The story of a deal; `deal` is None when we never saw it."""
    with db.read() as conn:
        deal = facts.deal_row(conn, account, deal_id)
        directory = facts.directory(conn, account)
        events = inbox.of_entity(conn, account, deal_id)
        moves = facts.changes_of(conn, account, deal_id)
        answers = runs.of_deal(conn, account, deal_id)
        effects = outbox.of_deal(conn, account, deal_id)
        own = facts.own_changes(conn, account, deal_id)
        unsaid = missed.of_deal(conn, account, deal_id)
        happened = happenings.of_deal(conn, account, deal_id)
    rules = {effect.id: effect.rule for effect in effects}
    by_run: dict[int | None, list[Effect]] = {}
    for effect in effects:
        by_run.setdefault(effect.run_id, []).append(effect)
    return Story(
        account=account,
        deal_id=deal_id,
        deal=deal,
        place=_place(directory, deal.pipeline_id, deal.stage_id) if deal else "",
        events=tuple(events),
        moves=tuple(
            (
                move,
                _place(directory, move.from_pipeline_id, move.from_stage_id),
                _place(directory, move.to_pipeline_id, move.to_stage_id),
            )
            for move in moves
        ),
        firings=tuple(Firing(run, _RESULTS[run.result], tuple(by_run.get(run.id, ()))) for run in answers),
        own=tuple(by_run.get(None, ())),
        movers={event_id: rules.get(effect_id, "") for event_id, effect_id in own.items()},
        missed=tuple(unsaid),
        happened=tuple(happened),
    )


def status_text(effect: Effect) -> str:
    """How an effect stands, in Russian, with the reason when it waits or has failed."""
    text = STATUSES[effect.status]
    if effect.status == "held":
        fields = "; ".join(f"{field.name} ({field.where})" for field in effect.missing)
        return f"{text}: {fields or effect.held_reason}"
    if effect.status == "done":
        details = [
            effect.result.get("to", ""),
            f"№ {number}" if (number := effect.result.get("number")) else "",
            f"вариант «{variant}»" if (variant := effect.result.get("variant")) else "",
        ]
        return ", ".join([text, *filter(None, details)])
    if effect.status in ("dead", "cancelled") and effect.error:
        return f"{text}: {effect.error}"
    if effect.status == "ready" and effect.error:
        return f"{text}, попыток {effect.attempts}, последняя ошибка: {effect.error}"
    return text


def event_text(event: InboxRow) -> str:
    """A signal in words: «этап изменён, вебхук, обработан»."""
    return f"{EVENTS[event.kind]}, {SOURCES[event.source]}, {EVENT_STATUSES[event.status]}"


def amount_text(deal: DealRow) -> str:
    """The deal's amount with its currency, «не указана» when the CRM has none."""
    if deal.amount is None:
        return "не указана"
    return f"{deal.amount:,.2f} {deal.currency}".replace(",", "\u00a0").replace(".", ",")


def trace_text(trace: list[list[Any]]) -> str:
    """An evaluation's trace on one line: «deal.amount > 0 = да»."""
    shown = {True: "да", False: "нет", "": "пусто"}
    return ", ".join(f"{what} = {shown.get(value, value)}" for what, value in trace)


def as_lines(story: Story, local: Any, describe: Callable[[Effect], str] = describe) -> list[str]:
    """The story as lines of text. `local` turns a time into the account's; `describe` names an effect."""

    def at(moment: datetime) -> str:
        return f"{local(moment):%d.%m.%Y %H:%M:%S}"

    if story.deal is None and not story.events:
        return [f"Сделка {story.deal_id}: коннектор её не видел. Есть ли такой номер в CRM?"]
    lines = []
    if story.deal is not None:
        amount = amount_text(story.deal)
        lines.append(f"Сделка {story.deal_id} «{story.deal.name}», {story.place}, сумма: {amount}")
    lines.append("")
    lines.append("Движение по этапам:")
    lines += [
        f"  {at(m.at)}  {before or 'создана'} → {after}{story.made_by(m)}" for m, before, after in story.moves
    ] or ["  нет"]
    lines.append("Правила:")
    for firing in story.firings:
        trace = trace_text(firing.run.trace)
        lines.append(f"  {at(firing.run.at)}  «{firing.run.rule}» на «{firing.run.trigger}»: {firing.result}")
        if trace:
            lines.append(f"      {trace}")
        lines += [f"      – {describe(effect)}: {status_text(effect)}" for effect in firing.effects]
    if not story.firings:
        lines.append("  ни одно правило этой сделки не касалось")
    if story.own:
        lines.append("Собственные действия коннектора:")
        lines += [f"  {at(e.created_at)}  {describe(e)}: {status_text(e)}" for e in story.own]
    if story.happened:
        lines.append("Что узнал сам Коннектор:")
        lines += [f"  {at(fact.at)}  {HAPPENINGS[fact.what]}" for fact in story.happened]
    lines.append("Сигналы CRM:")
    for event in story.events:
        times = f", доставлен {event.deliveries} раз(а)" if event.deliveries > 1 else ""
        note = f" ({event.note})" if event.note else ""
        lines.append(f"  {at(event.received_at)}  {event_text(event)}{note}{times}")
    if story.missed:
        lines.append("Вебхук не пришёл, нашла сверка:")
        lines += [f"  {at(one.found_at)}  {MISSED[one.kind]}" for one in story.missed]
    return lines


def _place(directory: Directory, pipeline_id: str | None, stage_id: str | None) -> str:
    if pipeline_id is None or stage_id is None:
        return ""
    stage = directory.stage(pipeline_id, stage_id)
    pipeline = directory.pipelines.get(pipeline_id)
    return f"{pipeline.name if pipeline else pipeline_id} / {stage.name if stage else stage_id}"
