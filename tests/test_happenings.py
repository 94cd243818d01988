"""What we learn by ourselves starts rules: once a fact, on the deal as it is, for the document it means."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import pytest

from connector.clock import FixedClock
from connector.playbook.model import Playbook
from connector.store import happenings, runs
from connector.store.archive import ArchivedDocument
from connector.store.database import Database
from tests.test_intake import Desk, after, deal

RULES = Playbook.model_validate(
    {
        "rules": [
            {
                "name": "Оплата",
                "when": {"happens": "paid"},
                "repeat": "every_entry",
                "do": [{"note": "оплачено"}],
            },
            {
                "name": "Счёт открыт",
                "when": {"happens": ["document.opened", "document.accepted"], "document": "invoice"},
                "do": [{"note": "открыт"}],
            },
            {"name": "Другая", "when": {"happens": "paid", "pipeline": "Сервис"}, "do": [{"note": "сервис"}]},
            {
                "name": "Крупная",
                "when": {"happens": "paid"},
                "if": "deal.amount > 5",
                "do": [{"note": "крупная"}],
            },
            {"name": "Вход", "when": {"enters": "Новая"}, "do": [{"note": "вход"}]},
        ]
    }
)
INVOICE = cast(ArchivedDocument, SimpleNamespace(id=5, kind="invoice"))
CONTRACT = cast(ArchivedDocument, SimpleNamespace(id=6, kind="contract"))


@pytest.fixture
def desk(db: Database, clock: FixedClock) -> Desk:
    desk = Desk(db, clock, RULES)
    desk.crm.stands = deal("new", after(1))
    return desk


def learn(desk: Desk, what: str, key: str, document: ArchivedDocument | None = None) -> bool:
    with desk.db.begin() as conn:
        return desk.happenings.record(
            conn, account="main", deal_id="7", what=what, key=key, at=desk.clock.now(), document=document
        )


def test_a_fact_counts_once_and_the_next_one_again_where_the_rule_says_so(desk: Desk) -> None:
    assert learn(desk, "paid", "payment-1")
    assert not learn(desk, "paid", "payment-1")
    desk.work()
    assert desk.said() == ["оплачено"]
    assert learn(desk, "paid", "payment-2")
    desk.work()
    assert desk.said() == ["оплачено", "оплачено"]


def test_a_rule_about_one_kind_of_document_hears_of_no_other(desk: Desk) -> None:
    learn(desk, "document.opened", "o-1", CONTRACT)
    desk.work()
    assert desk.said() == []
    learn(desk, "document.opened", "o-2", INVOICE)
    learn(desk, "document.accepted", "o-3", INVOICE)
    desk.work()
    assert desk.said() == ["открыт"]  # once a deal


def test_the_condition_is_asked_of_the_deal_as_it_is_and_the_story_says_why_not(desk: Desk) -> None:
    learn(desk, "paid", "p")
    desk.work()
    with desk.db.read() as conn:
        said = {run.rule: (run.result, run.trigger) for run in runs.of_deal(conn, "main", "7")}
        (fact,) = happenings.of_deal(conn, "main", "7")
    assert said == {"Оплата": ("match", "счёт оплачен"), "Крупная": ("no_match", "счёт оплачен")}
    assert (fact.what, fact.at) == ("paid", desk.clock.now())


def test_a_fact_about_a_deal_that_is_gone_is_kept_and_starts_nothing(desk: Desk) -> None:
    desk.crm.stands = None
    learn(desk, "paid", "p")
    desk.work()
    assert desk.said() == []
    desk.clock.sleep(timedelta(days=1))
    with desk.db.read() as conn:
        assert len(happenings.of_deal(conn, "main", "7")) == 1


def test_an_unknown_fact_is_a_mistake_of_the_caller(desk: Desk) -> None:
    with pytest.raises(ValueError, match="unknown happening"):
        learn(desk, "document.burnt", "x")
