"""Our own companies: `company.yml` read and checked, with the place of every mistake."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from connector.documents import requisites, vat
from connector.documents.money import Unsaid
from connector.documents.names import genitive_basis, genitive_name, genitive_post, participles
from connector.documents.requisites import RequisiteError
from connector.documents.russian import inner_quotes
from connector.documents.yaml_file import YamlFile
from connector.errors import ConfigError, HeldError, MissingField
from connector.playbook.words import unknown

FILE = "documents/company.yml"
_REQUIRED = (
    *("название", "полное_название", "инн", "огрн", "адрес", "город", "банк", "бик", "счёт", "корсчёт"),
    *("директор", "должность", "основание", "ндс"),
)
_OPTIONAL = (
    *("кпп", "телефон", "email", "сайт", "бухгалтер", "директор_родительный", "должность_родительный"),
    *("ндс_основание", "ндс_сверху", "ставка_не_указана", "логотип", "печать", "подпись", "позиция"),
)
_UNSAID: Mapping[str, Unsaid] = {"как у компании": "own", "без ндс": "free", "ждать": "held"}
_PICTURES = ("логотип", "печать", "подпись")
WITHOUT_VAT = "нет"
#: Keys of companies are part of the name of a series of numbers, which is cut at 64 characters.
_KEY_LENGTH = 30


@dataclass(frozen=True, slots=True)
class Seller:
    """One of our companies. `data` is what templates see as «продавец»; `rate` is None for «без НДС».

    adds_vat: prices in the CRM are without VAT, which documents add on top. unsaid: what a row is whose rate
    the CRM does not give.
    """

    key: str
    data: Mapping[str, Any]
    rate: Decimal | None
    adds_vat: bool = False
    unsaid: Unsaid = "own"

    @property
    def names(self) -> frozenset[str]:
        """What people may call it in a field of a deal, as `_plain` writes it."""
        names = (self.key, *(str(self.data.get(key, "")) for key in ("название", "полное_название", "инн")))
        return frozenset(filter(None, map(_plain, names)))


@dataclass(frozen=True, slots=True)
class Companies:
    """All of them, which one sells in which pipeline, and genitives that people wrote by hand.

    field: the custom field of a deal whose value names the company that sells; "" for none.
    """

    sellers: Mapping[str, Seller]
    main: str
    by_pipeline: Mapping[str, str]
    genitives: Mapping[str, str]
    field: str = ""

    def seller(self, pipeline_name: str = "", fields: Mapping[str, str] | None = None) -> Seller:
        """The company that the deal's own field names, else that of the pipeline, else the main one.

        fields: custom fields of the deal. Errors: HeldError for a company that is none of ours.
        """
        named = _value(fields or {}, self.field)
        if not named:
            return self.sellers[self.by_pipeline.get(pipeline_name, self.main)]
        said = inner_quotes(named[:60])
        if named in self.sellers:
            return self.sellers[named]
        called = [seller for seller in self.sellers.values() if _plain(named) in seller.names]
        if len(called) == 1:
            return called[0]
        if called:
            keys = ", ".join(seller.key for seller in called)
            raise self._held(f"«{said}» подходит нескольким компаниям, укажите ключ: {keys}")
        known = ", ".join(str(seller.data.get("название", seller.key)) for seller in self.sellers.values())
        raise self._held(f"компании «{said}» нет в company.yml; есть: {known}")

    def _held(self, reason: str) -> HeldError:
        where = f"Сделка → поле «{self.field}» ({reason})"
        return HeldError("Неизвестно, кто продаёт", [MissingField("продавец", where)])


def _value(fields: Mapping[str, str], title: str) -> str:
    wanted = title.casefold().strip()
    found = (value for name, value in fields.items() if wanted and name.casefold().strip() == wanted)
    return str(next(found, "")).strip()


def _plain(name: str) -> str:
    """A company's name without what people write differently: case, quotes, runs of spaces."""
    return " ".join(re.sub("[«»„“”\"']", "", name).split()).casefold()


def read_companies(text: str, pictures: frozenset[str]) -> Companies:
    """The file's companies. pictures: names that a company may use.

    Errors: ConfigError with every mistake at once.
    """
    file = YamlFile(FILE, text)
    known = {"основная", "компании", "воронки", "поле", "родительный"}
    for key in sorted(set(file.data) - known):
        file.problem(f"неизвестный ключ «{key}»; есть: {', '.join(sorted(known))}", key)
    companies = file.data.get("компании")
    if not isinstance(companies, dict) or not companies:
        file.problem("нужна хотя бы одна компания", "компании")
        raise ConfigError(file.problems)
    sellers = {str(key): _seller(file, str(key), data, pictures) for key, data in companies.items()}
    main = str(file.data.get("основная") or next(iter(sellers)))
    pipelines = {str(name): str(key) for name, key in (file.data.get("воронки") or {}).items()}
    for path, key in ((("основная",), main), *((("воронки", name), key) for name, key in pipelines.items())):
        if key not in sellers:
            file.problem(f"нет компании «{key}»; есть: {', '.join(sellers)}", *path)
    for key in sellers:
        if len(key) > _KEY_LENGTH:
            file.problem(f"ключ компании «{key}» длиннее {_KEY_LENGTH} знаков", "компании", key)
    genitives = {str(name): str(value) for name, value in (file.data.get("родительный") or {}).items()}
    if file.problems:
        raise ConfigError(file.problems)
    field = str(file.data.get("поле") or "").strip()
    return Companies(sellers, main, pipelines, genitives, field)


