"""Roles of the playbook -> where a report reaches those people: their CRM and their mail box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connector.domain import User
from connector.playbook.model import People
from connector.playbook.people import find_user


@dataclass(frozen=True, slots=True)
class Recipient:
    """One person. `user_id` None: not in the CRM; `email` "": no known address."""

    role: str
    user_id: str | None
    email: str


def resolve(people: People, users: Sequence[User]) -> dict[str, Recipient]:
    """Every role of `people`; a user who was dismissed is reached by an e-mail given by hand only."""
    return {role: _recipient(role, people, users) for role in people.roles}


def _recipient(role: str, people: People, users: Sequence[User]) -> Recipient:
    person = people.roles[role]
    user = find_user(person.user, users) if person.user else None
    if user is not None and not user.is_active:
        user = None
    email = person.email or (user.email if user else "")
    return Recipient(role, user.id if user else None, email)
