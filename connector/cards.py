"""Deals with all that belongs to them, read once for several effects of the same moment."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime

from connector.clock import Clock
from connector.crm.base import CrmClient
from connector.domain import DealCard
from connector.errors import ConnectorError
from connector.store.outbox import Effect

#: Cards kept; the effects of one firing follow each other closely.
KEPT = 64


class DealGone(ConnectorError):
    """The deal was deleted: nothing about it is to be done any more."""


class CardReader:
    """Reads an effect's deal from the CRM, or gives the card that was read since the effect was put to work.

    One firing of a rule makes several documents and letters out of the same deal: they share one reading, so
    they cannot contradict each other, and the CRM is asked once.
    """

    def __init__(self, clients: Mapping[str, CrmClient], clock: Clock) -> None:
        self._clients = clients
        self._clock = clock
        self._lock = threading.Lock()
        self._cards: OrderedDict[tuple[str, str], tuple[datetime, DealCard]] = OrderedDict()

    def keep(self, card: DealCard, at: datetime) -> None:
        """Give this card to effects that were decided, on its very data, at `at`."""
        with self._lock:
            self._cards[card.deal.account, card.deal.id] = (at, card)
            self._cards.move_to_end((card.deal.account, card.deal.id))
            while len(self._cards) > KEPT:
                self._cards.popitem(last=False)

    def of(self, effect: Effect) -> DealCard:
        """The deal of `effect`, not older than the effect. Raises DealGone, or CrmError, or RetryLater."""
        key = (effect.account, effect.deal_id or "")
        with self._lock:
            kept = self._cards.get(key)
        if kept is not None and kept[0] >= effect.updated_at:
            return kept[1]
        started = self._clock.now()
        client = self._clients[effect.account]
        deal = client.deal(effect.deal_id or "")
        if deal is None or deal.is_deleted:
            raise DealGone("сделка удалена")
        card = client.card(deal)
        self.keep(card, started)
        return card