def _seller(file: YamlFile, key: str, given: Any, pictures: frozenset[str]) -> Seller:
    at = ("компании", key)
    if not isinstance(given, dict):
        file.problem("нужны реквизиты компании", *at)
        return Seller(key, {}, None)
    data = {str(name): str(value).strip() for name, value in given.items() if value not in (None, "")}
    for name in data:
        if name not in (*_REQUIRED, *_OPTIONAL):
            file.problem(unknown("неизвестный реквизит", name, (*_REQUIRED, *_OPTIONAL)), *at, name)
    for name in _REQUIRED:
        if not data.get(name):
            file.problem(f"не заполнено «{name}»", *at)
    for name in _PICTURES:
        if name in data and data[name] not in pictures:
            file.problem(f"нет картинки documents/pictures/{data[name]}: положите туда файл", *at, name)
    _check_numbers(file, at, data, given)
    rate = _rate(file, at, data.pop("ндс", ""))
    adds_vat = _flag(file, at, given.get("ндс_сверху"), data.pop("ндс_сверху", ""))
    if adds_vat and rate is None:
        file.problem("«ндс_сверху» у компании без НДС: сверху нечего добавлять", *at, "ндс_сверху")
    unsaid = data.pop("ставка_не_указана", "как у компании").casefold()
    if unsaid not in _UNSAID:
        choice = ", ".join(f"«{word}»" for word in _UNSAID)
        file.problem(f"«{unsaid}»: можно {choice}", *at, "ставка_не_указана")
    is_person = len(data.get("инн", "")) == 12
    data["вид"] = "ИП" if is_person else "компания"
    data["основание"] = genitive_basis(data.get("основание", ""))
    words = participles(data.get("директор", ""))
    data["действующего"] = words["действующего"]
    data["именуемое"] = words["именуемое"] if is_person else "именуемое"
    _fill(file, at, data, "директор_родительный", "директор", genitive_name)
    _fill(file, at, data, "должность_родительный", "должность", genitive_post)
    return Seller(key, data, rate, adds_vat, _UNSAID.get(unsaid, "own"))


def _check_numbers(
    file: YamlFile, at: tuple[str, str], data: dict[str, str], given: Mapping[str, Any]
) -> None:
    bik = data.get("бик", "")
    checks: dict[str, Callable[[str], None]] = {
        "инн": requisites.check_inn,
        "кпп": requisites.check_kpp,
        "огрн": requisites.check_ogrn,
        "бик": requisites.check_bik,
        "счёт": lambda account: requisites.check_account(account, bik),
        "корсчёт": lambda account: requisites.check_corr_account(account, bik),
    }
    if len(data.get("инн", "")) == 10 and "кпп" not in data:
        file.problem("не заполнено «кпп»: у компании он есть всегда", *at)
    for name, check in checks.items():
        if name in data:
            try:
                check(data[name])
            except RequisiteError as error:
                # Without quotes YAML takes the number for a number, and its zeros may be gone.
                hint = "" if isinstance(given[name], str) else f'; возьмите номер в кавычки: {name}: "…"'
                file.problem(f"{error}{hint}", *at, name)


def _rate(file: YamlFile, at: tuple[str, str], text: str) -> Decimal | None:
    if text.casefold() in {WITHOUT_VAT, "false", "без ндс"}:  # YAML reads a bare «no» as false
        return None
    try:
        rate = Decimal(text.rstrip(" %\u00a0").replace(",", "."))
    except InvalidOperation:
        rate = Decimal(-1)
    if not rate.is_finite() or rate not in vat.KNOWN_RATES:
        rates = ", ".join(f"{known:f}" for known in sorted(vat.KNOWN_RATES, reverse=True))
        file.problem(f"ставка НДС «{text}»: нужно {rates} или «{WITHOUT_VAT}»", *at, "ндс")
        return None
    return rate


def _flag(file: YamlFile, at: tuple[str, str], given: Any, text: str) -> bool:
    if given in (None, True, False):
        return bool(given)
    if text.casefold() not in {"да", "нет"}:
        file.problem(f"«ндс_сверху»: нужно «да» или «нет», а не «{text}»", *at, "ндс_сверху")
    return text.casefold() == "да"


def _fill(
    file: YamlFile,
    at: tuple[str, str],
    data: dict[str, str],
    target: str,
    source: str,
    decline: Callable[[str], str | None],
) -> None:
    """The genitive by rule where nobody wrote it; on doubt the file must have it."""
    if target in data or source not in data:
        return
    declined = decline(data[source])
    if declined is None:
        file.problem(f"напишите «{target}»: «{data[source]}» в родительном падеже", *at, source)
    else:
        data[target] = declined
