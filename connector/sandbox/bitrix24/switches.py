"""What the reference leaves open or calls contradictory, as switches of the simulator.

Each default is the reading that the documents support best, or else the one measured. Source: reference
sections 1.2, 2, 3, 4, 5 and 8.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal


@dataclass(slots=True)
class Switches:
    """Knobs of fidelity; changed at any time, read at each request."""

    # The door

    #: A webhook over plain http is refused. Off on loopback, where the sandbox lives.
    https_required: bool = False
    #: Enterprise lets 250 requests in and 5 a second; all other plans 50 and 2.
    plan: Literal["usual", "enterprise"] = "usual"
    #: A request refused by the bucket fills it too.
    refused_requests_count: bool = True
    #: Every call is answered with this error (a name of `door.REFUSALS`, or PORTAL_DELETED).
    refuse_with: str = ""
    #: The inbound webhook has run out or lost its owner.
    webhook_is_over: bool = False
    #: 401 was measured and stands in b24pysdk, 403 in the documents.
    insufficient_scope_status: Literal[401, 403] = 401
    invalid_credentials_status: Literal[401, 403] = 401
    #: 410 in b24pysdk, 500 in the documents.
    portal_deleted_status: Literal[410, 500] = 410
    #: The portal moved: every call is answered 302 to the same path at this address («https://new.example»).
    renamed_to: str = ""

    # OAuth

    #: Address of the OAuth server that `server_endpoint` names; empty: the portal's own. Real portals name
    #: https://oauth.bitrix.info or https://oauth.bitrix24.tech; which one gets which is unverified.
    oauth_server: str = ""
    #: The exchange of a code leaves out `expires` and `user_id`, as in the documents' example.
    exchange_is_terse: bool = False
    #: Seconds for which a used refresh token stays good; unverified, so none.
    refresh_grace_s: float = 0.0

    # Limits

    #: Who pays for the commands of a batch: the methods themselves (documents) or `batch` (measured on a
    #: self-hosted portal, where half the time is billed and calls under 0.1 s are not).
    batch_billing: Literal["documents", "measured"] = "documents"
    #: Seconds of execution to account for a call of a method (lower case), in place of the real ones.
    method_cost_s: dict[str, float] = field(default_factory=dict)

    # CRM

    #: `crm.stagehistory.list` shows only moves within the deal's present pipeline (b24restdocs #8).
    history_of_current_pipeline_only: bool = False
    #: `crm.item.list` fills `contactIds` where it is named; with `*` it always does.
    named_contacts_are_filled: bool = True
    #: A batch reference to nothing turns into this text.
    unresolved_reference: str = ""
    #: `*` is all that a classic list answers with when `select` is missing (older portals).
    user_fields_must_be_named: bool = False
    #: The simple mode without leads: `crm.lead.add` makes a deal, and the lead is not found afterwards.
    simple_crm: bool = False
    #: E-mail activities answer «Email send error» although they are stored.
    fail_emails: bool = False
    #: Objects merged into another one raise their delete event.
    merged_raise_delete: bool = True
    #: Seconds until a generated document has its PDF and picture.
    document_pdf_delay_s: float = 35.0

    # Events

    #: A change of product rows alone raises ONCRMDEALUPDATE.
    rows_raise_deal_update: bool = True
    #: A change of a company's requisites raises ONCRMCOMPANYUPDATE beside ONCRMREQUISITEUPDATE, as saving
    #: the card in the interface does.
    requisites_raise_company_update: bool = True
    #: How long the queue server keeps an event before it is sent, seconds.
    event_delay_s: float = 0.3
    #: How long it waits for the handler, seconds.
    event_timeout_s: float = 5.0
    #: `auth[user_id]` and `auth[expires]` go along with the tokens of an event (seen live, not in the pages).
    events_carry_user: bool = True
    #: `auth[refresh_token]` comes with every event, as the pages of the single events show.
    events_carry_refresh_token: bool = False
    #: Timeline comments' events put the id into `data[FIELDS]`; the pages show `data[ID]`.
    comment_events_have_fields: bool = False
    #: The built-in robot «Outgoing webhook» sends `auth[application_token]`.
    webhook_robot_has_token: bool = False

    # Offline queue

    #: `feature.get rest_offline_extended` and `rest_auth_connector`.
    offline_extended: bool = True
    #: One record an object and event, or one an object whatever happened to it.
    offline_key: Literal["object and event", "object"] = "object and event"
    #: Records show their data and their author; the documents' examples show `false` for both.
    offline_has_data: bool = True

    def set(self, **values: Any) -> None:
        """Turn switches by name. ValueError for an unknown one or a value of another type; none is turned."""
        known = {f.name for f in fields(self)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"no such switch: {name}; there are {', '.join(sorted(known))}")
            present = getattr(self, name)
            numbers = isinstance(present, int | float) and not isinstance(present, bool)
            fits = isinstance(value, int | float) and not isinstance(value, bool) if numbers else None
            if not (fits if fits is not None else type(value) is type(present)):
                raise ValueError(f"{name}: {value!r} does not fit")
        for name, value in values.items():
            setattr(self, name, value)
