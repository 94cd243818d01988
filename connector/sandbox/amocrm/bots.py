"""Salesbots: the list, runs one by one and in batches, stops, and a bot's question to a backend.

Source: reference 4.18. A run is remembered; a bot with a backend asks it as the `widget_request` step does.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from connector.sandbox.amocrm import filters
from connector.sandbox.amocrm.lists import page_reply
from connector.sandbox.amocrm.request import INT, LIST, OBJECT, STRING, Batch, Call, check_types
from connector.sandbox.amocrm.wire import (
    ApiError,
    Reply,
    Violation,
    hal,
    not_a_choice,
    not_found,
    problem,
    unknown_entity,
)
from connector.sandbox.amocrm.world import Route, World

PATH = "/api/v4/bots"
MAX_TASKS = 100
ANSWER_WITHIN_S = 2.0
#: What a backend may send back. Source: reference 4.18.
MAX_HANDLERS, MAX_TEXT, MAX_BUTTONS = 10, 80, 25
KINDS = ("regular", "greeting", "marketing", "nps")
#: `entity_type` of the older address.
OLD_TYPES = {1: "contacts", 2: "leads"}

#: Makes the token of a request to a backend out of the claims about the run.
SignRun = Callable[[Mapping[str, Any]], str]


@dataclass(slots=True)
class Bot:
    id: int
    name: str
    kind: str = "regular"
    is_active: bool = True
    #: Where its `widget_request` step asks; empty: it has no such step.
    backend_url: str = ""


@dataclass(slots=True)
class Run:
    """One start of a bot. `asked_status`: its backend's answer, 0 for none in time, None if not asked."""

    id: int
    bot_id: int
    entity_type: str
    entity_id: int
    is_stopped: bool = False
    asked_status: int | None = None
    continued: list[dict[str, Any]] = field(default_factory=list)


