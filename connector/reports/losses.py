"""Lost deals as reports show them: reasons by weight, the one without a reason always among them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from connector.documents.words import plural
from connector.figures.base import DealFact, Facts
from connector.figures.losses import LossRow
from connector.reports.wording import person, quoted, shorten

NO_REASON = "Причина не указана"
OTHER = "Остальные причины"

#: Who acts where a deal has no responsible user.
HEAD_OF_SALES = "Руководитель отдела продаж"


@dataclass(frozen=True, slots=True)
class ReasonLine:
    """One reason; `before` is the number of deals in the period compared with, None when there is none."""

    reason: str
    deals: int
    share: float
    amount: Decimal
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Losses:
    """Lost deals of a period by reason."""

    deals: int
    amount: Decimal
    reasons: tuple[ReasonLine, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """Who acts next, and what he does."""

    who: str
    what: str


def losses_of(rows: Sequence[LossRow], limit: int, before: Sequence[LossRow] | None = None) -> Losses:
    """The heaviest `limit` reasons of one group, the rest as one line, and always the line without a reason.

    The lines add up to the whole. before: rows of the same group in the period compared with.
    """
    total = sum(row.deals for row in rows)
    earlier = None if before is None else {row.loss_reason_id: row.deals for row in before}
    named = sorted(
        (row for row in rows if row.loss_reason_id is not None),
        key=lambda row: (-row.deals, -row.lost_amount, row.reason),
    )
    # A rest of one reason is that reason.
    shown = named if len(named) <= limit + 1 else named[:limit]
    rest = named[len(shown) :]
    unnamed = [row for row in rows if row.loss_reason_id is None]

    def line(name: str, of: Sequence[LossRow], ids: Sequence[str | None]) -> ReasonLine:
        deals = sum(row.deals for row in of)
        return ReasonLine(
            reason=name,
            deals=deals,
            share=deals / total if total else 0.0,
            amount=sum((row.lost_amount for row in of), Decimal(0)),
            before=None if earlier is None else sum(earlier.get(key, 0) for key in ids),
        )

    lines = [line(shorten(row.reason), [row], [row.loss_reason_id]) for row in shown]
    if rest:
        known = {row.loss_reason_id for row in shown} | {None}
        others = {row.loss_reason_id for row in rest} | ((earlier or {}).keys() - known)
        lines.append(line(OTHER, rest, list(others)))
    return Losses(
        deals=total,
        amount=sum((row.lost_amount for row in rows), Decimal(0)),
        reasons=(*lines, line(NO_REASON, unnamed, [None])) if total else (),
    )


def group(rows: Sequence[LossRow], dim: str, key: str | None = None) -> list[LossRow]:
    """Rows of one dimension, or of one group in it."""
    return [row for row in rows if row.dim == dim and key in (None, row.key)]


def ask_for_reasons(facts: Facts, lost: Sequence[DealFact], limit: int) -> list[Step]:
    """Who has to say why deals were lost: the `limit` managers with most of them."""
    silent = [deal for deal in lost if deal.loss_reason_id is None]
    return ask(facts, silent, "указать причину отказа", ("проигранной", "проигранных"), limit)


def ask(facts: Facts, deals: Sequence[DealFact], what: str, kind: tuple[str, str], limit: int) -> list[Step]:
    """Who has to do `what` in those deals: the `limit` managers with most of them.

    kind: the adjective of the deals after «в», for one and for several. Deals of nobody are for the head.
    """
    by_manager: dict[str, list[DealFact]] = defaultdict(list)
    for deal in deals:
        by_manager[deal.manager].append(deal)
    steps = []
    for manager, of in sorted(by_manager.items(), key=lambda item: (-len(item[1]), item[0]))[:limit]:
        largest = quoted(max(of, key=lambda deal: (deal.amount, deal.id)).name)
        where = f"в {kind[0]} сделке {largest}"
        if len(of) > 1:
            in_deals = plural(len(of), (f"{kind[0]} сделке", f"{kind[1]} сделках", f"{kind[1]} сделках"))
            where = f"в {len(of)} {in_deals}, например {largest}"
        steps.append(Step(person(manager, facts.user_names, nobody=HEAD_OF_SALES), f"{what} {where}"))
    return steps
