"""amoCRM as the sandbox plays it: API v4, OAuth, the drive and webhooks over one `Portal`.

Written from the reference alone; imports nothing from `connector.crm`.
"""

from connector.sandbox.amocrm.app import AmoCrm
from connector.sandbox.amocrm.switches import Switches

__all__ = ["AmoCrm", "Switches"]
