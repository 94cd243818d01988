"""`crm.documentgenerator.*`: templates and the documents made from them. Source: reference section 4.12.

A document is made at once, its PDF and picture some time later; the PDF is a blank page with the title.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from connector.sandbox.bitrix24 import files
from connector.sandbox.bitrix24.call import Call, MethodTable, Page, page_of, selected
from connector.sandbox.bitrix24.docx_fill import NotDocx, blank_pdf, fill, placeholders
from connector.sandbox.bitrix24.entities import classic_value
from connector.sandbox.bitrix24.events import Notice
from connector.sandbox.bitrix24.filters import Column, Columns
from connector.sandbox.bitrix24.kinds import find_entity
from connector.sandbox.bitrix24.params import as_list, as_map
from connector.sandbox.bitrix24.wire import RestError, is_yes, moment, parse_int
from connector.sandbox.state import StoredFile

TABLE = MethodTable()

_NUMERATOR: Final = 1


@dataclass(slots=True)
class Template:
    id: int
    name: str
    file_id: int
    region: str
    kinds: list[str]
    users: list[str]
    with_stamps: bool
    is_active: bool = True


@dataclass(slots=True)
class Document:
    """`file_id` is the docx; the PDF is made when it is due."""

    id: int
    title: str
    number: str
    template_id: int | None
    type_id: int
    owner_id: int
    values: dict[str, Any]
    file_id: int
    created_by: int
    created_at: datetime
    updated_at: datetime
    stamps: bool
    pdf_id: int | None = None
    is_public: bool = False


def _fail(text: str) -> RestError:
    return RestError(400, "0", text)


def _template(call: Call, name: str = "id") -> Template:
    found = call.site.templates.get(parse_int(call.params.get(name)) or 0)
    if found is None:
        raise _fail("Template not found")
    return found


def _stored(call: Call, content: Any, name: str) -> StoredFile:
    data = files.decode(as_list(content)[-1] if isinstance(content, list) else content)
    file = files.store(call.site, name, data)
    try:
        placeholders(file.content)
    except NotDocx:
        raise _fail("Wrong file: a docx is expected") from None
    return file


def _shown_template(call: Call, template: Template) -> dict[str, Any]:
    file = call.site.portal.files[template.file_id]
    address = f"{call.site.base_url}/bitrix/services/main/ajax.php"
    return {
        "id": str(template.id),
        "name": template.name,
        "region": template.region,
        "code": None,
        "active": "Y" if template.is_active else "N",
        "moduleId": "crm",
        "numeratorId": str(_NUMERATOR),
        "withStamps": "Y" if template.with_stamps else "N",
        "isDeleted": "N",
        "sort": "500",
        "download": f"{address}?action=crm.documentgenerator.template.download&SITE_ID=s1&id={template.id}",
        "downloadMachine": files.disk_url(call.site, file, call.caller),
        "users": template.users,
        "entityTypeId": template.kinds,
    }


@TABLE.add("crm.documentgenerator.template.list", scope="crm", any_case=False)
def template_list(call: Call) -> Page:
    """`templates` is an object keyed by id."""
    rows = [_shown_template(call, template) for template in call.site.templates.values()]
    names = selected(call)

    def present(page: list[dict[str, Any]]) -> dict[str, Any]:
        wanted = None if not names or "*" in names else {"id", *names}
        cut = [{k: v for k, v in row.items() if wanted is None or k in wanted} for row in page]
        return {"templates": {f"{row['id']}": row for row in cut}}

    return page_of(
        call, rows, Columns(_column, strict=False, zone=call.site.zone), present, ascending_by="id"
    )


def _column(name: str) -> Column:
    if name in {"id", "templateId", "entityId", "createdBy"}:
        return Column("integer", lambda row: parse_int(row.get(name)))
    return Column("string", lambda row: row.get(name))


@TABLE.add("crm.documentgenerator.template.get", scope="crm", any_case=False)
def template_get(call: Call) -> dict[str, Any]:
    return {"template": _shown_template(call, _template(call))}


@TABLE.add("crm.documentgenerator.template.add", scope="crm", any_case=False)
def template_add(call: Call) -> dict[str, Any]:
    call.require_admin()
    wanted = call.require_map("fields")
    name = str(wanted.get("name") or "")
    if not name or not wanted.get("file"):
        raise _fail("Could not find value for parameter {fields[name], fields[file]}")
    number = call.site.portal.new_id("template")
    made = Template(
        number,
        name,
        _stored(call, wanted["file"], f"{name}.docx").id,
        str(wanted.get("region") or "ru"),
        [str(kind) for kind in as_list(wanted.get("entityTypeId"))],
        [str(user) for user in as_list(wanted.get("users") or ["UA"])],
        is_yes(wanted.get("withStamps", "N")),
        is_yes(wanted.get("active", "Y")),
    )
    call.site.templates[number] = made
    return {"template": _shown_template(call, made)}


@TABLE.add("crm.documentgenerator.template.update", scope="crm", any_case=False)
def template_update(call: Call) -> dict[str, Any]:
    call.require_admin()
    template, wanted = _template(call), call.require_map("fields")
    template.name = str(wanted.get("name") or template.name)
    if wanted.get("file"):
        template.file_id = _stored(call, wanted["file"], f"{template.name}.docx").id
    if "active" in wanted:
        template.is_active = is_yes(wanted["active"])
    if "entityTypeId" in wanted:
        template.kinds = [str(kind) for kind in as_list(wanted["entityTypeId"])]
    return {"template": _shown_template(call, template)}


@TABLE.add("crm.documentgenerator.template.delete", scope="crm", any_case=False)
def template_delete(call: Call) -> None:
    call.require_admin()
    del call.site.templates[_template(call).id]


@TABLE.add("crm.documentgenerator.numerator.list", scope="crm", any_case=False)
def numerator_list(call: Call) -> Page:
    row = {"id": str(_NUMERATOR), "name": "Нумератор по умолчанию", "template": "{NUMBER}", "code": None}
    return Page({"numerators": [row]}, total=1)


def _owner(call: Call) -> tuple[int, int]:
    type_id = parse_int(call.require("entityTypeId")) or 0
    owner_id = parse_int(call.require("entityId")) or 0
    entity = find_entity(call.site, type_id)
    if entity is None or entity.find(call.site, owner_id) is None:
        raise RestError(400, "DOCGEN_ACCESS_ERROR", "Access denied")
    return type_id, owner_id


def _known_values(call: Call, type_id: int, owner_id: int, number: str) -> dict[str, str]:
    """Values of the object's own fields under their template names: `Title`, `Opportunity` …"""
    entity = find_entity(call.site, type_id)
    assert entity is not None
    obj = entity.find(call.site, owner_id)
    found = {"DocumentNumber": number, "DocumentCreateTime": call.site.now().strftime("%d.%m.%Y")}
    for name, field_ in entity.fields(call.site).items():
        if field_.type == "crm_multifield" or field_.multiple:
            continue
        value = classic_value(call.site, field_, field_.value(call.site, obj))
        key = name if field_.is_user_field else "".join(part.capitalize() for part in name.split("_"))
        found[key.replace("UF_CRM_", "UfCrm")] = "" if value is None else str(value)
    return found


