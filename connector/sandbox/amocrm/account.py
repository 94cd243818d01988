"""Read-mostly tables of the account: itself, users, roles, pipelines, statuses, loss reasons, sources.

Source: reference 4.7, 4.8, 4.9, 4.16.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

from connector.sandbox.amocrm.leads import loss_reason_model
from connector.sandbox.amocrm.lists import page_reply, whole_reply
from connector.sandbox.amocrm.request import BOOL, INT, STRING, Call, check_types, strings
from connector.sandbox.amocrm.wire import Reply, hal, no_content, not_found
from connector.sandbox.amocrm.world import LOST, UNSORTED_NAME, WON, Route, World
from connector.sandbox.state import Pipeline, Stage, User

PIPELINES = "/api/v4/leads/pipelines"
TASK_TYPES = ((1, "Связаться", "FOLLOW_UP"), (2, "Встреча", "MEETING"))
ADMIN_ROLE_ID = 107_995


def stable_uuid(world: World, what: str) -> str:
    """A UUID that is the same on every start."""
    return str(uuid5(NAMESPACE_URL, f"amocrm/{world.account_id}/{what}"))


def account(world: World, call: Call) -> Reply:
    with_ = call.with_
    body: dict[str, Any] = {
        "id": world.account_id,
        "name": world.portal.name,
        "subdomain": world.subdomain,
        "current_user_id": call.user_id,
        "country": "RU",
        "currency": world.portal.currency,
        "currency_symbol": "₽",
        "customers_mode": "disabled",
        "is_unsorted_on": True,
        "is_loss_reason_enabled": True,
        "is_helpbot_enabled": False,
        "is_technical_account": False,
        "contact_name_display_order": 1,
    }
    optional: dict[str, Any] = {
        "amojo_id": stable_uuid(world, "amojo"),
        "uuid": stable_uuid(world, "account"),
        "drive_url": world.base_url,
        "version": 16,
        "is_api_filter_enabled": world.switches.filters_paid,
        "entity_names": {"leads": {"ru": {"gender": "f", "singular_form": {"default": "сделка"}}}},
        "invoices_settings": {"lang": "ru", "invoices_catalog_id": None},
    }
    body |= {key: value for key, value in optional.items() if key in with_}
    body["_links"] = world.link("/api/v4/account")
    embedded = {key: value for key, value in _account_embedded(world).items() if key in with_}
    if embedded:
        body["_embedded"] = embedded
    return hal(body)


def _account_embedded(world: World) -> dict[str, Any]:
    offset = datetime.now(ZoneInfo(world.portal.timezone)).strftime("%z")
    return {
        "amojo_rights": {"can_direct": True, "can_create_groups": True},
        "users_groups": [{"id": 0, "name": "Отдел продаж", "uuid": None}],
        "task_types": [
            {"id": i, "name": name, "color": None, "icon_id": None, "code": code}
            for i, name, code in TASK_TYPES
        ],
        "datetime_settings": {
            "date_pattern": "d.m.Y H:i",
            "short_date_pattern": "d.m.Y",
            "short_time_pattern": "H:i",
            "date_formant": "d.m.Y",
            "time_format": "H:i:s",
            "timezone": world.portal.timezone,
            "timezone_offset": f"{offset[:3]}:{offset[3:]}",
        },
    }


def _rights(is_admin: bool) -> dict[str, Any]:
    letter = "A" if is_admin else "M"
    entity = {"view": letter, "edit": letter, "add": "A", "delete": letter, "export": letter}
    return {
        "leads": entity,
        "contacts": entity,
        "companies": entity,
        "tasks": {"edit": "A", "delete": "A"},
        "mail_access": False,
        "catalog_access": True,
        "status_rights": [],
    }


def _user(world: World, user: User, with_: set[str]) -> dict[str, Any]:
    rights = {
        **_rights(user.is_admin),
        "is_admin": user.is_admin,
        "is_free": False,
        "is_active": user.is_active,
        "group_id": None,
        "role_id": None if user.is_admin else ADMIN_ROLE_ID,
    }
    body: dict[str, Any] = {
        "id": user.id,
        "name": " ".join(part for part in (user.name, user.last_name) if part),
        "email": user.email,
        "lang": "ru",
        "rights": rights,
    }
    optional = {
        "uuid": stable_uuid(world, f"user/{user.id}"),
        "amojo_id": stable_uuid(world, f"amojo/{user.id}"),
        "user_rank": "master",
        "phone_number": None,
    }
    body |= {key: value for key, value in optional.items() if key in with_}
    body["_links"] = world.link(f"/api/v4/users/{user.id}")
    role = {"id": ADMIN_ROLE_ID, "name": "Менеджер", "_links": world.link(f"/api/v4/roles/{ADMIN_ROLE_ID}")}
    embedded: dict[str, Any] = {}
    if "role" in with_:
        embedded["roles"] = [] if user.is_admin else [role]
    if "group" in with_:
        embedded["groups"] = [{"id": 0, "name": "Отдел продаж"}]
    if embedded:
        body["_embedded"] = embedded
    return body


def users(world: World, call: Call) -> Reply:
    rows = sorted(world.portal.users.values(), key=lambda u: u.id)
    return page_reply(call, world.base_url, "users", rows, lambda u: _user(world, u, call.with_), totals=True)


def one_user(world: World, call: Call, user_id: int) -> Reply:
    user = world.user(user_id)
    if user is None:
        raise not_found("User not found")
    return hal(_user(world, user, call.with_))


def _role(world: World, with_: set[str]) -> dict[str, Any]:
    body = {
        "id": ADMIN_ROLE_ID,
        "name": "Менеджер",
        "rights": _rights(False),
        "_links": world.link(f"/api/v4/roles/{ADMIN_ROLE_ID}"),
    }
    if "users" in with_:
        members = [u.id for u in world.portal.users.values() if not u.is_admin]
        body["_embedded"] = {"users": members}
    return body


def roles(world: World, call: Call) -> Reply:
    return page_reply(call, world.base_url, "roles", [0], lambda _: _role(world, call.with_), totals=True)


def one_role(world: World, call: Call, role_id: int) -> Reply:
    if role_id != ADMIN_ROLE_ID:
        raise not_found("Role not found")
    return hal(_role(world, call.with_))


def _status(world: World, pipeline: Pipeline, stage: Stage, with_: set[str]) -> dict[str, Any]:
    is_unsorted = stage.name == UNSORTED_NAME
    system = {WON: (10_000, "#CCFF66"), LOST: (11_000, "#D5D8DB")}.get(int(stage.code))
    sort, color = system or ((10, "#c1c1c1") if is_unsorted else (stage.sort, stage.color))
    body = {
        "id": int(stage.code),
        "name": stage.name,
        "sort": sort,
        "is_editable": not is_unsorted and system is None,
        "pipeline_id": pipeline.id,
        "color": color,
        "type": 1 if is_unsorted else 0,
        "account_id": world.account_id,
        "_links": world.link(f"{PIPELINES}/{pipeline.id}/statuses/{stage.code}"),
    }
    if "descriptions" in with_:
        body["descriptions"] = []
    return body


def _statuses(world: World, pipeline: Pipeline, with_: set[str]) -> list[dict[str, Any]]:
    with world.portal.lock:
        unsorted = world.unsorted_stage(pipeline)
        stages = [unsorted, *(stage for stage in pipeline.stages if stage is not unsorted)]
        models = [_status(world, pipeline, stage, with_) for stage in stages]
    return sorted(models, key=lambda m: m["sort"])


def _pipeline(world: World, pipeline: Pipeline, with_: set[str]) -> dict[str, Any]:
    return {
        "id": pipeline.id,
        "name": pipeline.name,
        "sort": pipeline.sort,
        "is_main": pipeline.is_main,
        "is_unsorted_on": True,
        "is_archive": False,
        "account_id": world.account_id,
        "_links": world.link(f"{PIPELINES}/{pipeline.id}"),
        "_embedded": {"statuses": _statuses(world, pipeline, with_)},
    }


def pipelines(world: World, call: Call) -> Reply:
    models = [_pipeline(world, pipeline, call.with_) for pipeline in world.pipelines()]
    return whole_reply(world.base_url, PIPELINES, "pipelines", models)


def _known(world: World, pipeline_id: int) -> Pipeline:
    found = world.portal.pipelines.get(pipeline_id)
    if found is None:
        raise not_found("Pipeline not found")
    return found


def one_pipeline(world: World, call: Call, pipeline_id: int) -> Reply:
    return hal(_pipeline(world, _known(world, pipeline_id), call.with_))


def add_pipelines(world: World, call: Call) -> Reply:
    kinds = {"name": STRING, "sort": INT, "is_main": BOOL, "is_unsorted_on": BOOL}
    batch = call.items(50).check(lambda item: check_types(item, kinds, required=kinds))
    models: list[dict[str, Any]] = []
    with world.portal.lock:
        for name, item in batch:
            pipeline_id = max(world.portal.pipelines, default=3_000_000) + 1
            made = Pipeline(pipeline_id, item["name"], item["sort"], [], item["is_main"])
            _add_stages(world, made, item)
            if made.is_main:
                for other in world.portal.pipelines.values():
                    other.is_main = False
            world.portal.pipelines[pipeline_id] = made
            world.portal.revision += 1
            models.append({**_pipeline(world, made, set()), "request_id": name})
    return whole_reply(world.base_url, PIPELINES, "pipelines", models)


def _add_stages(world: World, pipeline: Pipeline, item: dict[str, Any]) -> None:
    embedded = item.get("_embedded")
    wanted = embedded.get("statuses") if isinstance(embedded, dict) else None
    rows = [row for row in wanted or () if isinstance(row, dict)]
    names = {row.get("id"): str(row.get("name")) for row in rows}
    for index, row in enumerate(rows):
        if row.get("id") not in (WON, LOST):
            sort = row.get("sort") if isinstance(row.get("sort"), int) else 20 + index * 10
            code = str(world.portal.new_id("amocrm_status", 40_000_001))
            color = str(row.get("color") or "#fffeb2")
            pipeline.stages.append(
                Stage(code, pipeline.id, str(row.get("name") or ""), sort, "open", color)  # type: ignore[arg-type]
            )
    for code_number, title, sort, kind, color in (
        (WON, "Успешно реализовано", 10_000, "won", "#CCFF66"),
        (LOST, "Закрыто и не реализовано", 11_000, "lost", "#D5D8DB"),
    ):
        name = names.get(code_number, title)
        pipeline.stages.append(Stage(str(code_number), pipeline.id, name, sort, kind, color))


def statuses(world: World, call: Call, pipeline_id: int) -> Reply:
    models = _statuses(world, _known(world, pipeline_id), call.with_)
    return whole_reply(world.base_url, f"{PIPELINES}/{pipeline_id}/statuses", "statuses", models)


def one_status(world: World, call: Call, pipeline_id: int, status_id: int) -> Reply:
    found = [m for m in _statuses(world, _known(world, pipeline_id), call.with_) if m["id"] == status_id]
    if not found:
        raise not_found("Status not found")
    return hal(found[0])


def loss_reasons(world: World, call: Call) -> Reply:
    rows = sorted(world.portal.loss_reasons)
    return page_reply(
        call, world.base_url, "loss_reasons", rows, lambda i: loss_reason_model(world, i), totals=True
    )


def one_loss_reason(world: World, call: Call, reason_id: int) -> Reply:
    if reason_id not in world.portal.loss_reasons:
        raise not_found("Loss reason not found")
    return hal(loss_reason_model(world, reason_id))


def sources(world: World, call: Call) -> Reply:
    """The integration's own sources: the account's channels as this API shows them."""
    found = world.fields.by_code("leads", "SOURCE")
    codes = {name: code for code, name in world.portal.channels.items()}
    wanted = set(strings(call.filter.get("external_id")))
    models: list[dict[str, Any]] = [
        {
            "id": enum.id,
            "name": enum.value,
            "pipeline_id": world.main_pipeline().id,
            "external_id": codes.get(enum.value, enum.value),
            "default": False,
            "origin_code": None,
            "services": [],
            "_links": world.link(f"/api/v4/sources/{enum.id}"),
        }
        for enum in (found.enums if found else ())
        if not wanted or codes.get(enum.value, enum.value) in wanted
    ]
    return whole_reply(world.base_url, "/api/v4/sources", "sources", models)


def nothing(world: World, call: Call, **_: Any) -> Reply:
    """Lists that this account has empty: talks, subscriptions, customers, widgets, bots."""
    return no_content()


ROUTES = [
    Route("GET", "/api/v4/account", account),
    Route("GET", "/api/v4/users", users),
    Route("GET", "/api/v4/users/<int:user_id>", one_user),
    Route("GET", "/api/v4/roles", roles),
    Route("GET", "/api/v4/roles/<int:role_id>", one_role),
    Route("GET", PIPELINES, pipelines),
    Route("POST", PIPELINES, add_pipelines),
    Route("GET", f"{PIPELINES}/<int:pipeline_id>", one_pipeline),
    Route("GET", f"{PIPELINES}/<int:pipeline_id>/statuses", statuses),
    Route("GET", f"{PIPELINES}/<int:pipeline_id>/statuses/<int:status_id>", one_status),
    Route("GET", "/api/v4/leads/loss_reasons", loss_reasons),
    Route("GET", "/api/v4/leads/loss_reasons/<int:reason_id>", one_loss_reason),
    Route("GET", "/api/v4/sources", sources),
    Route("GET", "/api/v4/widgets", nothing),
    Route("GET", "/api/v4/customers", nothing),
    Route("GET", "/api/v4/leads/<int:lead_id>/subscriptions", nothing),
]
