"""Who calls and what is here: profile, users, departments, scopes, server time.

Source: reference sections 1.5 and 4.14.
"""

from __future__ import annotations

from typing import Any, Final

from connector.sandbox.bitrix24.call import Call, MethodTable, Page, page_of
from connector.sandbox.bitrix24.filters import Column, Columns
from connector.sandbox.bitrix24.params import as_map
from connector.sandbox.bitrix24.wire import EMPTY_OBJECT, is_yes, moment
from connector.sandbox.state import User

TABLE = MethodTable()

ALL_SCOPES: Final = (
    "bizproc",
    "crm",
    "department",
    "disk",
    "documentgenerator",
    "im",
    "imbot",
    "imopenlines",
    "log",
    "messageservice",
    "placement",
    "sale",
    "salescenter",
    "task",
    "telephony",
    "user",
    "user_basic",
    "user_brief",
    "userfieldconfig",
)

_DEPARTMENTS: Final = ((1, "Компания", None), (3, "Отдел продаж", 1))
_SALES: Final = 3


@TABLE.add("profile", scope="")
def profile(call: Call) -> dict[str, Any]:
    user = call.user
    return {
        "ID": str(user.id),
        "ADMIN": user.is_admin,
        "NAME": user.name,
        "LAST_NAME": user.last_name,
        "PERSONAL_GENDER": "",
        "TIME_ZONE": "",
    }


@TABLE.add("user.current", scope="user")
def user_current(call: Call) -> dict[str, Any]:
    return _user(call, call.user)


@TABLE.add("user.get", scope="user")
def user_get(call: Call) -> Page:
    """Filter keys lie in `filter` or at the top; `sort` and `order` are strings here."""
    known = {"id", "active", "name", "last_name", "email", "work_position", "user_type", "uf_department"}
    top = {key.upper(): value for key, value in call.params.items() if key.lower().lstrip("!<>=@%") in known}
    return _users(call, {**top, **{k.upper(): v for k, v in as_map(call.params.get("filter")).items()}})


@TABLE.add("user.search", scope="user")
def user_search(call: Call) -> Page:
    """Search by NAME, LAST_NAME, WORK_POSITION or FIND over all of them; parts of words match."""
    wanted = {k.upper(): v for k, v in {**call.params.as_dict(), **as_map(call.params.get("filter"))}.items()}
    names = ("NAME", "LAST_NAME", "WORK_POSITION")
    filter_: dict[str, Any] = {f"%{name}": wanted[name] for name in names if wanted.get(name)}
    if wanted.get("FIND"):
        any_of = {str(place): {f"%{name}": wanted["FIND"]} for place, name in enumerate((*names, "EMAIL"))}
        filter_["0"] = {"logic": "OR", **any_of}
    if "ACTIVE" in wanted:
        filter_["ACTIVE"] = wanted["ACTIVE"]
    return _users(call, filter_)


def _users(call: Call, filter_: dict[str, Any]) -> Page:
    for key in [key for key in filter_ if key.lstrip("!=") == "ACTIVE"]:
        filter_[key] = "Y" if is_yes(filter_[key]) else "N"
    with call.site.portal.lock:
        users = [user for _, user in sorted(call.site.portal.users.items())]
    sort = str(call.params.get("sort") or "ID").upper()
    direction = str(call.params.get("order") or "ASC") if isinstance(call.params.get("order"), str) else "ASC"
    return page_of(
        call,
        users,
        Columns(lambda name: _user_column(call, name), strict=False, zone=call.site.zone),
        lambda rows: [_user(call, user) for user in rows],
        default_order={sort: direction},
        filter_=filter_,
    )


def _department(call: Call, user: User) -> int:
    """Teams are departments below sales."""
    number = call.site.portal.teams().get(user.team)
    return _SALES if number is None else _SALES + number


def _user_column(call: Call, name: str) -> Column | None:
    reads: dict[str, Column] = {
        "ID": Column("integer", lambda user: user.id),
        "ACTIVE": Column("string", lambda user: "Y" if user.is_active else "N"),
        "NAME": Column("string", lambda user: user.name),
        "LAST_NAME": Column("string", lambda user: user.last_name),
        "EMAIL": Column("string", lambda user: user.email),
        "WORK_POSITION": Column("string", lambda user: user.post),
        "USER_TYPE": Column("string", lambda user: "employee"),
        "UF_DEPARTMENT": Column("integer", lambda user: [_department(call, user)]),
    }
    return reads.get(name)


def _user(call: Call, user: User) -> dict[str, Any]:
    is_caller = user.id == call.user_id
    return {
        "ID": str(user.id),
        "ACTIVE": user.is_active,
        "NAME": user.name,
        "LAST_NAME": user.last_name,
        "SECOND_NAME": "",
        "EMAIL": user.email,
        "LAST_LOGIN": moment(call.site.now(), call.site.zone),
        "DATE_REGISTER": "2020-01-15T03:00:00+03:00",
        "TIME_ZONE": "",
        "IS_ONLINE": "Y" if is_caller else "N",
        "TIMESTAMP_X": EMPTY_OBJECT,
        "LAST_ACTIVITY_DATE": EMPTY_OBJECT,
        "PERSONAL_GENDER": "",
        "PERSONAL_WWW": "",
        "PERSONAL_BIRTHDAY": "",
        "PERSONAL_MOBILE": "",
        "PERSONAL_CITY": "",
        "WORK_PHONE": "",
        "WORK_POSITION": user.post,
        "UF_EMPLOYMENT_DATE": "",
        "UF_DEPARTMENT": [_department(call, user)],
        "USER_TYPE": "employee",
    }


@TABLE.add("department.get", scope="department")
def department_get(call: Call) -> Page:
    head = next((user.id for user in call.site.portal.users.values() if user.is_admin), None)
    rows = [
        {"ID": str(number), "NAME": name, "SORT": 500}
        | ({"PARENT": str(parent)} if parent else {})
        | ({"UF_HEAD": str(head)} if head else {})
        for number, name, parent in (
            *_DEPARTMENTS,
            *((_SALES + number, name, _SALES) for name, number in call.site.portal.teams().items()),
        )
    ]
    filter_ = {
        k.upper(): v for k, v in call.params.items() if k.upper() in {"ID", "NAME", "PARENT", "UF_HEAD"}
    }

    def find(name: str) -> Column:
        return Column("string", lambda row: row.get(name))

    columns = Columns(find, strict=False, zone=call.site.zone)
    return page_of(call, rows, columns, list, filter_=filter_)


@TABLE.add("server.time", scope="")
def server_time(call: Call) -> str:
    return moment(call.site.now(), call.site.zone)


@TABLE.add("scope", scope="")
def scope(call: Call) -> list[str]:
    return sorted(ALL_SCOPES if is_yes(call.params.get("full", "")) else call.caller.scopes)


@TABLE.add("method.get", scope="")
def method_get(call: Call) -> dict[str, bool]:
    """Whether a method is there and within the caller's scopes."""
    method = call.methods.get(str(call.params.get("name", "")).lower())
    is_available = method is not None and call.caller.has_scope(method.scope)
    return {"isExisting": method is not None, "isAvailable": is_available}


@TABLE.add("methods", scope="")
def methods(call: Call) -> list[str]:
    return [m.name for m in call.methods.values() if call.caller.has_scope(m.scope)]


@TABLE.add("feature.get", scope="")
def feature_get(call: Call) -> dict[str, str]:
    code = str(call.params.get("CODE", ""))
    has = code in {"rest_offline_extended", "rest_auth_connector"} and call.site.switches.offline_extended
    return {"value": "Y" if has else "N"}
