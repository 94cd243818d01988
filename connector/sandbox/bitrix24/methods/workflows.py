"""Business processes: a template started on a document. Source: documentation page «bizproc.workflow.start».

What a process does is nobody's business here: it is kept as started.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

from connector.sandbox.bitrix24.call import Call, MethodTable
from connector.sandbox.bitrix24.deals import DEAL
from connector.sandbox.bitrix24.params import as_list
from connector.sandbox.bitrix24.wire import RestError, classic_error, parse_int

TABLE = MethodTable()

#: Templates of deals that a person made in the designer.
TEMPLATES: Final = {11: "Согласование договора", 12: "Передача на склад"}


@TABLE.add("bizproc.workflow.start", scope="bizproc")
def workflow_start(call: Call) -> str:
    call.require_admin()
    template = parse_int(call.params.get("TEMPLATE_ID"))
    if not template:
        raise RestError(400, "ERROR_WRONG_WORKFLOW_ID", "Empty TEMPLATE_ID")
    if template not in TEMPLATES:
        raise RestError(400, "ERROR_WRONG_WORKFLOW_ID", "Template not found")
    document = [str(part) for part in as_list(call.params.get("DOCUMENT_ID"))]
    if len(document) != 3 or document[0] != "crm":
        raise classic_error("Wrong DOCUMENT_ID!")
    found = re.fullmatch(r"DEAL_(\d+)", document[2])
    if document[1] != "CCrmDocumentDeal" or found is None:
        raise classic_error("Template type and DOCUMENT_ID mismatch!")
    if DEAL.find(call.site, int(found[1])) is None:
        raise classic_error("Wrong DOCUMENT_ID!")
    workflow_id = f"{secrets.token_hex(7)}.{secrets.randbelow(10**8):08d}"
    call.site.workflows[workflow_id] = (template, int(found[1]))
    return workflow_id
