"""A simulated Bitrix24 portal: REST, OAuth and events, written from the reference alone.

Shares nothing with `connector.crm`: the two meet over HTTP.
"""

from connector.sandbox.bitrix24.server import Bitrix24
from connector.sandbox.bitrix24.switches import Switches

__all__ = ["Bitrix24", "Switches"]
