"""Paging, order and links of list answers.

Source: reference 3: no `next` on the last page, 204 for an empty one, brackets percent-encoded in links.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from connector.sandbox.amocrm.php import build_query
from connector.sandbox.amocrm.request import Call, integers
from connector.sandbox.amocrm.wire import Reply, hal, no_content

T = TypeVar("T")

DEFAULT_LIMIT = 50
MAX_LIMIT = 250


def limit_of(call: Call, maximum: int = MAX_LIMIT, too_many: int | None = None) -> int:
    """Rows a page: 50 unless told, at most `maximum`; asking for more gives `too_many` (events: 50)."""
    asked = integers(call.text("limit"))
    if not asked or asked[0] < 1:
        return DEFAULT_LIMIT
    if asked[0] > maximum:
        return maximum if too_many is None else too_many
    return asked[0]


def page_of(call: Call) -> int:
    asked = integers(call.text("page"))
    return max(1, asked[0]) if asked else 1


def ordered(call: Call, rows: Sequence[T], keys: Mapping[str, Callable[[T], Any]]) -> list[T]:
    """`rows` by `order[field]=asc|desc`; an order that the entity does not know is ignored."""
    order = call.query.get("order")
    result = list(rows)
    wanted = order.items() if isinstance(order, dict) else ()
    for name, direction in reversed(list(wanted)):
        key = keys.get(name)
        if key is not None:
            result.sort(key=key, reverse=str(direction).lower() == "desc")
    return result


def page_reply(
    call: Call,
    base_url: str,
    key: str,
    rows: Sequence[T],
    model: Callable[[T], dict[str, Any]],
    *,
    maximum: int = MAX_LIMIT,
    too_many: int | None = None,
    totals: bool = False,
) -> Reply:
    """One page of `rows`; only its rows are turned into models. `totals` adds the counts some lists carry."""
    page, limit = page_of(call), limit_of(call, maximum, too_many)
    start = (page - 1) * limit
    chosen = rows[start : start + limit]
    if not chosen:
        return no_content()
    pages = -(-len(rows) // limit)
    links = _links(call, base_url, page, limit, pages)
    if totals and page < pages:
        links["last"] = {"href": _href(call, base_url, pages, limit)}
    body: dict[str, Any] = {"_total_items": len(rows)} if totals else {}
    body["_page"] = page
    if totals:
        body["_page_count"] = pages
    body["_links"] = links
    body["_embedded"] = {key: [model(row) for row in chosen]}
    return hal(body)


def whole_reply(base_url: str, path: str, key: str, models: Sequence[dict[str, Any]]) -> Reply:
    """A list without pages: pipelines, statuses, links, sources."""
    if not models:
        return no_content()
    return hal(
        {
            "_total_items": len(models),
            "_links": {"self": {"href": base_url + path}},
            "_embedded": {key: list(models)},
        }
    )


def _links(call: Call, base_url: str, page: int, limit: int, pages: int) -> dict[str, Any]:
    links = {"self": {"href": _href(call, base_url, page, limit)}}
    if page < pages:
        links["next"] = {"href": _href(call, base_url, page + 1, limit)}
    if page > 1:
        links["first"] = {"href": _href(call, base_url, 1, limit)}
        links["prev"] = {"href": _href(call, base_url, page - 1, limit)}
    return links


def _href(call: Call, base_url: str, page: int, limit: int) -> str:
    query = {key: value for key, value in call.query.items() if key not in ("page", "limit")}
    return f"{base_url}{call.path}?{build_query({**query, 'page': page, 'limit': limit})}"
