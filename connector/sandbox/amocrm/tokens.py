"""The signed texts of OAuth: JWTs of every kind and the signature of the switch-off hook.

Pure; knows no account. Claim names of access tokens are unverified. Source: reference 1.4, 1.5, 1.7, 1.8.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

ACCESS_TTL = timedelta(hours=24)
#: The longest that the «Keys» tab offers.
LONG_LIVED_TTL = timedelta(days=5 * 365)
DISPOSABLE_TTL = timedelta(minutes=30)
SCOPES = ("crm", "files", "files_delete", "notifications", "push_notifications")

Algorithm = Literal["HS256", "HS512"]
_DIGESTS = {"HS256": hashlib.sha256, "HS512": hashlib.sha512}


def sign(claims: Mapping[str, Any], key: str, algorithm: Algorithm = "HS256") -> str:
    """A JWT of `claims`."""
    head = _b64(json.dumps({"typ": "JWT", "alg": algorithm}).encode())
    signed = f"{head}.{_b64(json.dumps(dict(claims)).encode())}"
    signature = hmac.new(key.encode(), signed.encode(), _DIGESTS[algorithm]).digest()
    return f"{signed}.{_b64(signature)}"


def access_claims(
    *,
    client_id: str,
    user_id: int,
    account_id: int,
    api_domain: str,
    now: datetime,
    lives: timedelta = ACCESS_TTL,
) -> dict[str, Any]:
    """What stands in an access token; clients read `exp` and `api_domain`."""
    issued = int(now.timestamp())
    return {
        "aud": client_id,
        "jti": secrets.token_hex(40),
        "iat": issued,
        "nbf": issued,
        "exp": issued + int(lives.total_seconds()),
        "sub": str(user_id),
        "grant_type": "",
        "account_id": account_id,
        "base_domain": "amocrm.ru",
        "version": 2,
        "scopes": list(SCOPES),
        "hash_uuid": str(uuid4()),
        "user_flags": 0,
        "api_domain": api_domain,
    }


def long_lived_token(account_id: int, now: datetime, *, lives: timedelta = LONG_LIVED_TTL) -> str:
    """A token as the «Keys» tab shows it once: a JWT without a refresh token beside it."""
    claims = access_claims(
        client_id=str(uuid4()),
        user_id=0,
        account_id=account_id,
        api_domain="api-a.amocrm.ru",
        now=now,
        lives=lives,
    )
    return sign(claims, secrets.token_urlsafe(32))


def disposable_claims(
    *,
    issuer: str,
    audience: str,
    account_id: int,
    user_id: int,
    subdomain: str,
    client_id: str,
    now: datetime,
) -> dict[str, Any]:
    """What a widget's request to its own backend proves itself with, header X-Auth-Token."""
    issued = int(now.timestamp())
    return {
        "iss": issuer,
        "aud": audience,
        "jti": str(uuid4()),
        "iat": issued,
        "nbf": issued,
        "exp": issued + int(DISPOSABLE_TTL.total_seconds()),
        "account_id": account_id,
        "user_id": user_id,
        "subdomain": subdomain,
        "client_uuid": client_id,
    }


def switch_off_signature(client_id: str, account_id: int, client_secret: str) -> str:
    message = f"{client_id}|{account_id}".encode()
    return hmac.new(client_secret.encode(), message, hashlib.sha256).hexdigest()


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
