"""What the reference leaves open, calls unverified or knows two ways, as switches of the simulator.

Each default is the reading that the documents support best. Source: reference sections 1-6, 9 and 11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: How a second is counted: «bucket» refills all the time and allows a burst of one second's worth; «sliding»
#: looks back one second from each request; «fixed» starts anew at every whole second.
RateWindow = Literal["bucket", "sliding", "fixed"]


@dataclass(slots=True)
class Switches:
    """Knobs of fidelity; changed at any time, read at each request."""

    # Limits (2.1)
    #: Window type of the rate limit, unknown in life: see `RateWindow`.
    rate_window: RateWindow = "bucket"
    #: Requests a second of one integration (one token), and of the account over all of them.
    rate_per_s: int = 7
    account_rate_per_s: int = 50
    #: Refused requests count against the window as well, so that a client that never waits never gets in.
    refused_requests_count: bool = False
    #: The body of 429: nginx's page (seen), plain text, or the problem shape (unverified).
    too_many_body: Literal["html", "plain", "json"] = "html"
    #: Seconds in `Retry-After` of a 429; None sends no such header, as nothing documents one.
    retry_after_s: int | None = None
    #: So many 429 within a minute, and every request is 403 in HTML for so long. In life support lifts it.
    block_after: int = 100
    block_s: float = 300.0

    # Access (1)
    #: External integrations get 403 for users and sources; public ones have no long-lived tokens.
    integration_kind: Literal["private", "public", "external"] = "private"
    #: The admin on the consent page says no.
    consent_refused: bool = False
    #: What the old host of a moved account answers; the SDK asks for the new one after either.
    old_host_status: Literal["401", "404"] = "404"
    #: Refresh makes the old access token useless at once; clients report that it lives out its 24 hours.
    refresh_kills_access: bool = False
    #: A refresh token's second use kills the pair that its first use gave, as some OAuth servers do; amoCRM's
    #: documents say only that the old token is dead.
    reuse_kills_pair: bool = False

    # Bodies (4.0)
    #: Answers are packed for clients that take gzip; no document says so.
    packs_answers: bool = False
    #: Whole numbers written as 1.0 are taken for ints: amocrm-api sends its times so and is in use.
    whole_floats_are_ints: bool = True
    #: GET of a lead in the trash answers it with is_deleted, instead of 204.
    deleted_is_readable: bool = False
    #: The paid option: off means that filters of leads, contacts and companies are ignored (unverified).
    filters_paid: bool = True
    #: `price_with_minor_units` beside `price`, as accounts with kopecks have it.
    minor_units: bool = False
    #: A PATCH that changes nothing still sets `updated_at`, and with it sends an update hook.
    empty_patch_touches: bool = True

    #: `leads/complex` joins people whose phone or e-mail up to three stored ones have, as with an uploaded
    #: widget; that the lead itself stays a new one is unverified.
    duplicate_control: bool = False
    #: What a chat template's review comes to; approved and rejected are recalled (unverified).
    template_review: Literal["review", "approved", "rejected"] = "review"

    # Webhooks (6)
    #: POST of a disabled webhook's destination switches it on again.
    subscribing_enables: bool = True
    #: What a delivery without an answer in time counts as; 0 ends its retries after the third try.
    timeout_code: int = 499
    #: Retries carry the X-amoCRM-RequestId of the first try.
    retries_keep_request_id: bool = True
    #: Where the account block stands in a hook: first since about 2023, last before.
    account_block_last: bool = False
    #: Digital pipeline hooks are repeated up to 4 times in an hour (Kommo) instead of sent once (amoCRM).
    pipeline_hooks_retry: bool = False
