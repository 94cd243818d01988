"""The portal's own automation: our robot and trigger, business processes and triggers that we start.

The robot «Коннектор: выполнить правило» calls our hook with the name of a rule; `webhook.py` reads that call.
Must not know any rule. Source: Bitrix24 REST docs, pages «bizproc.robot.add», «bizproc.workflow.start»,
«crm.automation.trigger», «crm.automation.trigger.add».
"""

from __future__ import annotations

from typing import Final

from connector.crm.bitrix24.api import B24Api, Params
from connector.crm.bitrix24.webhook import ROBOT
from connector.crm.bitrix24.wire import DEAL
from connector.crm.wild import Wild
from connector.errors import CrmError

TRIGGER: Final = "connector"

#: The robot's own words are read by people in the robot designer.
_ROBOT_FIELDS: Final[Params] = {
    "NAME": "Коннектор: выполнить правило",
    "DESCRIPTION": "Передаёт сделку Коннектору, чтобы он выполнил правило регламента",
    "PROPERTIES": {
        "rule": {
            "Name": "Правило",
            "Description": "Название правила, как в регламенте",
            "Type": "string",
            "Required": "Y",
            "Multiple": "N",
        }
    },
    "DOCUMENT_TYPE": ["crm", "CCrmDocumentDeal", "DEAL"],
    "FILTER": {"INCLUDE": [["crm", "CCrmDocumentDeal"]]},
    # «N»: the funnel does not wait for us.
    "USE_SUBSCRIPTION": "N",
}


def install(api: B24Api, destination: str) -> None:
    """Put our robot and our trigger into the portal, the robot calling `destination`; twice is the same.

    For applications of administrators. Raises CrmError.
    """
    user_id = api.call("profile", {}, lambda answer: answer["ID"].int())
    fields = {**_ROBOT_FIELDS, "HANDLER": destination, "AUTH_USER_ID": user_id}
    codes = api.call("bizproc.robot.list", {}, lambda rows: [row.text() for row in rows.each()])
    if ROBOT in codes:
        # The list does not tell the address, and it may be an earlier one.
        api.call("bizproc.robot.update", {"CODE": ROBOT, "FIELDS": fields}, lambda answer: answer)
    else:
        _add_robot(api, {"CODE": ROBOT, **fields})
    api.call("crm.automation.trigger.add", {"CODE": TRIGGER, "NAME": "Коннектор"}, lambda answer: answer)


def uninstall(api: B24Api) -> None:
    """Take robot and trigger out again; what is not there is no error."""
    for method, code in (("bizproc.robot.delete", ROBOT), ("crm.automation.trigger.delete", TRIGGER)):
        try:
            api.call(method, {"CODE": code}, lambda answer: answer)
        except CrmError as error:
            if error.kind not in ("not_found", "rejected"):
                raise


def start(api: B24Api, automation_id: str, deal_id: str) -> bool:
    """Start a business process (its id is a number) or fire a trigger (its code is a word) on the deal.

    Starting twice is two processes: this is never repeated by itself. Raises CrmError when the portal has no
    such template or trigger.
    """
    if automation_id.isdigit():
        document = ["crm", "CCrmDocumentDeal", f"DEAL_{deal_id}"]
        params = {"TEMPLATE_ID": int(automation_id), "DOCUMENT_ID": document}
        return bool(api.write("bizproc.workflow.start", params, Wild.text))
    if api.is_application and automation_id in _own_triggers(api):
        params = {"CODE": automation_id, "OWNER_TYPE_ID": DEAL, "OWNER_ID": int(deal_id)}
        return api.write("crm.automation.trigger.execute", params, Wild.flag)
    # A trigger «Вебхук» that a person put into the funnel.
    params = {"target": f"DEAL_{deal_id}", "code": automation_id}
    return api.write("crm.automation.trigger", params, Wild.flag)


def _own_triggers(api: B24Api) -> set[str]:
    return api.call(
        "crm.automation.trigger.list", {}, lambda rows: {row.text_at("CODE") for row in rows.each()}
    )


def _add_robot(api: B24Api, fields: Params) -> None:
    try:
        api.call("bizproc.robot.add", fields, lambda answer: answer, repeatable=False)
    except CrmError as error:
        if error.code != "ERROR_ACTIVITY_ALREADY_INSTALLED":
            raise