class Bots:
    """The bots of one account with their runs. `sign` makes tokens for backends."""

    def __init__(self, world: World, sign: SignRun) -> None:
        self._world = world
        self._sign = sign
        self._numbers = itertools.count(1)
        self._session = requests.Session()
        self._session.trust_env = False
        self.bots = {
            565: Bot(565, "Приветствие", "greeting"),
            566: Bot(566, "Напоминание о договоре"),
            567: Bot(567, "Оценка работы", "nps", is_active=False),
        }
        self.runs: deque[Run] = deque(maxlen=5000)

    def listing(self, world: World, call: Call) -> Reply:
        makers: dict[str, filters.Maker] = {
            "id": filters.number(lambda b: b.id),
            "type_functionality": filters.word(lambda b: b.kind),
        }
        rows = filters.apply(sorted(self.bots.values(), key=lambda b: b.id), call.filter, makers)
        return page_reply(call, world.base_url, "items", rows, lambda b: _model(world, b, call.with_))

    def one(self, world: World, call: Call, bot_id: int) -> Reply:
        return hal(_model(world, self._known(bot_id), call.with_))

    def _known(self, bot_id: int) -> Bot:
        bot = self.bots.get(bot_id)
        if bot is None:
            raise not_found("Bot not found")
        return bot

    def run(self, world: World, call: Call, bot_id: int) -> Reply:
        self._known(bot_id)
        item = {**call.item(), "bot_id": bot_id}
        Batch([item]).check(self._check)
        self._start([item])
        return Reply(202)

    def run_many(self, world: World, call: Call) -> Reply:
        self._start(call.items(MAX_TASKS).check(self._check).items)
        return Reply(202)

    def run_old(self, world: World, call: Call) -> Reply:
        """The address of api/v2, where entity types are numbers."""
        batch = call.items(MAX_TASKS)
        known = [{**item, "entity_type": OLD_TYPES.get(item.get("entity_type", 0))} for item in batch.items]
        self._start(Batch(known).check(self._check).items)
        return hal({"success": True})

    def _check(self, item: dict[str, Any]) -> list[Violation]:
        kinds = {"bot_id": INT, "entity_id": INT, "entity_type": STRING}
        found = check_types(item, kinds, required=kinds)
        if found:
            return found
        if item["bot_id"] not in self.bots:
            return [unknown_entity("bot_id", "bot", item["bot_id"])]
        if item["entity_type"] not in ("leads", "contacts", "customers"):
            return [not_a_choice("entity_type")]
        if self._world.row(item["entity_type"], item["entity_id"]) is None:
            return [unknown_entity("entity_id", item["entity_type"], item["entity_id"])]
        return []

    def _start(self, items: list[dict[str, Any]]) -> None:
        for item in items:
            run = Run(next(self._numbers), item["bot_id"], item["entity_type"], item["entity_id"])
            self.runs.append(run)
            if self.bots[run.bot_id].backend_url:
                threading.Thread(target=self._ask, args=(run,), name="salesbot", daemon=True).start()

    def _ask(self, run: Run) -> None:
        entity_code = {"contacts": 1, "leads": 2, "customers": 12}[run.entity_type]
        claims = {"entity_id": run.entity_id, "entity_type": entity_code, "bot_type": "salesbot"}
        body = {
            "token": self._sign(claims),
            "data": {"from": "widget"},
            "return_url": f"{self._world.base_url}/api/v4/salesbot/{run.bot_id}/continue/{run.id}",
        }
        headers = {"User-Agent": "amoCRM-Webhooks/3.0"}
        try:
            url = self.bots[run.bot_id].backend_url
            with self._session.post(url, json=body, headers=headers, timeout=ANSWER_WITHIN_S) as answer:
                run.asked_status = answer.status_code
        except requests.RequestException:
            run.asked_status = 0

    def stop(self, world: World, call: Call, bot_id: int) -> Reply:
        """Leads only."""
        self._known(bot_id)
        item = {**call.item(), "bot_id": bot_id}
        Batch([item]).check(self._check)
        if item["entity_type"] != "leads":
            raise ApiError(problem(400, "Only bots of leads can be stopped"))
        for run in self.runs:
            if (run.bot_id, run.entity_type, run.entity_id) == (bot_id, "leads", item["entity_id"]):
                run.is_stopped = True
        return Reply(202)

    def go_on(self, world: World, call: Call, bot_id: int, run_id: int) -> Reply:
        """What a backend sends to `return_url`, once it knows."""
        run = next((r for r in self.runs if (r.bot_id, r.id) == (bot_id, run_id)), None)
        if run is None or run.is_stopped:
            raise not_found("Bot is not running")
        item = call.item()
        Batch([item]).check(_check_answer)
        run.continued.append(item)
        return Reply(202)

    def routes(self) -> list[Route]:
        return [
            Route("GET", PATH, self.listing),
            Route("POST", f"{PATH}/run", self.run_many),
            Route("GET", f"{PATH}/<int:bot_id>", self.one),
            Route("POST", f"{PATH}/<int:bot_id>/run", self.run),
            Route("POST", f"{PATH}/<int:bot_id>/stop", self.stop),
            Route("POST", "/api/v2/salesbot/run", self.run_old),
            Route("POST", "/api/v4/salesbot/<int:bot_id>/continue/<int:run_id>", self.go_on),
        ]


def _model(world: World, bot: Bot, with_: set[str]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": bot.id,
        "name": bot.name,
        "type_functionality": bot.kind,
        "is_visual_editor": True,
        "settings": {"active": bot.is_active},
        "_links": world.link(f"{PATH}/{bot.id}"),
    }
    return {**body, "is_favorite": False} if "favorite" in with_ else body


def _check_answer(item: dict[str, Any]) -> list[Violation]:
    found = check_types(item, {"data": OBJECT, "execute_handlers": LIST})
    handlers = item.get("execute_handlers") or []
    if found:
        return found
    if len(handlers) > MAX_HANDLERS:
        detail = f"This collection should contain {MAX_HANDLERS} elements or less."
        return [Violation("TooMany", "execute_handlers", detail)]
    for index, handler in enumerate(handlers):
        place = f"execute_handlers.{index}"
        if not isinstance(handler, dict) or handler.get("handler") not in ("show", "goto"):
            found.append(not_a_choice(f"{place}.handler"))
            continue
        given = handler.get("params")
        params = given if isinstance(given, dict) else {}
        if len(str(params.get("value") or "")) > MAX_TEXT:
            found.append(Violation("TooLong", f"{place}.params.value", f"At most {MAX_TEXT} characters."))
        if len(params.get("buttons") or ()) > MAX_BUTTONS:
            found.append(Violation("TooMany", f"{place}.params.buttons", f"At most {MAX_BUTTONS} buttons."))
    return found
