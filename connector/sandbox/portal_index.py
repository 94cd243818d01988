"""Who belongs to whom in a portal: what a list or a card asks, without looking through every row.

Each index is made when it is first asked and kept up by listening to the portal. Knows no dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connector.sandbox.state import Change, Contact, Deal, EntityType, Note, Portal, Task


class Index:
    """Ids of the rows of one entity by `keys_of` them."""

    def __init__(
        self, portal: Portal, entity: EntityType, keys_of: Callable[[Any], Iterable[Hashable]]
    ) -> None:
        self._portal = portal
        self._entity = entity
        self._keys_of = keys_of
        self._ids: dict[Hashable, set[int]] | None = None

    def of(self, *key: Hashable) -> list[int]:
        """Ids under that key, ascending."""
        with self._portal.lock:
            if self._ids is None:
                self._ids = {}
                for row in self._portal.table(self._entity).values():
                    self._add(row)
            return sorted(self._ids.get(key, ()))

    def forget(self) -> None:
        """The rows were exchanged: look through them again when asked."""
        self._ids = None

    def hear(self, change: Change) -> None:
        if self._ids is None or change.entity != self._entity:
            return
        for key in self._keys_of(change.before) if change.before is not None else ():
            self._ids.get(key, set()).discard(change.entity_id)
        if change.action != "delete":
            self._add(change.after)

    def _add(self, row: Any) -> None:
        if self._ids is not None:
            for key in self._keys_of(row):
                self._ids.setdefault(key, set()).add(row.id)


class Indexes:
    """The indexes of one portal. Deals in the trash are in none."""

    def __init__(self, portal: Portal) -> None:
        self.notes = Index(portal, "note", _owner)
        self.tasks = Index(portal, "task", _owner)
        self.open_tasks = Index(portal, "task", lambda task: () if task.is_done else _owner(task))
        self.contacts_of_company = Index(portal, "contact", _company)
        self.deals_of_contact = Index(portal, "deal", _contacts)
        self.deals_of_company = Index(portal, "deal", lambda deal: () if deal.is_deleted else _company(deal))
        portal.listen(self._hear)

    def forget(self) -> None:
        for index in self._all():
            index.forget()

    def _hear(self, change: Change) -> None:
        for index in self._all():
            index.hear(change)

    def _all(self) -> list[Index]:
        return list(vars(self).values())


def _owner(row: Note | Task) -> Iterable[Hashable]:
    return () if row.entity is None or row.entity_id is None else ((row.entity, row.entity_id),)


def _company(row: Contact | Deal) -> Iterable[Hashable]:
    return () if row.company_id is None else ((row.company_id,),)


def _contacts(deal: Deal) -> Iterable[Hashable]:
    return () if deal.is_deleted else ((contact_id,) for contact_id in deal.contact_ids)
