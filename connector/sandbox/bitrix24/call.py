"""A call of a method: who calls, with what; and the table where modules enter their methods."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from connector.sandbox.bitrix24.filters import Columns, Predicate, always, compile_filter, sort_rows
from connector.sandbox.bitrix24.params import Params, as_list, as_map
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.wire import RestError, missing_parameter, parse_int
from connector.sandbox.state import User

PAGE_SIZE = 50
#: Parameters that choose a page or a view of what a list found.
_NOT_OF_QUERY = frozenset({"start", "select", "auth", "access_token", "filter", "order"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. kind: webhook | app; `id` tells two webhooks or applications apart."""

    kind: Literal["webhook", "app"]
    id: str
    user_id: int
    scopes: frozenset[str]

    def has_scope(self, needed: str) -> bool:
        """Whether the scope is granted; the narrower scopes of users open the same methods."""
        narrower = {"user_basic", "user_brief"} if needed == "user" else set()
        return not needed or needed in self.scopes or bool(self.scopes & narrower)


@dataclass(frozen=True, slots=True)
class Page:
    """The answer of a list method. `next` only when another page exists; total 0 when not counted."""

    result: Any
    total: int | None = None
    next: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a method came to, with its time block."""

    page: Page
    time: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `nested` carries out a further method on behalf of the same caller
    (batch); `methods` are all there are.
    """

    site: Site
    caller: Caller
    method: str
    params: Params
    nested: Callable[[str, dict[str, Any]], Outcome]
    methods: Mapping[str, Method]

    @property
    def user_id(self) -> int:
        return self.caller.user_id

    @property
    def user(self) -> User:
        user = self.site.portal.users.get(self.user_id)
        return user or User(self.user_id, "REST", "", "")

    def require(self, name: str) -> Any:
        """A parameter that must be there; error 100 otherwise."""
        if self.params.get(name) is None:
            raise missing_parameter(name)
        return self.params[name]

    def require_map(self, name: str) -> dict[str, Any]:
        return as_map(self.require(name))

    def id(self, name: str = "id") -> int:
        """The id in that parameter; the classic error when it is no positive number."""
        value = parse_int(self.params.get(name))
        if value is None or value < 0:
            raise RestError(400, "", "ID is not defined or invalid")
        return value

    def require_admin(self) -> None:
        if not self.user.is_admin:
            raise RestError(403, "ACCESS_DENIED", "Access denied!")


def page_of(
    call: Call,
    rows: Sequence[Any],
    columns: Columns,
    present: Callable[[list[Any]], Any],
    *,
    ascending_by: str = "",
    default_order: Mapping[str, str] | None = None,
    filter_: Any = None,
    keep: Predicate | None = None,
) -> Page:
    """Filter, sort and cut `rows` as the call asks; `start=-1` counts nothing and names no next page.

    ascending_by: the name of the id by which the rows ascend already, which makes keyset paging cheap.
    keep: rows that do not hold are not there at all.
    """
    wanted = filter_ if filter_ is not None else call.params.get("filter")
    matches = compile_filter(wanted, columns)
    order = as_map(call.params.get("order")) or default_order or {}
    is_natural = bool(ascending_by) and (not order or _is_ascending(order, ascending_by))
    start = parse_int(call.params.get("start")) or 0

    def matching() -> Iterable[Any]:
        near = _after_key(rows, as_map(wanted), columns, ascending_by)
        kept = near if keep is None else filter(keep, near)
        return kept if matches is always else filter(matches, kept)

    def search() -> list[Any]:
        return list(matching()) if is_natural else sort_rows(list(matching()), order, columns)

    if start < 0 and is_natural:
        return Page(present(list(islice(matching(), PAGE_SIZE))), total=0)
    found = call.site.portal.queries.rows(_query(call, wanted, order), search)
    if start < 0:
        return Page(present(list(found[:PAGE_SIZE])), total=0)
    end = start + PAGE_SIZE
    return Page(present(list(found[start:end])), total=len(found), next=end if end < len(found) else None)


def _query(call: Call, wanted: Any, order: Mapping[str, Any]) -> str:
    """All that the rows of a list depend on, beside the portal."""
    rest = {name: call.params[name] for name in call.params if name.lower() not in _NOT_OF_QUERY}
    return repr((call.method, call.user_id, wanted, order, rest, call.site.switches))


def _is_ascending(order: Mapping[str, Any], name: str) -> bool:
    return list(order) == [name] and str(order[name]).upper() == "ASC"


def _after_key(rows: Sequence[Any], wanted: Mapping[str, Any], columns: Columns, name: str) -> Sequence[Any]:
    """The rows without those that `>id` and a list of ids leave out anyway: a portal has an index."""
    bound = parse_int(wanted.get(f">{name}"))
    named = wanted.get(f"@{name}")
    if named is not None and name and (column := columns.find(name)) is not None:
        ids = sorted({number for number in map(parse_int, as_list(named)) if number is not None})
        places = ((bisect_left(rows, one, key=column.read), one) for one in ids)
        return [rows[at] for at, one in places if at < len(rows) and column.read(rows[at]) == one]
    column = columns.find(name) if name and bound is not None else None
    if column is None or bound is None:
        return rows
    return rows[bisect_right(rows, bound, key=column.read) :]


def ids_in_filter(call: Call, name: str) -> set[int] | None:
    """Ids that the filter asks for under that name; None when it does not say."""
    for key, value in as_map(call.params.get("filter")).items():
        if key in {name, f"={name}", f"@{name}"}:
            return {number for number in map(parse_int, as_list(value)) if number is not None}
    return None


def selected(call: Call) -> list[str]:
    return [str(name) for name in as_list(call.params.get("select"))]


Handler = Callable[[Call], Any]


@dataclass(frozen=True, slots=True)
class Method:
    """One method. `app_only` names the error that a webhook gets; `any_case`: top-level parameter names."""

    name: str
    scope: str
    run: Handler
    app_only: Literal["", "WRONG_AUTH_TYPE", "ACCESS_DENIED"] = ""
    any_case: bool = True
    in_batch: bool = True


@dataclass(slots=True)
class MethodTable:
    """Methods of one module by their lower-case names."""

    methods: dict[str, Method] = field(default_factory=dict)

    def add(
        self,
        name: str,
        *,
        scope: str,
        app_only: Literal["", "WRONG_AUTH_TYPE", "ACCESS_DENIED"] = "",
        any_case: bool = True,
        in_batch: bool = True,
    ) -> Callable[[Handler], Handler]:
        def enter(run: Handler) -> Handler:
            self.methods[name.lower()] = Method(name, scope, run, app_only, any_case, in_batch)
            return run

        return enter
