"""Payment codes: what is written is read back, and no value can add a field."""

from __future__ import annotations

import shutil
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.documents.payment_qr import PaymentQrError, parse, payload, png

PAYEE = {
    "name": "ООО «Северный ветер»",
    "account": "40702810900000000001",
    "bank": "АО «Банк Пример»",
    "bik": "044525225",
    "corr_account": "30101810400000000225",
}
ZBAR = shutil.which("zbarimg")


def test_payload_has_the_form_of_the_standard() -> None:
    data = payload(**PAYEE, amount=Decimal("0.29"), purpose="Оплата по счёту № 7", payee_inn="7707083893")
    assert data.decode() == (
        "ST00012|Name=ООО «Северный ветер»|PersonalAcc=40702810900000000001|BankName=АО «Банк Пример»|"
        "BIC=044525225|CorrespAcc=30101810400000000225|Sum=29|Purpose=Оплата по счёту № 7|PayeeINN=7707083893"
    )


def test_parse_gives_the_fields_in_their_order() -> None:
    fields = parse(payload(**PAYEE, amount=1, payee_kpp="770701001", doc_no="12", LastName="Иванов"))
    assert list(fields) == [
        *("Name", "PersonalAcc", "BankName", "BIC", "CorrespAcc"),
        *("Sum", "KPP", "DocNo", "LastName"),
    ]
    assert fields["Sum"] == "100"


values = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=45).filter(str.strip)


@given(name=values, bank=values, purpose=values)
def test_any_text_is_read_back_and_adds_no_field(name: str, bank: str, purpose: str) -> None:
    try:
        data = payload(**{**PAYEE, "name": name, "bank": bank}, purpose=purpose)
    except PaymentQrError as error:
        assert "заняты все знаки" in str(error)
        return
    fields = parse(data)
    assert list(fields) == ["Name", "PersonalAcc", "BankName", "BIC", "CorrespAcc", "Purpose"]
    assert (fields["Name"], fields["BankName"]) == (name.strip(), bank.strip())
    assert fields["Purpose"] == purpose.strip()


def test_a_name_with_the_separator_cannot_add_a_second_account() -> None:
    data = payload(**{**PAYEE, "name": "Зло|PersonalAcc=40702810000000000666"}, purpose="a~b")
    assert data[:8] == b"ST00012#"
    assert parse(data)["PersonalAcc"] == PAYEE["account"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "я" * 161},
        {"bank": "б" * 46},
        {"purpose": "п" * 211},
        {"bik": "4452522"},
        {"account": "40702"},
        {"corr_account": "x"},
        {"name": "a\nb"},
        {"amount": "0.001"},
        {"amount": 0},
        {"amount": -1},
        {"amount": 0.29},
        {"amount": Decimal("NaN")},
        {"favourite_colour": "red"},
        {"Name": "второе имя"},
        {"sum": "5", "amount": 1},
    ],
)
def test_what_cannot_be_paid_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(PaymentQrError):
        payload(**{**PAYEE, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("encoding", [("1", "cp1251"), ("2", "utf-8"), ("3", "koi8-r")])
def test_codes_of_others_are_read_in_their_encoding(encoding: tuple[str, str]) -> None:
    text = f"ST0001{encoding[0]}|Name=ООО Ромашка|PersonalAcc=1|BankName=Банк|BIC=2|CorrespAcc=0|Sum=5|"
    assert parse(text.encode(encoding[1]))["Name"] == "ООО Ромашка"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"https://example.ru",
        b"ST00014|Name=a",
        b"ST00012",
        b"ST00012|Name=a|PersonalAcc=1|BankName=b|BIC=2",
        b"ST00012|PersonalAcc=1|Name=a|BankName=b|BIC=2|CorrespAcc=3",
        b"ST00012|Name=a|PersonalAcc=1|BankName=b|BIC=2|CorrespAcc=3|PersonalAcc=9",
        b"ST00012|Name=a|PersonalAcc=1|BankName=b|BIC=2|CorrespAcc=3|personalacc=9",
        b"ST00012|Name=a|PersonalAcc=1|BankName=b|BIC=2|CorrespAcc=3|Sum",
        b"ST00012|Name=\xff\xfe|PersonalAcc=1|BankName=b|BIC=2|CorrespAcc=3",
        "ST00012№Name=a".encode(),
    ],
)
def test_foreign_and_broken_codes_are_refused(data: bytes) -> None:
    with pytest.raises(PaymentQrError):
        parse(data)


@pytest.mark.skipif(ZBAR is None, reason="zbarimg is not installed: the picture cannot be read back")
@pytest.mark.parametrize(
    "purpose", ["Оплата по счёту № 2026-0007 от 24.11.2026, в том числе НДС (22 %)", "д" * 210]
)
def test_the_picture_is_read_back_by_a_scanner(tmp_path: Path, purpose: str) -> None:
    data = payload(**PAYEE, amount="12345.60", purpose=purpose, payee_inn="7707083893", payee_kpp="770701001")
    picture = tmp_path / "qr.png"
    picture.write_bytes(png(data))
    command = [str(ZBAR), "-q", "--raw", "-Sbinary", "-Sdisable", "-Sqrcode.enable", str(picture)]
    read = subprocess.run(command, capture_output=True, check=True, timeout=30).stdout
    assert read.rstrip(b"\n") == data
