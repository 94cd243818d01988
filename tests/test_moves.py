"""Which moves are new, and which entry into a stage a move is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from connector.domain import Deal, Outcome, StageChange
from connector.moves import SEEN_TOLERANCE, entry_ordinal, merge

NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def deal(stage: str, updated_at: datetime = NOON) -> Deal:
    return Deal(
        account="main",
        id="7",
        name="Сделка",
        pipeline_id="1",
        stage_id=stage,
        outcome=Outcome.OPEN,
        amount=Decimal(100),
        currency="RUB",
        responsible_id="1",
        created_at=NOON - timedelta(days=1),
        updated_at=updated_at,
    )


def move(event_id: str, to: str, *, after_s: int = 0, origin: str | None = None) -> StageChange:
    at = NOON + timedelta(seconds=after_s)
    return StageChange(event_id, "7", at, "1", to, "1" if origin else None, origin)


def test_history_that_explains_the_stage_adds_nothing_of_ours() -> None:
    created, moved = move("a", "new"), move("b", "met", after_s=5, origin="new")
    merged = merge([created], [created, moved], deal("met"))
    assert merged.new == (moved,)
    assert merged.corrected == ()


def test_stage_ahead_of_the_history_becomes_a_move_seen_by_us() -> None:
    created = move("a", "new", after_s=-60)
    merged = merge([created], [created], deal("met"))
    (seen,) = merged.new
    assert (seen.from_stage_id, seen.to_stage_id, seen.at) == ("new", "met", NOON)
    assert merge([created, seen], [created], deal("met")).new == ()


def test_history_that_shows_a_seen_move_later_confirms_it_instead_of_repeating_it() -> None:
    created = move("a", "new", after_s=-60)
    (seen,) = merge([created], [created], deal("met")).new
    real = move("b", "met", after_s=-3, origin="new")
    merged = merge([created, seen], [created, real], deal("met"))
    assert merged.new == ()
    assert merged.corrected == ((seen, real),)
    assert merged.history == (created, real)


def test_seen_move_is_not_confirmed_by_one_long_before() -> None:
    earlier = move("b", "met", after_s=-int(SEEN_TOLERANCE.total_seconds()) - 1, origin="new")
    (seen,) = merge([], [], deal("met")).new
    assert merge([seen], [earlier], deal("met")).new == (earlier,)


def test_move_made_after_the_deal_was_read_waits_for_its_own_hint() -> None:
    """The history is read before the deal, so it never runs ahead of it; the deal alone may be newer."""
    created, moved = move("a", "new"), move("b", "met", after_s=1, origin="new")
    merged = merge([], [created, moved], deal("paid", NOON + timedelta(seconds=2)))
    assert [change.to_stage_id for change in merged.new] == ["new", "met", "paid"]


def test_same_second_moves_keep_the_order_of_their_ids() -> None:
    first, second = move("01", "met"), move("02", "paid", origin="met")
    assert merge([], [second, first], deal("paid")).history == (first, second)


@pytest.mark.parametrize(
    ("seconds", "ordinal"),
    [((0,), 1), ((0, 30), 1), ((0, 60), 1), ((0, 61), 2), ((0, 50, 100), 1), ((0, 61, 90, 200), 3)],
)
def test_return_within_a_minute_is_the_same_entry(seconds: tuple[int, ...], ordinal: int) -> None:
    history: list[StageChange] = []
    for number, second in enumerate(seconds):
        history.append(move(f"{number}-in", "met", after_s=second, origin="new"))
        history.append(move(f"{number}-out", "new", after_s=second + 1, origin="met"))
    assert entry_ordinal(history, history[-2]) == ordinal
