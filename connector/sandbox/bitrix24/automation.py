"""Automation of the portal: robots that call applications or plain addresses, triggers that move objects.

Which robot stands on which stage is set by a person in the interface: here by `put_robot`, `put_webhook` and
`put_trigger`. Source: reference section 4.18.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from connector.sandbox.bitrix24.application import Robot, Workflow
from connector.sandbox.bitrix24.event_bodies import Pairs, flatten
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.wire import RestError
from connector.sandbox.state import ROBOT, Change

#: Class and name of an object's document by its entityTypeId.
DOCUMENTS: Final = {
    1: ("CCrmDocumentLead", "LEAD"),
    2: ("CCrmDocumentDeal", "DEAL"),
    3: ("CCrmDocumentContact", "CONTACT"),
    4: ("CCrmDocumentCompany", "COMPANY"),
    7: (r"Bitrix\Crm\Integration\BizProc\Document\Quote", "QUOTE"),
    31: (r"Bitrix\Crm\Integration\BizProc\Document\SmartInvoice", "SMART_INVOICE"),
}
_DYNAMIC: Final = r"Bitrix\Crm\Integration\BizProc\Document\Dynamic"
_TIMEOUT_S: Final = 660


@dataclass(frozen=True, slots=True)
class RobotStep:
    """A robot on a stage: the application's by its code, or the built-in webhook by its address."""

    stage: str
    code: str = ""
    url: str = ""
    properties: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class TriggerStep:
    """A trigger on a stage: whoever raises `code` moves the deal there."""

    pipeline_id: int
    stage: str
    code: str


def document_of(type_id: int, number: int) -> tuple[str, str, str]:
    """`document_id` of an object: module, class, «DEAL_10»."""
    kind, name = DOCUMENTS.get(type_id, (_DYNAMIC, f"DYNAMIC_{type_id}"))
    return ("crm", kind, f"{name}_{number}")


def target_of(text: str) -> tuple[int, int] | None:
    """entityTypeId and id of «DEAL_10», «SMART_INVOICE_9», «DYNAMIC_128_3»; None when it is none."""
    name, _, number = text.rpartition("_")
    if not number.isdigit():
        return None
    if name.startswith("DYNAMIC_") and name[8:].isdigit():
        return int(name[8:]), int(number)
    found = next((type_id for type_id, (_, known) in DOCUMENTS.items() if known == name.upper()), None)
    return (found, int(number)) if found else None


class Automation:
    """Robots and triggers on stages, and the runs of robots; thread-safe."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = threading.Lock()
        self._robots: list[RobotStep] = []
        self._triggers: list[TriggerStep] = []

    def put_robot(self, stage: str, code: str, properties: Mapping[str, Any] | None = None) -> None:
        """The application's robot `code` runs for each deal that enters the stage."""
        self._robots.append(RobotStep(stage, code=code, properties=properties))

    def put_webhook(self, stage: str, url: str) -> None:
        """The built-in robot «Outgoing webhook»; `{{ID}}` and `{{Stage}}` in the address are filled in."""
        self._robots.append(RobotStep(stage, url=url))

    def put_trigger(self, pipeline_id: int, stage: str, code: str) -> None:
        """The trigger `code` moves a deal to that stage."""
        self._triggers.append(TriggerStep(pipeline_id, stage, code))

    def hear(self, change: Change) -> None:
        """Listener of the portal: a deal that enters a stage starts what stands there."""
        if change.entity != "deal" or change.action == "delete":
            return
        if change.action == "update" and "stage" not in change.fields:
            return
        for step in [step for step in self._robots if step.stage == change.after.stage]:
            if step.url:
                self._call_webhook(step.url, change.entity_id, change.after.stage)
            elif step.code in self._site.application.robots:
                self.run(step.code, 2, change.entity_id, step.properties or {})

    def run(self, code: str, type_id: int, number: int, properties: Mapping[str, Any]) -> Workflow:
        """Let a robot of the application call its handler; the form leaves through the queue.

        LookupError when there is no such robot.
        """
        robot = self._site.application.robots.get(code)
        if robot is None:
            raise LookupError(f"no robot with the code {code}")
        workflow_id = f"{secrets.token_hex(7)}.{secrets.randbelow(10**8):08d}"
        token = (
            f"{workflow_id}|A{secrets.randbelow(10**5)}_{secrets.randbelow(10**5)}|{secrets.token_hex(24)}"
        )
        workflow = Workflow(token, code, document_of(type_id, number), waits=robot.waits is not False)
        with self._lock:
            self._site.application.workflows[token] = workflow
        values = {
            name: properties.get(name, _default(described)) for name, described in robot.properties.items()
        }
        form = self._form(robot, workflow, workflow_id, values)
        self._site.events.post(robot.handler, f"robot {code}", form)
        return workflow

    def _form(self, robot: Robot, workflow: Workflow, workflow_id: str, values: Mapping[str, Any]) -> Pairs:
        module, kind, name = workflow.document
        type_name = name.rpartition("_")[0]
        pairs: Pairs = [("workflow_id", workflow_id), ("code", robot.code)]
        pairs += flatten("document_id", dict(enumerate(workflow.document)))
        pairs += flatten("document_type", dict(enumerate((module, kind, type_name))))
        pairs.append(("event_token", workflow.token))
        pairs += flatten("properties", values)
        pairs.append(("use_subscription", "Y" if workflow.waits else "N"))
        pairs.append(("timeout_duration", str(_TIMEOUT_S)))
        pairs.append(("ts", str(int(self._site.clock.now().timestamp()))))
        user_id = robot.user_id or min(self._site.portal.users, default=1)
        return pairs + flatten("auth", self._site.oauth.auth_block(user_id, with_refresh=True))

    def answer(self, token: str, values: Mapping[str, Any], text: str) -> None:
        """`bizproc.event.send`: the waiting robot goes on; a bad or used token is denied."""
        with self._lock:
            workflow = self._site.application.workflows.get(token)
            if workflow is None or workflow.is_over or not workflow.waits:
                raise RestError(403, "ACCESS_DENIED", "Access denied!")
            workflow.is_over, workflow.answer = True, values
            if text:
                workflow.log.append(text)

    def note(self, token: str, text: str) -> None:
        """`bizproc.activity.log`: a line in the run's log."""
        with self._lock:
            workflow = self._site.application.workflows.get(token)
            if workflow is None:
                raise RestError(403, "ACCESS_DENIED", "Access denied!")
            workflow.log.append(text)

    def raise_trigger(self, code: str, type_id: int, number: int) -> None:
        """A trigger was raised at an object: a deal goes to the stage where the trigger stands."""
        for step in self._triggers:
            deal = self._site.portal.deals.get(number) if type_id == 2 else None
            if step.code == code and deal is not None and deal.pipeline_id == step.pipeline_id:
                self._site.portal.update_deal(number, {"stage": step.stage}, by=ROBOT)
                return

    def _call_webhook(self, url: str, number: int, stage: str) -> None:
        address = url.replace("{{ID}}", str(number)).replace("{{Stage}}", quote(stage, safe=""))
        block = self._site.address_block()
        if not self._site.switches.webhook_robot_has_token:
            del block["application_token"]
        ids = flatten("document_id", dict(enumerate(document_of(2, number))))
        stamp = str(int(self._site.clock.now().timestamp()))
        self._site.events.post(address, "robot webhook", [*ids, *flatten("auth", block), ("ts", stamp)])


def _default(described: Any) -> Any:
    """The default of a robot's property; empty when it has none."""
    return described.get("Default", "") if isinstance(described, Mapping) else ""
