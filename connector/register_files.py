"""The register as files that accountants open: CSV for Excel in Russia (semicolons, comma, BOM) and XLSX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from connector.register import Entry

COLUMNS: tuple[tuple[str, int], ...] = (
    ("Документ", 28),
    ("Номер", 14),
    ("Редакция", 10),
    ("Дата", 12),
    ("Клиент", 40),
    ("Сделка", 12),
    ("Сумма", 16),
    ("Валюта", 8),
    ("Состояние", 16),
    ("Пояснение", 50),
    ("Вариант", 18),
)


def values(entry: Entry) -> tuple[str | int | date | Decimal | None, ...]:
    """One line, in the order of `COLUMNS`."""
    return (
        entry.title,
        entry.number,
        entry.version,
        entry.issued_on,
        entry.client,
        entry.deal_id,
        entry.total,
        entry.currency,
        entry.status,
        entry.remark,
        entry.variant,
    )


def to_csv(entries: Sequence[Entry]) -> bytes:
    """The register as a table that Excel opens by a double click."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=";")
    writer.writerow([title for title, _ in COLUMNS])
    for entry in entries:
        writer.writerow([_cell(value) for value in values(entry)])
    return out.getvalue().encode("utf-8-sig")


def to_xlsx(entries: Sequence[Entry]) -> bytes:
    """The register as a workbook with real dates and numbers."""
    from openpyxl import Workbook
    from openpyxl.utils import get_column_letter

    book = Workbook(write_only=True)
    sheet: Any = book.create_sheet("Реестр документов")
    for number, (_, width) in enumerate(COLUMNS, 1):
        sheet.column_dimensions[get_column_letter(number)].width = width
    sheet.freeze_panes = "A2"
    sheet.append([_text_cell(sheet, title, bold=True) for title, _ in COLUMNS])
    for entry in entries:
        sheet.append([_xlsx_cell(sheet, value) for value in values(entry)])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _cell(value: str | int | date | Decimal | None) -> str:
    match value:
        case None:
            return ""
        case date():
            return f"{value:%d.%m.%Y}"
        case Decimal():
            return f"{value:.2f}".replace(".", ",")
        case str() if value[:1] in "=+-@\t\r" and value:
            # A client called «=HYPERLINK(…)» must not become a formula in the accountant's Excel.
            return "'" + value
    return str(value)


def _xlsx_cell(sheet: Any, value: str | int | date | Decimal | None) -> object:
    from openpyxl.cell import WriteOnlyCell

    if value is None or isinstance(value, str):
        return _text_cell(sheet, value or "")
    cell = WriteOnlyCell(sheet, value)  # type: ignore[arg-type]  # dates and Decimals are written, too
    if isinstance(value, date):
        cell.number_format = "DD.MM.YYYY"
    elif isinstance(value, Decimal):
        cell.number_format = "# ##0.00"
    return cell


def _text_cell(sheet: Any, text: str, *, bold: bool = False) -> object:
    """A cell that is text whatever it begins with."""
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
    from openpyxl.styles import Font

    cell = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("", text))
    cell.data_type = "s"
    if bold:
        cell.font = Font(bold=True)
    return cell
