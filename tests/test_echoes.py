"""Which moves are ours: the nearest one to the stage that we sent the deal to, one for each that was sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from connector.domain import StageChange
from connector.echoes import OwnMove, recognise

NOON = datetime(2026, 11, 24, 9, tzinfo=UTC)
ME = "7"


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def move(event_id: str, to: str, seconds: float, by: str | None = None) -> StageChange:
    return StageChange(event_id, "1", at(seconds), "1", to, "1", "origin", by)


def sent(to: str, seconds: float = 0.0, effect_id: int = 1) -> OwnMove:
    times = {"sent_at": at(seconds), "tried_at": at(seconds), "answered_at": at(seconds + 1)}
    return OwnMove(effect_id, "Правило", "1", to, **times, starts_rules=False)


def ours(moves: list[StageChange], *own: OwnMove, recognised: tuple[int, ...] = ()) -> set[str]:
    return set(recognise(moves, own, recognised, ME))


def test_move_to_the_stage_that_we_sent_is_ours_whatever_the_clocks_say() -> None:
    for seconds in (-90, 0, 0.4, 90):
        assert ours([move("a", "paid", seconds, ME)], sent("paid")) == {"a"}
    assert ours([move("a", "paid", 600, ME)], sent("paid")) == set()


def test_person_in_the_same_second_is_told_apart() -> None:
    moves = [move("a", "paid", 0, ME), move("b", "lost", 0, "11"), move("c", "paid", 0, "11")]
    assert ours(moves, sent("paid")) == {"a"}
    nobody_says_who = [replace(one, changed_by=None) for one in moves[:2]]
    assert ours(nobody_says_who, sent("paid")) == {"a"}


def test_of_several_moves_to_one_stage_the_nearest_is_ours_and_no_second_one() -> None:
    moves = [move("a", "paid", 0), move("b", "met", 10), move("c", "paid", 20)]
    assert ours(moves, sent("paid", 1)) == {"a"}
    assert ours(moves, sent("paid", 1), sent("paid", 19, effect_id=2)) == {"a", "c"}
    assert ours(moves[2:], sent("paid", 1), recognised=(1,)) == set()


def test_move_that_only_the_stage_shows_is_not_denied_by_who_changed_the_deal_last() -> None:
    assert ours([move("seen:1:x", "paid", 0, "11")], sent("paid")) == {"seen:1:x"}
    assert ours([move("a", "paid", 0, "11")], sent("paid")) == set()


def test_attempt_without_an_answer_counts_from_its_own_moment_and_the_first_one_still() -> None:
    late = replace(sent("paid"), tried_at=at(600), answered_at=None)
    for seconds in (0, 300, 600, 700):
        assert ours([move("a", "paid", seconds, ME)], late) == {"a"}
    assert ours([move("a", "paid", 800, ME)], late) == set()
