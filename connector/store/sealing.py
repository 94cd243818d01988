"""Secrets at rest: JSON that only who has `SECRET_KEY` can read. Knows no table.

Fernet (AES-128-CBC with HMAC-SHA256, by the library `cryptography`): the first key encrypts, all of them
decrypt, so that a key is changed by writing the new one before the old one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from connector.errors import ConfigError, Problem


def new_key() -> str:
    """A fresh key, as `SECRET_KEY` wants it."""
    return Fernet.generate_key().decode()


class Sealer:
    """Encrypts what belongs to one account so that it cannot be taken for another one's."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernets = tuple(Fernet(key) for key in keys)

    def __repr__(self) -> str:
        return f"Sealer({len(self._fernets)} keys)"

    def seal(self, account: str, secrets: Mapping[str, str]) -> str:
        """`secrets` as text that tells nothing. ConfigError without a key."""
        if not self._fernets:
            message = "не задана: без неё токены CRM негде хранить; её создаст connector connect"
            raise ConfigError([Problem("SECRET_KEY", message)])
        said = json.dumps({"account": account, "secrets": dict(secrets)}, ensure_ascii=False)
        return self._fernets[0].encrypt(said.encode()).decode()

    def open(self, account: str, sealed: str) -> dict[str, str]:
        """What was sealed for that account. ConfigError when no key fits, or it was sealed for another."""
        try:
            said = json.loads(MultiFernet(self._fernets).decrypt(sealed.encode())) if self._fernets else {}
        except (InvalidToken, ValueError):
            said = {}
        if said.get("account") != account:
            what = "не подходит к токенам" if self._fernets else "не задана, а в хранилище есть токены"
            raise ConfigError(
                [
                    Problem(
                        "SECRET_KEY",
                        f"{what} аккаунта {account}: верните прежний ключ (можно вторым, через запятую) "
                        "или дайте согласие заново: connector connect",
                    )
                ]
            )
        return {str(name): str(value) for name, value in said["secrets"].items()}

    def is_newest(self, sealed: str) -> bool:
        """Whether the first key alone opens it."""
        try:
            self._fernets[0].decrypt(sealed.encode())
        except (InvalidToken, IndexError):
            return False
        return True
