"""A simulated Bitrix24 portal: REST, OAuth and events, written from the reference alone.

Shares nothing with `connector.crm`: the two meet over HTTP.

Not simulated: REST 3.0, delivery to bots, connectors of open lines, the site's pages. One
application and one inbound webhook a portal, one set of requisites a company and none at a contact, no
catalogue of products. A generated document's PDF is a blank page with the title, and pictures are not made.
Rights are not checked beyond scopes and administrators.
"""

from connector.sandbox.bitrix24.server import Bitrix24
from connector.sandbox.bitrix24.switches import Switches

__all__ = ["Bitrix24", "Switches"]
