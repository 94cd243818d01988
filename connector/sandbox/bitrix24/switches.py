"""What the reference leaves open or calls contradictory, as switches of the simulator.

Each default is the reading that the documents support best. Source: reference sections 2, 3, 4.6, 5 and 8.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(slots=True)
class Switches:
    """Knobs of fidelity; changed at any time, read at each request."""

    #: A webhook over plain http is refused. Off on loopback, where the sandbox lives.
    https_required: bool = False
    #: A request refused by the bucket fills it too.
    refused_requests_count: bool = True
    #: Who pays for the commands of a batch: the methods themselves (documents) or `batch` (measured).
    batch_billing: Literal["documents", "measured"] = "documents"
    #: Seconds of execution to account for a call of a method (lower case), in place of the real ones.
    method_cost_s: dict[str, float] = field(default_factory=dict)
    #: `crm.stagehistory.list` shows only moves within the deal's present pipeline (b24restdocs #8).
    history_of_current_pipeline_only: bool = False
    #: A change of product rows alone raises ONCRMDEALUPDATE.
    rows_raise_deal_update: bool = True
    #: A change of a company's requisites raises ONCRMCOMPANYUPDATE beside ONCRMREQUISITEUPDATE, as saving
    #: the card in the interface does.
    requisites_raise_company_update: bool = True
    #: How long the queue server keeps an event before it is sent, seconds.
    event_delay_s: float = 0.3
    #: How long it waits for the handler, seconds.
    event_timeout_s: float = 5.0
    #: A batch reference to nothing turns into this text.
    unresolved_reference: str = ""
    #: `feature.get rest_offline_extended` and `rest_auth_connector`.
    offline_extended: bool = True
    #: The portal moved: every call is answered 302 to the same path at this address («https://new.example»).
    renamed_to: str = ""
    #: E-mail activities answer «Email send error» although they are stored.
    fail_emails: bool = False
