"""`placement.*`: pages of the application in the interface. Errors come with HTTP 200.

Source: reference sections 2.6 and 4.19.
"""

from __future__ import annotations

import re
from typing import Any, Final

from connector.sandbox.bitrix24.application import Placement
from connector.sandbox.bitrix24.call import Call, MethodTable
from connector.sandbox.bitrix24.params import as_map
from connector.sandbox.bitrix24.wire import RestError, parse_int

TABLE = MethodTable()

_SINGLE: Final = (
    *("CRM_FUNNELS_TOOLBAR", "CRM_ANALYTICS_MENU", "CRM_ANALYTICS_TOOLBAR", "CRM_DETAIL_SEARCH"),
    *("CRM_REQUISITE_AUTOCOMPLETE", "CRM_BANK_DETAIL_AUTOCOMPLETE", "LEFT_MENU", "TASK_VIEW_TAB"),
    *("TASK_VIEW_SIDEBAR", "TASK_VIEW_TOP_PANEL", "TASK_LIST_CONTEXT_MENU", "TASK_USER_LIST_TOOLBAR"),
    *("IM_NAVIGATION", "IM_TEXTAREA", "IM_SIDEBAR", "IM_CONTEXT_MENU", "IM_SMILES_SELECTOR", "CALL_CARD"),
    *("CALENDAR_GRIDVIEW", "SONET_GROUP_DETAIL_TAB", "USER_PROFILE_MENU", "REST_APP_URI"),
    *("PAGE_BACKGROUND_WORKER", "TELEPHONY_ANALYTICS_MENU", "BI_ANALYTICS_MENU", "CONTACT_CENTER"),
)
_KINDS: Final = ("LEAD", "DEAL", "CONTACT", "COMPANY", "QUOTE", "SMART_INVOICE")
_PLACES: Final = (
    *("DETAIL_TAB", "DETAIL_TOOLBAR", "DETAIL_ACTIVITY", "LIST_MENU", "LIST_TOOLBAR"),
    *("ACTIVITY_TIMELINE_MENU", "DOCUMENTGENERATOR_BUTTON", "ROBOT_DESIGNER_TOOLBAR"),
)
CODES: Final = (*(f"CRM_{kind}_{place}" for kind in _KINDS for place in _PLACES), *_SINGLE)
_DYNAMIC: Final = re.compile(rf"CRM_DYNAMIC_\d+_({'|'.join(_PLACES)})")

#: Places that hold one handler only.
_MOST: Final = {"PAGE_BACKGROUND_WORKER": 1}


def _refused(code: str, text: str) -> RestError:
    return RestError(200, code, text)


def _code(call: Call) -> str:
    code = str(call.params.get("PLACEMENT") or "").upper()
    if not code:
        raise _refused("ERROR_ARGUMENT", "Argument 'PLACEMENT' is null or empty")
    if code not in CODES and not _DYNAMIC.fullmatch(code):
        raise _refused("ERROR_PLACEMENT_NOT_FOUND", "Placement not found")
    return code


@TABLE.add("placement.bind", scope="placement", app_only="WRONG_AUTH_TYPE")
def bind(call: Call) -> bool:
    call.require_admin()
    code, handler = _code(call), str(call.params.get("HANDLER") or "")
    if not handler:
        raise _refused("ERROR_ARGUMENT", "Argument 'HANDLER' is null or empty")
    if not handler.startswith(("http://", "https://")):
        raise _refused("ERROR_UNSUPPORTED_PROTOCOL", "Unsupported handler protocol")
    user_id = parse_int(call.params.get("USER_ID", 0)) or 0
    bound = call.site.application.placements
    title = str(call.params.get("TITLE") or "")
    if any((p.code, p.handler, p.user_id, p.title) == (code, handler, user_id, title) for p in bound):
        raise _refused("ERROR_CORE", "Unable to set placement handler: Handler already binded")
    if sum(p.code == code for p in bound) >= _MOST.get(code, 50):
        raise _refused("ERROR_PLACEMENT_MAX_COUNT", "Placement max count")
    bound.append(
        Placement(
            code,
            handler,
            user_id,
            title,
            str(call.params.get("DESCRIPTION") or ""),
            as_map(call.params.get("OPTIONS")),
            as_map(call.params.get("LANG_ALL")),
        )
    )
    return True


@TABLE.add("placement.get", scope="placement", app_only="WRONG_AUTH_TYPE")
def get(call: Call) -> list[dict[str, Any]]:
    return [
        {
            "placement": place.code,
            "userId": place.user_id,
            "handler": place.handler,
            "options": dict(place.options),
            "title": place.title,
            "description": place.description,
            "langAll": dict(place.languages),
        }
        for place in call.site.application.placements
    ]


@TABLE.add("placement.list", scope="placement", app_only="WRONG_AUTH_TYPE")
def list_(call: Call) -> list[str]:
    return list(CODES)


@TABLE.add("placement.unbind", scope="placement", app_only="WRONG_AUTH_TYPE")
def unbind(call: Call) -> dict[str, int]:
    """Without a handler all of that place; nothing that matches is no error."""
    call.require_admin()
    code, handler = _code(call), str(call.params.get("HANDLER") or "")
    bound = call.site.application.placements
    kept = [p for p in bound if p.code != code or handler not in ("", p.handler)]
    count = len(bound) - len(kept)
    bound[:] = kept
    return {"count": count}