@TABLE.add("crm.documentgenerator.document.getfields", scope="crm", any_case=False)
def document_fields(call: Call) -> dict[str, Any]:
    template = _template(call, "templateId")
    type_id, owner_id = _owner(call)
    values = {**_known_values(call, type_id, owner_id, ""), **_given(call)}
    names = placeholders(call.site.portal.files[template.file_id].content)
    fields = {
        name: {"title": name, "value": values.get(name, ""), "default": values.get(name, "")}
        for name in names
    }
    return {"documentFields": fields}


def _given(call: Call) -> dict[str, str]:
    """Values of the call: `values` by name, and `fields` by their `VALUE`."""
    values = {name: str(value) for name, value in as_map(call.params.get("values")).items()}
    for name, entry in as_map(call.params.get("fields")).items():
        if "VALUE" in as_map(entry):
            values[name] = str(as_map(entry)["VALUE"])
    return values


@TABLE.add("crm.documentgenerator.document.add", scope="crm", any_case=False)
def document_add(call: Call) -> dict[str, Any]:
    template = _template(call, "templateId")
    type_id, owner_id = _owner(call)
    number = call.site.portal.new_id("document")
    given = _given(call)
    label = given.get("DocumentNumber") or str(number)
    values = {**_known_values(call, type_id, owner_id, label), **given}
    content = fill(call.site.portal.files[template.file_id].content, values)
    title = f"{template.name} {label}"
    file = files.store(call.site, f"{title}.docx", content)
    made = _keep(call, number, title, label, template.id, (type_id, owner_id), given, file)
    return {"document": _shown(call, made)}


@TABLE.add("crm.documentgenerator.document.upload", scope="crm", any_case=False)
def document_upload(call: Call) -> dict[str, Any]:
    """A file made elsewhere, kept as a document of the object."""
    wanted = call.require_map("fields")
    type_id, owner_id = parse_int(wanted.get("entityTypeId")) or 0, parse_int(wanted.get("entityId")) or 0
    entity = find_entity(call.site, type_id)
    if entity is None or entity.find(call.site, owner_id) is None:
        raise RestError(400, "DOCGEN_ACCESS_ERROR", "Access denied")
    number = call.site.portal.new_id("document")
    title = str(wanted.get("title") or f"Документ {number}")
    file = _stored(call, wanted.get("fileContent") or wanted.get("file"), f"{title}.docx")
    label = str(wanted.get("number") or number)
    made = _keep(call, number, title, label, None, (type_id, owner_id), {}, file)
    if wanted.get("pdfContent"):
        made.pdf_id = files.store(call.site, f"{title}.pdf", files.decode(wanted["pdfContent"])).id
    return {"document": _shown(call, made)}


