"""The register over real documents: corrections, void ones, and that each can be made again to the byte."""

from __future__ import annotations

import io
from datetime import date, timedelta
from decimal import Decimal

import openpyxl
import requests
from sqlalchemy import update

from connector.register import Entry, remake, verify
from connector.register_files import to_xlsx
from connector.store import archive
from connector.store.schema import document_files
from tests.e2e.stand import Stand


def lines(stand: Stand, deal_id: int) -> list[Entry]:
    today = date.today()
    found = stand.app.register.entries("main", today - timedelta(days=1), today + timedelta(days=2))
    return [entry for entry in found if entry.deal_id == str(deal_id)]


def invoiced(stand: Stand, **deal: object) -> int:
    deal_id = stand.add_deal(**deal)  # type: ignore[arg-type]
    stand.move(deal_id, "Счёт выставлен")
    stand.wait_for(lambda: stand.file_names(deal_id), "the invoice")
    return deal_id


def test_correction_takes_the_number_and_voids_what_the_client_had(stand: Stand) -> None:
    deal_id = invoiced(stand, email=f"correct-{stand.crm}@example.ru")
    (first,) = lines(stand, deal_id)
    assert (first.status, first.version, first.total) == ("действует", 1, Decimal("122000.00"))
    row = stand.portal.deals[deal_id].rows[0]
    row.price = Decimal("150000.00")
    stand.portal.update_deal(deal_id, {"amount": Decimal("150000.00")}, by=stand.manager_id)
    stand.settle()
    page = f"{stand.base_url}/documents/main"
    sent = {"do": "reissue", "reason": "Изменилась цена"}
    answer = requests.post(f"{page}/{first.document_id}/change", data=sent, timeout=10)
    assert answer.status_code == 200
    stand.wait_for(lambda: len(lines(stand, deal_id)) == 2, "the correction")
    old, new = lines(stand, deal_id)
    assert (old.status, old.remark, old.total) == ("аннулирован", "Изменилась цена", Decimal("122000.00"))
    assert (new.status, new.version, new.number, new.issued_on) == (
        *("действует", 2, first.number, first.issued_on),
    )
    assert new.total == Decimal("150000.00")
    stand.wait_for(
        lambda: any(
            "редакция 2. Прежняя редакция аннулирована" in note.text for note in stand.notes(deal_id)
        ),
        "the note about the correction",
    )
    assert any(name.endswith("редакция 2.pdf") for name in stand.file_names(deal_id))
    file = requests.get(f"{stand.base_url}/documents/main/{new.document_id}/pdf", timeout=10)
    assert file.content.startswith(b"%PDF")
    assert "filename*=UTF-8''" in file.headers["Content-Disposition"]
    # The button pressed twice, and one on a page that is no longer true.
    again = requests.post(f"{page}/{first.document_id}/change", data=sent, timeout=10)
    assert again.status_code == 409
    shown = requests.get(page, timeout=10).text
    assert "редакция 2" in shown
    assert "Изменилась цена" in shown


def test_void_document_stays_in_the_archive_and_out_of_force(stand: Stand) -> None:
    deal_id = invoiced(stand, email=f"void-{stand.crm}@example.ru")
    (entry,) = lines(stand, deal_id)
    page = f"{stand.base_url}/documents/main/{entry.document_id}/change"
    assert requests.post(page, data={"do": "void", "reason": " "}, timeout=10).status_code == 400
    foreign = {"Sec-Fetch-Site": "cross-site"}
    data = {"do": "void", "reason": "Клиент отказался"}
    assert requests.post(page, data=data, headers=foreign, timeout=10).status_code == 403
    assert requests.post(page, data=data, timeout=10).status_code == 200
    (entry,) = lines(stand, deal_id)
    assert (entry.status, entry.remark, entry.formats) == ("аннулирован", "Клиент отказался", ("pdf",))
    with stand.app.db.read() as conn:
        assert archive.in_force(conn, "main", str(deal_id), "invoice") is None


def test_kept_documents_are_made_again_to_the_byte_and_a_changed_byte_is_told(stand: Stand) -> None:
    deal_id = stand.add_deal(email=f"again-{stand.crm}@example.ru")
    stand.move(deal_id, "Встреча проведена")
    stand.wait_for(lambda: len(stand.file_names(deal_id)) == 3, "proposal and contract")
    stand.settle()
    made = lines(stand, deal_id)
    assert {entry.kind for entry in made} == {"proposal", "contract"}
    for entry in made:
        assert entry.document_id is not None
        document, findings = remake(stand.app.db, "main", entry.document_id)
        assert document is not None
        assert findings == []
    contract = next(entry for entry in made if entry.kind == "contract")
    assert verify(stand.app.db, "main", [contract.document_id or 0]) == []
    with stand.app.db.begin() as conn:
        of_it = (document_files.c.document_id == contract.document_id, document_files.c.format == "docx")
        conn.execute(update(document_files).where(*of_it).values(content=b"PK forged"))
    (damage,) = verify(stand.app.db, "main", [contract.document_id or 0])
    assert damage.file_name.endswith(".docx")
    _, (difference,) = remake(stand.app.db, "main", contract.document_id or 0)
    assert difference.file_name == damage.file_name


def test_hostile_client_name_is_a_text_in_excel_and_csv(stand: Stand) -> None:
    name = '=HYPERLINK("http://evil.example";"ООО")'
    deal_id = invoiced(stand, email=f"formula-{stand.crm}@example.ru", company=name)
    (entry,) = lines(stand, deal_id)
    assert entry.client == name
    sheet = openpyxl.load_workbook(io.BytesIO(to_xlsx([entry]))).active
    assert sheet is not None
    cell = sheet["E2"]
    assert (cell.value, cell.data_type) == (name, "s")
    assert (sheet["D2"].is_date, sheet["G2"].value) == (True, 122000)
    answer = requests.get(f"{stand.base_url}/documents/main/register.csv", timeout=10)
    assert answer.content.startswith(b"\xef\xbb\xbf")
    line = next(line for line in answer.content.decode("utf-8-sig").splitlines() if "evil" in line)
    assert "\"'=HYPERLINK" in line
    assert "122000,00" in line
