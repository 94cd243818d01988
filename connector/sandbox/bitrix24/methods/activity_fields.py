"""What an activity is made of: the answer of `crm.activity.fields`. Source: reference section 4.11."""

from __future__ import annotations

from typing import Any, Final

from connector.sandbox.bitrix24.call import Call, MethodTable

TABLE = MethodTable()

#: Name and type; then what is not plain about the field: r required, o read only, i immutable, m multiple,
#: d deprecated.
_FIELDS: Final = """
ID integer o
OWNER_ID integer i
OWNER_TYPE_ID crm_enum_ownertype i
TYPE_ID crm_enum_activitytype ri
PROVIDER_ID string
PROVIDER_TYPE_ID string
PROVIDER_GROUP_ID string
ASSOCIATED_ENTITY_ID integer o
SUBJECT string r
START_TIME datetime
END_TIME datetime
DEADLINE datetime
COMPLETED char
STATUS crm_enum_activitystatus
RESPONSIBLE_ID user r
PRIORITY crm_enum_activitypriority
NOTIFY_TYPE crm_enum_activitynotifytype
NOTIFY_VALUE integer
DESCRIPTION string
DESCRIPTION_TYPE crm_enum_contenttype
DIRECTION crm_enum_activitydirection
LOCATION string
CREATED datetime o
AUTHOR_ID user o
LAST_UPDATED datetime o
EDITOR_ID user o
SETTINGS object
ORIGIN_ID string
ORIGINATOR_ID string
RESULT_STATUS integer
RESULT_STREAM integer
RESULT_SOURCE_ID string
PROVIDER_PARAMS object
PROVIDER_DATA string
RESULT_MARK integer
RESULT_VALUE double
RESULT_SUM double
RESULT_CURRENCY_ID string
AUTOCOMPLETE_RULE integer
BINDINGS crm_activity_binding om
COMMUNICATIONS crm_activity_communication rm
FILES diskfile m
WEBDAV_ELEMENTS diskfile md
IS_INCOMING_CHANNEL char o
"""


@TABLE.add("crm.activity.fields", scope="crm")
def activity_fields(call: Call) -> dict[str, dict[str, Any]]:
    return {
        name: _entry(name, kind, *marks) for name, kind, *marks in map(str.split, _FIELDS.split("\n")[1:-1])
    }


def _entry(name: str, kind: str, marks: str = "") -> dict[str, Any]:
    entry: dict[str, Any] = {
        "type": kind,
        "isRequired": "r" in marks,
        "isReadOnly": "o" in marks,
        "isImmutable": "i" in marks,
        "isMultiple": "m" in marks,
        "isDynamic": False,
    }
    return entry | ({"isDeprecated": True} if "d" in marks else {}) | {"title": name}