def _keep(
    call: Call,
    number: int,
    title: str,
    label: str,
    template_id: int | None,
    owner: tuple[int, int],
    values: dict[str, str],
    file: StoredFile,
) -> Document:
    now = call.site.now()
    stamps = is_yes(call.params.get("stampsEnabled", 0))
    made = Document(
        number, title, label, template_id, *owner, dict(values), file.id, call.user_id, now, now, stamps
    )
    call.site.documents[number] = made
    call.site.disk_names[file.id] = (1, file.name)
    _tell(call, made, "ADD")
    return made


def _tell(call: Call, document: Document, verb: str) -> None:
    fields = {"ID": document.id, "ENTITY_TYPE_ID": document.type_id, "ENTITY_ID": document.owner_id}
    name = f"ONCRMDOCUMENTGENERATORDOCUMENT{verb}"
    call.site.events.tell(Notice(name, {"FIELDS": fields}, call.user_id, system=False))


def _document(call: Call) -> Document:
    found = call.site.documents.get(parse_int(call.params.get("id")) or 0)
    if found is None:
        raise _fail("Document not found")
    return found


def _pdf(call: Call, document: Document) -> StoredFile | None:
    """The PDF once its time has come."""
    due = document.updated_at + timedelta(seconds=call.site.switches.document_pdf_delay_s)
    if document.pdf_id is None and call.site.now() >= due:
        document.pdf_id = files.store(call.site, f"{document.title}.pdf", blank_pdf(document.title)).id
    return call.site.portal.files[document.pdf_id] if document.pdf_id else None


def _shown(call: Call, document: Document) -> dict[str, Any]:
    site = call.site
    file, pdf = site.portal.files[document.file_id], _pdf(call, document)
    page = f"{site.base_url}/bitrix/services/main/ajax.php?action=crm.documentgenerator.document"
    suffix = f"&SITE_ID=s1&id={document.id}"
    row: dict[str, Any] = {
        "changeStampsEnabled": False,
        "changeStampsDisabledReason": "В шаблоне нет печатей и подписей",
        "changeQrCodeEnabled": False,
        "qrCodeEnabled": False,
        "products": {"currencyId": site.portal.currency, "totalSum": f"{Decimal(0):.2f}", "totalRows": 0},
        "downloadUrl": f"{page}.download{suffix}",
        "downloadUrlMachine": files.disk_url(site, file, call.caller),
        "publicUrl": files.timeline_url(site, pdf or file) if document.is_public else None,
        "id": document.id,
        "title": document.title,
        "number": document.number,
        "createTime": moment(document.created_at, site.zone),
        "createdBy": document.created_by,
        "updateTime": moment(document.updated_at, site.zone),
        "updatedBy": None,
        "stampsEnabled": document.stamps,
        "isTransformationError": False,
        "values": {"_creationMethod": "rest", "stampsEnabled": document.stamps, **document.values},
        "templateId": str(document.template_id) if document.template_id else None,
        "pullTag": f"TRANSFORMDOCUMENT{document.id}",
        "emailDiskFile": document.file_id,
        "entityId": str(document.owner_id),
        "entityTypeId": str(document.type_id),
    }
    if pdf is not None:
        address = files.disk_url(site, pdf, call.caller)
        row |= {"pdfUrl": f"{page}.getPdf{suffix}", "pdfUrlMachine": address}
    return row


@TABLE.add("crm.documentgenerator.document.get", scope="crm", any_case=False)
def document_get(call: Call) -> dict[str, Any]:
    return {"document": _shown(call, _document(call))}


@TABLE.add("crm.documentgenerator.document.list", scope="crm", any_case=False)
def document_list(call: Call) -> Page:
    rows = [_shown(call, document) for document in call.site.documents.values()]
    columns = Columns(_column, strict=False, zone=call.site.zone)
    return page_of(call, rows, columns, lambda page: {"documents": page}, ascending_by="id")


@TABLE.add("crm.documentgenerator.document.update", scope="crm", any_case=False)
def document_update(call: Call) -> dict[str, Any]:
    """New values: the file is made anew from the template, its PDF comes later again."""
    document = _document(call)
    document.values |= _given(call)
    if "stampsEnabled" in call.params:
        document.stamps = is_yes(call.params["stampsEnabled"])
    template = call.site.templates.get(document.template_id or 0)
    if template is not None:
        label = str(document.values.get("DocumentNumber") or document.number)
        values = {**_known_values(call, document.type_id, document.owner_id, label), **document.values}
        content = fill(call.site.portal.files[template.file_id].content, values)
        document.file_id = files.store(call.site, f"{document.title}.docx", content).id
        document.pdf_id = None
    document.updated_at = call.site.now()
    _tell(call, document, "UPDATE")
    return {"document": _shown(call, document)}


@TABLE.add("crm.documentgenerator.document.delete", scope="crm", any_case=False)
def document_delete(call: Call) -> None:
    document = _document(call)
    del call.site.documents[document.id]
    _tell(call, document, "DELETE")


@TABLE.add("crm.documentgenerator.document.enablepublicurl", scope="crm", any_case=False)
def document_public(call: Call) -> dict[str, Any]:
    document = _document(call)
    document.is_public = is_yes(call.params.get("status", 0))
    return {"publicUrl": _shown(call, document)["publicUrl"]}
