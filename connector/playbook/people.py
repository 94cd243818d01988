"""Names that the head of sales wrote -> users of the CRM."""

from __future__ import annotations

from collections.abc import Iterable

from connector.domain import User
from connector.playbook.words import fold

#: `user: admin` means the first active administrator, so that a playbook works before names are known.
ADMIN = "admin"


def find_user(spec: str, users: Iterable[User]) -> User | None:
    """The user that `spec` means: `admin`, an id, a name or an e-mail; None when there is nobody.

    Of several with one name the active come first, then the one who was there earlier.
    """
    ordered = sorted(users, key=lambda user: (not user.is_active, *_age(user)))
    if fold(spec) == ADMIN:
        return next((user for user in ordered if user.is_admin and user.is_active), None)
    wanted = fold(spec)
    for field in ("id", "name", "email"):
        for user in ordered:
            if fold(getattr(user, field)) == wanted:
                return user
    return None


def _age(user: User) -> tuple[int, str]:
    """Ids grow: a shorter or smaller one is older."""
    return len(user.id), user.id
