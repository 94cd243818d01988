"""A simulated Bitrix24 portal: REST, OAuth and events, written from the reference alone.

Shares nothing with `connector.crm`: the two meet over HTTP.

Not simulated: answers in XML, REST 3.0, smart processes, quotes and invoices, payments, the document
generator, telephony, robots, widgets, bots and open lines. One application and one inbound webhook a portal,
one set of requisites a company, no catalogue of products. Rights are not checked beyond scopes and
administrators.
"""

from connector.sandbox.bitrix24.server import Bitrix24
from connector.sandbox.bitrix24.switches import Switches

__all__ = ["Bitrix24", "Switches"]
