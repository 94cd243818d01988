"""What a log or an error must not show: tokens, webhook secrets, upload addresses. Must not know any CRM."""

from __future__ import annotations

import logging
import re

_PATTERNS = (
    # The whole right of a Bitrix24 inbound webhook is in its path.
    re.compile(r"(/rest/\d+/)[^/\s\"'?]+"),
    re.compile(r"(?i)(bearer\s+)[^\s\"',]+"),
    re.compile(
        r"(?i)((?:auth|auth_id|access_token|refresh_token|refresh_id|application_token|client_secret|token)"
        r"[\"']?\]?[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,}]+"
    ),
    re.compile(r"(/sessions/upload/)[^\s\"'?]+"),
)


def mask_patterns(text: str) -> str:
    """`text` with everything masked that looks like a token or a webhook's address."""
    for pattern in _PATTERNS:
        text = pattern.sub(r"\1***", text)
    return text


def mask(text: str, secrets: tuple[str, ...]) -> str:
    """`text` without `secrets` and without anything that looks like one; the longest secret goes first."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return mask_patterns(text)


class MaskingFilter(logging.Filter):
    """Masks what other people's modules log: urllib3 writes each path at DEBUG."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        masked = mask_patterns(message)
        if masked != message:
            record.msg, record.args = masked, ()
        return True


def hide_urls_in_library_logs() -> None:
    """Put the filter on urllib3's log, once."""
    library = logging.getLogger("urllib3.connectionpool")
    if not any(isinstance(known, MaskingFilter) for known in library.filters):
        library.addFilter(MaskingFilter())
