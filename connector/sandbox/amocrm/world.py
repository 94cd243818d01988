"""The account behind the API: the portal plus what only amoCRM has (tags with ids, authors, field ids).

Every handler gets the `World`; it holds no HTTP and renders no entity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from connector.sandbox.amocrm.field_values import ValueCodec
from connector.sandbox.amocrm.fields import TAGS_KEY, FieldBook
from connector.sandbox.amocrm.request import Call
from connector.sandbox.amocrm.switches import Switches
from connector.sandbox.amocrm.wire import Reply, Violation, not_a_choice, unix
from connector.sandbox.state import Change, EntityType, Pipeline, Portal, Stage, User
from connector.sandbox.table import Tracked

if TYPE_CHECKING:
    from connector.sandbox.amocrm.products import Shelf

#: amoCRM's collection names and the portal's words for them.
ENTITIES: dict[str, EntityType] = {"leads": "deal", "contacts": "contact", "companies": "company"}
COLLECTIONS: dict[str, str] = {value: key for key, value in ENTITIES.items()}
SINGULAR: dict[str, str] = {"leads": "lead", "contacts": "contact", "companies": "company", "tasks": "task"}

WON, LOST = 142, 143
UNSORTED_NAME = "Неразобранное"

Handler = Callable[..., Reply]


@dataclass(frozen=True, slots=True)
class Route:
    """`rule` is a werkzeug path; its variables are handed to `handler` by name after world and call."""

    method: str
    rule: str
    handler: Handler


@dataclass(slots=True)
class Tag:
    id: int
    name: str
    color: str | None = None


@dataclass(slots=True)
class World:
    """One account. `api_user_id` is the admin who owns the long-lived token."""

    portal: Portal
    base_url: str
    account_id: int
    subdomain: str
    switches: Switches = field(default_factory=Switches)
    fields: FieldBook = field(init=False)
    codec: ValueCodec = field(init=False)
    shelf: Shelf = field(init=False)
    #: (entity, id) -> who made it, who changed it last; the portal keeps this for deals only.
    authors: Tracked[tuple[str, int], tuple[int, int]] = field(default_factory=Tracked)
    tags: dict[str, dict[str, Tag]] = field(default_factory=dict)
    #: What the portal has no place for: a task's duration, a note's responsible user, pinned notes.
    durations: dict[int, int] = field(default_factory=dict)
    note_responsible: dict[int, int] = field(default_factory=dict)
    pinned_notes: set[int] = field(default_factory=set)
    #: Pipelines without «incoming leads», and what the stages say to people, by pipeline and stage.
    unsorted_off: set[int] = field(default_factory=set)
    stage_texts: dict[tuple[int, str], list[dict[str, Any]]] = field(default_factory=dict)
    customers_mode: str = "disabled"
    #: Contacts of incoming leads, which people see only once those are accepted.
    hidden_contacts: set[int] = field(default_factory=set)
    #: Carries what is told to subscribers besides the portal's own changes: code, then the body's block.
    announce: Callable[[str, Mapping[str, Any]], None] = field(default=lambda _, __: None, repr=False)
    #: Carries what is written into the event log besides that; set by the log.
    record: Callable[..., None] = field(default=lambda *_, **__: None, repr=False)
    _unsorted: dict[int, Stage] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from connector.sandbox.amocrm.products import Shelf

        self.fields = FieldBook(self.portal)
        self.codec = ValueCodec(self.fields, self.portal.timezone)
        self.shelf = Shelf(self)
        self.portal.listen(self._remember_author)

    @property
    def api_user_id(self) -> int:
        admins = [u.id for u in self.portal.users.values() if u.is_admin and u.is_active]
        return min(admins or list(self.portal.users) or [0])

    @property
    def host(self) -> str:
        """The account's own host, with a port where it has one."""
        return urlsplit(self.base_url).netloc

    @property
    def shard_host(self) -> str:
        """The host that answers wherever the account moves (claim `api_domain`).

        In life one for many accounts; here another name where the account has a name at all.
        """
        parts = self.host.split(".")
        is_named = len(parts) == 3 and not parts[-1][:1].isdigit()
        return ".".join(("api-a", *parts[1:])) if is_named else self.host

    def link(self, path: str) -> dict[str, Any]:
        """`_links` with the absolute address of `path`."""
        return {"self": {"href": self.base_url + path}}

    def now(self) -> int:
        return int(self.portal.now().timestamp())

    def author(self, entity: str, row: Any) -> tuple[int, int]:
        """Who made `row` and who changed it last; the responsible user where nothing is known."""
        known = self.authors.get((entity, row.id))
        return known or (row.responsible_id, row.responsible_id)

    def _remember_author(self, change: Change) -> None:
        key = (change.entity, change.entity_id)
        known = self.authors.get(key)
        if known is not None:
            made_by = known[0]
        else:
            made_by = change.by if change.action == "add" else getattr(change.before, "responsible_id", 0)
        self.authors[key] = (made_by, change.by)

    def tag(self, entity: str, name: str, color: str | None = None) -> Tag:
        """The tag of that name, made when there is none (names are unique per entity type)."""
        with self.portal.lock:
            table = self.tags.setdefault(entity, {})
            if name not in table:
                table[name] = Tag(self.portal.new_id("amocrm_tag", 100_001), name, color)
            return table[name]

    def tags_of(self, entity: str, row: Any) -> list[str]:
        names = row.tags if entity in ("leads", "customers") else row.fields.get(TAGS_KEY, [])
        return list(names)

    def tag_models(self, entity: str, row: Any) -> list[dict[str, Any]]:
        found = [self.tag(entity, name) for name in self.tags_of(entity, row)]
        return [{"id": t.id, "name": t.name, "color": t.color} for t in found]

    def tag_name(self, entity: str, item: Any) -> str | None:
        """The name of a written `{id}` or `{name}`; None when it names no tag."""
        if not isinstance(item, dict):
            return None
        if isinstance(item.get("name"), str) and item["name"]:
            return self.tag(entity, item["name"]).name
        return next((t.name for t in self.tags.get(entity, {}).values() if t.id == item.get("id")), None)

    def new_tags(self, entity: str, row: Any, item: dict[str, Any]) -> list[str] | None:
        """The full set after a write; None when the write does not speak of tags.

        `_embedded.tags` replaces (null clears), `tags_to_add` and `tags_to_delete` change it.
        """
        embedded = item.get("_embedded")
        names = self.tags_of(entity, row) if row is not None else []
        replaces = isinstance(embedded, dict) and "tags" in embedded
        if not replaces and not ({"tags_to_add", "tags_to_delete"} & item.keys()):
            return None
        if replaces:
            names = self._tag_names(entity, embedded["tags"])  # type: ignore[index]
        removed = set(self._tag_names(entity, item.get("tags_to_delete")))
        added = self._tag_names(entity, item.get("tags_to_add"))
        return list(dict.fromkeys([name for name in names if name not in removed] + added))

    def _tag_names(self, entity: str, items: Any) -> list[str]:
        names = [self.tag_name(entity, item) for item in items or ()]
        return [name for name in names if name]

    def check_tags(self, entity: str, item: dict[str, Any]) -> list[Violation]:
        """Tags that are given by an id nobody has, or by nothing."""
        embedded = item.get("_embedded")
        groups: list[tuple[str, Any]] = [(key, item.get(key)) for key in ("tags_to_add", "tags_to_delete")]
        if isinstance(embedded, dict):
            groups.append(("_embedded.tags", embedded.get("tags")))
        found = []
        known = {tag.id for tag in self.tags.get(entity, {}).values()}
        for path, items in groups:
            for index, tag in enumerate(items if isinstance(items, list) else ()):
                named = isinstance(tag, dict) and (tag.get("name") or tag.get("id") in known)
                if not named:
                    found.append(not_a_choice(f"{path}.{index}.id"))
        return found

    def check_user(self, item: dict[str, Any], key: str) -> list[Violation]:
        """A user id must be known; 0 (the robot) and null pass."""
        value = item.get(key)
        return [not_a_choice(key)] if value and value not in self.portal.users else []

    def pipelines(self) -> list[Pipeline]:
        return sorted(self.portal.pipelines.values(), key=lambda p: (p.sort, p.id))

    def main_pipeline(self) -> Pipeline:
        return next((p for p in self.pipelines() if p.is_main), self.pipelines()[0])

    def unsorted_stage(self, pipeline: Pipeline, *, insert: bool = False) -> Stage:
        """The «incoming leads» status of a pipeline; `insert` puts it on the board for a lead."""
        with self.portal.lock:
            found = next((s for s in pipeline.stages if s.name == UNSORTED_NAME), None)
            if found is None:
                found = self._unsorted.get(pipeline.id)
            if found is None:
                code = str(self.portal.new_id("amocrm_unsorted", 30_000_001))
                found = self._unsorted[pipeline.id] = Stage(
                    code, pipeline.id, UNSORTED_NAME, 10, "open", "#c1c1c1"
                )
            if insert and found not in pipeline.stages:
                pipeline.stages.insert(0, found)
            return found

    def first_stage(self, pipeline: Pipeline) -> Stage:
        """Where a deal starts: the first open stage that is not «incoming leads»."""
        stages = sorted(pipeline.stages, key=lambda s: s.sort)
        return next((s for s in stages if s.kind == "open" and s.name != UNSORTED_NAME), stages[0])

    def rows(self, collection: str) -> dict[int, Any]:
        """The portal's table behind a collection."""
        tables: dict[str, dict[int, Any]] = {
            "leads": self.portal.deals,
            "contacts": self.portal.contacts,
            "companies": self.portal.companies,
        }
        return tables.get(collection, {})

    def row(self, collection: str, entity_id: object) -> Any:
        """The live entity; None when there is none or it is in the trash."""
        found = self.rows(collection).get(entity_id) if isinstance(entity_id, int) else None
        return None if found is None or getattr(found, "is_deleted", False) else found

    def closest_task(self, entity: EntityType, entity_id: int) -> datetime | None:
        """The next open task's due time."""
        tasks, ids = self.portal.tasks, self.portal.index.open_tasks.of(entity, entity_id)
        return min((tasks[i].due_at for i in ids), default=None)

    def found(self, call: Call, search: Callable[[], Sequence[Any]]) -> Sequence[Any]:
        """The rows of a list, searched once for all its pages."""
        query = {key: value for key, value in call.query.items() if key not in ("page", "limit")}
        key = (call.path, repr(query), repr(self.switches))
        # Under the lock no change is half told: what listeners keep belongs to the revision too.
        with self.portal.lock:
            return self.portal.queries.rows(key, search)

    def user(self, user_id: int) -> User | None:
        return self.portal.users.get(user_id)


def minimal(world: World, path: str, row_id: int, **extra: Any) -> dict[str, Any]:
    """What a write answers about one entity."""
    return {"id": row_id, **extra, "_links": world.link(f"{path}/{row_id}")}


def updated(row: Any) -> int:
    return unix(row.updated_at) or 0


def query_matches(text: str, haystack: Iterable[str]) -> bool:
    """`query=`: a part of any filled text, letter case aside."""
    needle = text.strip().casefold()
    return not needle or any(needle in part.casefold() for part in haystack)


def author_of(call: Call, item: dict[str, Any], key: str = "created_by") -> int:
    """Who a write is by: the body's own word (0 is the robot), else the token's owner."""
    given = item.get(key)
    return given if isinstance(given, int) and not isinstance(given, bool) else call.user_id
