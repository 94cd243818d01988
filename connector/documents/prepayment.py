"""How a contract is paid: all in advance, a part of it, or after delivery, as a field of the deal says."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal, localcontext

_KOPECK = Decimal("0.01")
_PERCENT = re.compile(r"(?:(?:пред|пост)оплата)?(\d{1,3})(?:%|процент\w*)?(?:(?:пред|пост)оплат\w*)?")


def parse(text: str) -> int:
    """The percentage that is paid in advance, 0 to 100: «100 %», «предоплата 30 %», «постоплата».

    Errors: ValueError in Russian, with how to write it.
    """
    squeezed = re.sub(r"\s", "", text).casefold()
    if squeezed in {"предоплата", "полнаяпредоплата"}:
        return 100
    if squeezed in {"постоплата", "безпредоплаты"}:
        return 0
    found = _PERCENT.fullmatch(squeezed)
    if found is None or int(found[1]) > 100:
        raise ValueError(f"условия оплаты «{text[:40]}» не понять: «100 %», «предоплата 30 %», «постоплата»")
    share = int(found[1])
    return 100 - share if "постоплат" in squeezed else share


def parts(total: Decimal, share: int) -> tuple[Decimal, Decimal]:
    """(in advance, afterwards), to the kopeck; together they are the total."""
    with localcontext() as context:
        context.prec = 60
        before = (total * share / 100).quantize(_KOPECK, ROUND_HALF_UP)
    return before, total - before
