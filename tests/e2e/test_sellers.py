"""Two companies of ours in one CRM: each sells under its own numbers, requisites, VAT and payment code."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader

from connector.config import CrmName
from connector.documents import payment_qr
from connector.sandbox.app import Sandbox
from connector.sandbox.state import StoredFile
from tests.documents.sellers import FIELD, TRADER, kit_with_two_sellers
from tests.e2e.stand import Stand

TRADER_ACCOUNT, COMPANY_ACCOUNT = "40802810400000000018", "40702810200000000017"
pytestmark = pytest.mark.skipif(
    not (shutil.which("zbarimg") and shutil.which("pdftoppm")),
    reason="zbarimg and pdftoppm are not installed: the code on the page cannot be read back",
)
NUMBER = re.compile(r"№ (\d{4}-\d{4})")


@pytest.fixture(scope="module")
def office(crm: CrmName, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder: Path = tmp_path_factory.mktemp("sellers")
    kit = kit_with_two_sellers(folder / "kit")
    with Stand(sandbox, crm, f"sqlite:///{folder}/connector.db", templates=kit) as stand:
        yield stand


def text_of(file: StoredFile) -> str:
    return " ".join("".join(page.extract_text() for page in PdfReader(BytesIO(file.content)).pages).split())


def code_of(file: StoredFile, folder: Path) -> dict[str, str]:
    """The payment code as a telephone reads it off the printed page."""
    (folder / "page.pdf").write_bytes(file.content)
    subprocess.run(
        ["pdftoppm", "-r", "150", "-png", "-singlefile", "page.pdf", "page"], cwd=folder, check=True
    )
    read = ["zbarimg", "-q", "--raw", "-Sbinary", "-Sdisable", "-Sqrcode.enable", "page.png"]
    return payment_qr.parse(subprocess.run(read, cwd=folder, capture_output=True, check=True).stdout)


def sold_by(stand: Stand, seller: str, what: str) -> list[StoredFile]:
    """Contract and invoice of a new deal whose field names the seller."""
    email = f"{what}-{stand.crm}@example.ru"
    deal_id = stand.add_deal(what, email=email)
    (row,) = stand.portal.deals[deal_id].rows
    rows = [replace(row, vat_rate=None)] if stand.crm == "bitrix24" or seller == TRADER else [row]
    stand.portal.update_deal(deal_id, {"rows": rows, "fields": {FIELD: seller}}, by=stand.manager_id)
    stand.app.directories.refresh("main")
    stand.move(deal_id, "Встреча проведена")
    stand.move(deal_id, "Счёт выставлен")
    stand.wait_for(lambda: len(stand.letters(email)) == 2, "both letters")
    stand.settle()
    files = sorted(stand.files(deal_id), key=lambda file: file.name)
    return [file for file in files if file.name.endswith(".pdf") and not file.name.startswith("Комм")]


def test_each_seller_has_its_own_numbers_requisites_vat_and_payment_code(
    office: Stand, tmp_path: Path
) -> None:
    numbers = []
    for seller, account, vat in (
        ("", COMPANY_ACCOUNT, "в том числе НДС (22 %) 22 000,00 ₽"),
        (TRADER, TRADER_ACCOUNT, "без НДС"),
        ("ООО Северный ветер", COMPANY_ACCOUNT, "в том числе НДС (22 %) 22 000,00 ₽"),
    ):
        contract, invoice = sold_by(office, seller, f"sold-by-{len(numbers)}")
        for file in (contract, invoice):
            text = text_of(file)
            assert account in text
            assert vat in text
            assert (TRADER in text) is (seller == TRADER)
        assert ("п. 1 ст. 145 НК РФ" in text_of(contract)) is (seller == TRADER)
        code = code_of(invoice, tmp_path)
        assert (code["PersonalAcc"], code["Sum"]) == (account, "12200000")
        assert code["Purpose"].endswith("без НДС" if seller == TRADER else "НДС (22 %) 22000,00 руб.")
        assert ("KPP" in code) is (seller != TRADER)
        numbers.append([NUMBER.search(file.name)[1] for file in (contract, invoice)])  # type: ignore[index]
    year = numbers[0][0][:4]
    assert numbers == [[f"{year}-0001"] * 2, [f"{year}-0001"] * 2, [f"{year}-0002"] * 2]


def test_vat_on_top_and_a_discount_reach_the_invoice(office: Stand, tmp_path: Path) -> None:
    email = f"discount-{office.crm}@example.ru"
    deal_id = office.add_deal("Скидка", email=email)
    (row,) = office.portal.deals[deal_id].rows
    changes = {"fields": {"Скидка": "10 %"}, "amount": Decimal("109800")}
    if office.crm == "bitrix24":
        on_top = replace(row, price=Decimal(122000), net_price=Decimal(100000), is_vat_on_top=True)
        changes["rows"] = [on_top]
    office.portal.update_deal(deal_id, changes, by=office.manager_id)
    office.app.directories.refresh("main")
    office.move(deal_id, "Счёт выставлен")
    office.wait_for(lambda: office.letters(email), "the letter")
    (invoice,) = office.files(deal_id)
    text = text_of(invoice)
    assert ("Итого без НДС: 90 000,00 НДС (22 %): 19 800,00" in text) is (office.crm == "bitrix24")
    assert "Всего к оплате: 109 800,00" in text
    assert "(10 % на весь заказ) учтена" in text
    assert code_of(invoice, tmp_path)["Sum"] == "10980000"
