"""Users and roles: list, one, add; roles are changed and deleted too. Source: reference 2.2, 4.8."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from connector.sandbox.amocrm.access import refuse_external, require_admin
from connector.sandbox.amocrm.account import GROUP, groups, stable_uuid
from connector.sandbox.amocrm.lists import page_reply, whole_reply
from connector.sandbox.amocrm.request import BOOL, INT, OBJECT, STRING, Batch, Call, Kind, check_types
from connector.sandbox.amocrm.wire import (
    ApiError,
    Reply,
    Violation,
    blank,
    hal,
    no_content,
    not_a_choice,
    not_found,
    problem,
    wrong_type,
)
from connector.sandbox.amocrm.world import Route, World
from connector.sandbox.state import User

USERS, ROLES = "/api/v4/users", "/api/v4/roles"
FIRST_ROLE_ID = 107_995
#: Users a call, and how many users an account may have for this method to work.
MAX_NEW, MAX_USERS = 10, 100
_LETTERS = {"view": "AGMD", "edit": "AGMD", "add": "AD", "delete": "AGMD", "export": "AGMD"}
_USER: dict[str, Kind] = {
    "name": STRING,
    "email": STRING,
    "password": STRING,
    "lang": STRING,
    "rights": OBJECT,
}


@dataclass(slots=True)
class Role:
    id: int
    name: str
    rights: dict[str, Any] = field(default_factory=dict)


def usual_rights(*, is_admin: bool) -> dict[str, Any]:
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


class Staff:
    """Roles of the account and what its users were given; people themselves are the portal's."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.roles = {FIRST_ROLE_ID: Role(FIRST_ROLE_ID, "Менеджер", usual_rights(is_admin=False))}
        #: By user: the role (None: none), and rights given one by one.
        self._role_of: dict[int, int | None] = {}
        self._rights_of: dict[int, dict[str, Any]] = {}

    def role_of(self, user: User) -> int | None:
        default = None if user.is_admin else FIRST_ROLE_ID
        role_id = self._role_of.get(user.id, default)
        return role_id if role_id in self.roles else None

    def _user(self, user: User, with_: set[str]) -> dict[str, Any]:
        world, role_id = self._world, self.role_of(user)
        given = self.roles[role_id].rights if role_id is not None else usual_rights(is_admin=user.is_admin)
        rights = {
            **given,
            **self._rights_of.get(user.id, {}),
            "is_admin": user.is_admin,
            "is_free": False,
            "is_active": user.is_active,
            "group_id": None,
            "role_id": role_id,
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
        body["_links"] = world.link(f"{USERS}/{user.id}")
        embedded: dict[str, Any] = {}
        if "role" in with_:
            role = self.roles.get(role_id or 0)
            links = world.link(f"{ROLES}/{role_id}")
            embedded["roles"] = [{"id": role.id, "name": role.name, "_links": links}] if role else []
        if "group" in with_:
            group = groups(world).get(user.team, GROUP)
            embedded["groups"] = [{"id": group["id"], "name": group["name"]}]
        if embedded:
            body["_embedded"] = embedded
        return body

    def _let_in(self, world: World, call: Call) -> None:
        refuse_external(world)
        require_admin(world, call)

    def users(self, world: World, call: Call) -> Reply:
        self._let_in(world, call)
        rows = sorted(world.portal.users.values(), key=lambda u: u.id)
        return page_reply(
            call, world.base_url, "users", rows, lambda u: self._user(u, call.with_), totals=True
        )

    def one_user(self, world: World, call: Call, user_id: int) -> Reply:
        self._let_in(world, call)
        user = world.user(user_id)
        if user is None:
            raise not_found("User not found")
        return hal(self._user(user, call.with_))

    def add_users(self, world: World, call: Call) -> Reply:
        self._let_in(world, call)
        with world.portal.lock:
            if len(world.portal.users) > MAX_USERS:
                raise ApiError(problem(403, "Too many users"))
            batch = call.items(MAX_NEW).check(self._check_user)
            models = []
            for name, item in batch:
                user_id = max(world.portal.users, default=0) + 1
                first, _, last = item["name"].partition(" ")
                rights = item.get("rights") or {}
                user = User(user_id, first, last, item["email"], is_admin=rights.get("is_admin") is True)
                world.portal.users[user_id] = user
                self._role_of[user_id] = rights.get("role_id")
                self._rights_of[user_id] = {k: v for k, v in rights.items() if isinstance(v, dict)}
                models.append({**self._user(user, set()), "request_id": name})
            world.portal.revision += 1
        return _created(whole_reply(world.base_url, USERS, "users", models))

    def _check_user(self, item: dict[str, Any]) -> list[Violation]:
        found = check_types(item, _USER, required=("name", "email", "password"))
        if found:
            return found
        if "@" not in item["email"]:
            found.append(Violation("InvalidEmail", "email", "This value is not a valid email address."))
        if item["email"] in {user.email for user in self._world.portal.users.values()}:
            found.append(not_a_choice("email"))
        rights = item.get("rights")
        if not isinstance(rights, dict):
            return [*found, wrong_type("rights", "array")] if rights else found
        if rights.get("role_id") is not None and rights["role_id"] not in self.roles:
            found.append(not_a_choice("rights.role_id"))
        return found + _check_rights(rights)

    def list_roles(self, world: World, call: Call) -> Reply:
        self._let_in(world, call)
        rows = sorted(self.roles.values(), key=lambda r: r.id)
        return page_reply(
            call, world.base_url, "roles", rows, lambda r: self._role(r, call.with_), totals=True
        )

    def _role(self, role: Role, with_: set[str]) -> dict[str, Any]:
        body = {
            "id": role.id,
            "name": role.name,
            "rights": role.rights,
            "_links": self._world.link(f"{ROLES}/{role.id}"),
        }
        if "users" in with_:
            users = self._world.portal.users.values()
            body["_embedded"] = {"users": [u.id for u in users if self.role_of(u) == role.id]}
        return body

    def _known(self, role_id: int) -> Role:
        role = self.roles.get(role_id)
        if role is None:
            raise not_found("Role not found")
        return role

    def one_role(self, world: World, call: Call, role_id: int) -> Reply:
        self._let_in(world, call)
        return hal(self._role(self._known(role_id), call.with_))

    def add_roles(self, world: World, call: Call) -> Reply:
        self._let_in(world, call)
        with world.portal.lock:
            batch = call.items().check(lambda item: _check_role(item, is_new=True))
            models = []
            for name, item in batch:
                role = Role(max(self.roles, default=FIRST_ROLE_ID) + 1, item["name"])
                role.rights = {**usual_rights(is_admin=False), **(item.get("rights") or {})}
                self.roles[role.id] = role
                models.append({**self._role(role, set()), "request_id": name})
        return _created(whole_reply(world.base_url, ROLES, "roles", models))

    def change_role(self, world: World, call: Call, role_id: int) -> Reply:
        """202 with the whole model."""
        self._let_in(world, call)
        with world.portal.lock:
            role, item = self._known(role_id), call.item()
            Batch([item]).check(lambda body: _check_role(body, is_new=False))
            role.name = item.get("name", role.name)
            role.rights = {**role.rights, **(item.get("rights") or {})}
            return hal(self._role(role, set()), 202)

    def delete_role(self, world: World, call: Call, role_id: int) -> Reply:
        self._let_in(world, call)
        with world.portal.lock:
            self._known(role_id)
            del self.roles[role_id]
        return no_content()

    def routes(self) -> list[Route]:
        return [
            Route("GET", USERS, self.users),
            Route("POST", USERS, self.add_users),
            Route("GET", f"{USERS}/<int:user_id>", self.one_user),
            Route("GET", ROLES, self.list_roles),
            Route("POST", ROLES, self.add_roles),
            Route("GET", f"{ROLES}/<int:role_id>", self.one_role),
            Route("PATCH", f"{ROLES}/<int:role_id>", self.change_role),
            Route("DELETE", f"{ROLES}/<int:role_id>", self.delete_role),
        ]


def _created(reply: Reply) -> Reply:
    return Reply(201, reply.body, reply.content_type)


def _check_role(item: dict[str, Any], *, is_new: bool) -> list[Violation]:
    found = check_types(item, {"name": STRING, "rights": OBJECT}, required=("name",) if is_new else ())
    if not found and isinstance(item.get("rights"), list) and item["rights"]:
        found.append(wrong_type("rights", "array"))
    if found:
        return found
    if "name" in item and not item["name"].strip():
        found.append(blank("name"))
    return found + (_check_rights(item["rights"]) if isinstance(item.get("rights"), dict) else [])


def _check_rights(rights: dict[str, Any]) -> list[Violation]:
    found = check_types(
        rights,
        {"mail_access": BOOL, "catalog_access": BOOL, "is_admin": BOOL, "role_id": INT},
        prefix="rights.",
    )
    for entity in ("leads", "contacts", "companies"):
        given = rights.get(entity)
        for action, letter in given.items() if isinstance(given, dict) else ():
            if str(letter) not in tuple(_LETTERS.get(action, "")):
                found.append(not_a_choice(f"rights.{entity}.{action}"))
    return found
