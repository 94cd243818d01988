"""Deals with their contacts, read in bulk. Must not know how a CRM is asked for contacts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from connector.crm.ahead import in_order
from connector.domain import Contact, Deal

#: Deals that wait together for their contacts, however few these are.
MOST_DEALS = 2_000

DealWithContacts = tuple[Deal, tuple[Contact, ...]]


def with_contacts(
    deals: Iterable[Deal],
    read: Callable[[Sequence[str]], Iterable[Contact]],
    *,
    at_once: int,
    ahead: int,
) -> Iterator[DealWithContacts]:
    """The deals in their order, each with its contacts, the main one first; those that are gone are left out.

    `read` gets the ids of at most `at_once` contacts, or those of one deal, and is called by `ahead` threads.
    """

    def filled(group: list[Deal], ids: list[str]) -> list[DealWithContacts]:
        found = {contact.id: contact for contact in read(ids)} if ids else {}
        return [(deal, _contacts(deal, found)) for deal in group]

    tasks = (partial(filled, group, ids) for group, ids in _groups(deals, at_once))
    for group in in_order(tasks, ahead=ahead):
        yield from group


def _groups(deals: Iterable[Deal], at_once: int) -> Iterator[tuple[list[Deal], list[str]]]:
    """Deals that have so many contacts together, with the ids of these, each once."""
    group: list[Deal] = []
    ids: dict[str, None] = {}
    for deal in deals:
        new = sum(one not in ids for one in deal.contact_ids)
        if group and (len(ids) + new > at_once or len(group) >= MOST_DEALS):
            yield group, list(ids)
            group, ids = [], {}
        group.append(deal)
        ids |= dict.fromkeys(deal.contact_ids)
    if group:
        yield group, list(ids)


def _contacts(deal: Deal, found: dict[str, Contact]) -> tuple[Contact, ...]:
    """A deal's contact ids come with the main one first."""
    return tuple(
        replace(found[one], is_main=place == 0) for place, one in enumerate(deal.contact_ids) if one in found
    )
