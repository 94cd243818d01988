"""Payments with their links, and the document generator with real .docx files."""

from __future__ import annotations

import base64
import io
import zipfile
from datetime import timedelta
from typing import Any

import pytest

from tests.sandbox.b24 import B24, SECRET

_NS = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def docx(*paragraphs: str) -> str:
    """Base64 of a document; a bar splits a paragraph into runs, as Word does at will."""
    body = "".join(
        "<w:p>" + "".join(f"<w:r><w:t>{run}</w:t></w:r>" for run in text.split("|")) + "</w:p>"
        for text in paragraphs
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", f"<w:document {_NS}><w:body>{body}</w:body></w:document>")
    return base64.b64encode(out.getvalue()).decode()


def text_of(content: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read("word/document.xml").decode()


def test_payment_takes_rows_up_and_is_paid_once() -> None:
    b24 = B24()
    payment = b24.result("crm.item.payment.add", entityTypeId=2, entityId=10)
    assert isinstance(payment, int)
    part = {"paymentId": payment, "rowId": 902, "quantity": 1}
    b24.result("crm.item.payment.product.add", **part)
    row = b24.result("crm.item.payment.get", id=payment)
    assert (row["paid"], row["datePaid"], row["sum"], row["currency"]) == ("N", None, 5000.5, "RUB")
    left = b24.result("crm.item.productrow.getAvailableForPayment", ownerId=10, ownerType="D")["productRows"]
    assert {r["id"]: r["quantity"] for r in left} == {901: 1, 902: 1}
    assert b24.post("crm.item.payment.product.add", **{**part, "quantity": 2})[1]["error"] == "0"
    assert b24.result("crm.item.payment.pay", id=payment) is True
    row = b24.result("crm.item.payment.list", entityTypeId=2, entityId=10)[0]
    assert (row["paid"], row["empPaidId"]) == ("Y", 1)
    assert b24.post("crm.item.payment.delete", id=payment)[0] == 400
    assert b24.result("crm.item.payment.unpay", id=payment) is True
    assert b24.result("crm.item.payment.update", id=payment, fields={"paySystemId": 7}) is True
    assert b24.result("crm.item.payment.get", id=payment)["paySystemName"] == "Банковский перевод"
    assert b24.result("crm.item.payment.delete", id=payment) is True
    assert b24.post("crm.item.payment.get", id=payment)[0] == 400


def test_payment_link_carries_its_secret_and_payments_raise_their_event() -> None:
    b24 = B24()
    b24.app_result("event.bind", event="ONPAYMENTENTITYSAVED", handler="http://127.0.0.1:9/h")
    payment = b24.result("crm.item.payment.add", entityTypeId=2, entityId=10)
    link = b24.result("salescenter.payment.getPublicUrl", id=payment)["payment"]
    assert link["url"].startswith("http://portal.example/pub/site/") and f"paymentId={payment}" in link["url"]
    assert base64.b64decode(link["qr"]).startswith(b"\x89PNG")
    b24.result("crm.item.payment.pay", id=payment)
    assert [body["data[FIELDS][ID]"] for body in b24.bodies()] == [str(payment)] * 2


def template(b24: B24, *paragraphs: str) -> int:
    fields = {"name": "Договор", "file": docx(*paragraphs), "entityTypeId": ["2_category_0"], "region": "ru"}
    return int(b24.result("crm.documentgenerator.template.add", fields=fields)["template"]["id"])


def made(b24: B24, **more: Any) -> dict[str, Any]:
    number = template(b24, "Договор № {Document|Number} на {Opportunity}", "{Missing}{Title}")
    params = {"templateId": number, "entityTypeId": 2, "entityId": 10, **more}
    document: dict[str, Any] = b24.result("crm.documentgenerator.document.add", **params)["document"]
    return document


def test_document_is_the_template_with_values_of_the_deal_and_of_the_call() -> None:
    b24 = B24()
    document = made(b24, values={"DocumentNumber": "7 & Ко"}, stampsEnabled=1)
    assert (document["title"], document["stampsEnabled"]) == ("Договор 7 & Ко", True)
    assert (document["entityId"], document["entityTypeId"]) == ("10", "2")
    answer = b24.http.get(document["downloadUrlMachine"].removeprefix("http://portal.example"))
    text = text_of(answer.data)
    assert "Договор № 7 &amp; Ко на 130001.00" in text and "Поставка" in text and "{" not in text
    assert b24.result("disk.file.get", id=document["emailDiskFile"])["NAME"].endswith(".docx")


def test_pdf_comes_some_time_later() -> None:
    b24 = B24()
    document = made(b24)
    assert "pdfUrl" not in document
    b24.portal.time_shift += timedelta(seconds=40)
    later = b24.result("crm.documentgenerator.document.get", id=document["id"])["document"]
    answer = b24.http.get(later["pdfUrlMachine"].removeprefix("http://portal.example"))
    assert answer.data.startswith(b"%PDF-1.4") and answer.content_type == "application/pdf"


def test_templates_are_an_object_keyed_by_id() -> None:
    b24 = B24()
    first, second = template(b24, "a"), template(b24, "{B}")
    listed = b24.result("crm.documentgenerator.template.list")["templates"]
    assert sorted(listed) == [str(first), str(second)]
    assert listed[str(first)]["entityTypeId"] == ["2_category_0"]
    query = {"templateId": second, "entityTypeId": 2, "entityId": 10, "values": {"B": "б"}}
    fields = b24.result("crm.documentgenerator.document.getFields", **query)["documentFields"]
    assert fields == {"B": {"title": "B", "value": "б", "default": "б"}}


def test_document_is_updated_published_listed_and_deleted_with_its_events() -> None:
    b24 = B24()
    for verb in ("ADD", "UPDATE", "DELETE"):
        name = f"ONCRMDOCUMENTGENERATORDOCUMENT{verb}"
        b24.app_result("event.bind", event=name, handler="http://127.0.0.1:9/h")
    number = made(b24)["id"]
    values = {"DocumentNumber": "9"}
    b24.result("crm.documentgenerator.document.update", id=number, values=values)
    url = b24.result("crm.documentgenerator.document.enablePublicUrl", id=number, status=1)["publicUrl"]
    assert b24.http.get(url.removeprefix("http://portal.example")).status_code == 200
    rows = b24.result("crm.documentgenerator.document.list", filter={"entityId": 10})["documents"]
    assert [row["id"] for row in rows] == [number]
    b24.result("crm.documentgenerator.document.delete", id=number)
    assert b24.post("crm.documentgenerator.document.get", id=number)[1]["error"] == "0"
    bodies = list(b24.bodies())
    assert [body["event"][-6:] for body in bodies] == ["ENTADD", "UPDATE", "DELETE"]
    assert bodies[0]["data[FIELDS][ENTITY_TYPE_ID]"] == "2"


@pytest.mark.parametrize("file", ["bm90IGEgZG9jeA==", ""])
def test_template_that_is_no_docx_is_refused(file: str) -> None:
    fields = {"name": "x", "file": file}
    status, body = B24().post("crm.documentgenerator.template.add", fields=fields)
    assert (status, body["error"]) == (400, "0")


def test_document_of_an_unknown_deal_is_an_access_error() -> None:
    b24 = B24()
    params = {"templateId": template(b24, "x"), "entityTypeId": 2, "entityId": 999}
    assert b24.post("crm.documentgenerator.document.add", **params)[1]["error"] == "DOCGEN_ACCESS_ERROR"


def test_uploaded_document_keeps_its_own_pdf() -> None:
    b24 = B24()
    fields = {
        "entityTypeId": 2,
        "entityId": 10,
        "title": "Скан",
        "number": "1",
        "fileContent": docx("x"),
        "pdfContent": base64.b64encode(b"%PDF-mine").decode(),
    }
    document = b24.result("crm.documentgenerator.document.upload", fields=fields)["document"]
    assert b24.http.get(document["pdfUrlMachine"].removeprefix("http://portal.example")).data == b"%PDF-mine"
    assert SECRET in document["pdfUrlMachine"]
