"""The kit: all that people edit about documents and letters, read whole, checked, and kept in memory.

Nothing is read from the disk after `load`, so a half-saved file cannot get into a document, and a render
process is handed the very bytes that were checked. It renders nothing itself.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, Environment, TemplateSyntaxError, meta

from connector.documents import company, economics, kit_check, materials, pictures, products, variants
from connector.documents.clauses import ContractText, read_clauses
from connector.documents.company import Companies, Seller
from connector.documents.docx import check_package
from connector.documents.environment import TemplateEnvironment
from connector.documents.materials import Case, read_cases
from connector.documents.messages_file import MessageTemplate, read_message
from connector.documents.products import Products
from connector.documents.template_errors import in_russian
from connector.documents.variants import Variant
from connector.documents.yaml_file import YamlFile
from connector.errors import ConfigError, Problem, RenderError
from connector.playbook.source import shown
from connector.playbook.words import unknown

#: Folders of the kit that belong to documents and letters.
FOLDERS = ("documents", "messages", "fonts", "materials", "pages")
_KEYS = (
    *("название", "форматы", "номер", "действует_дней", "назначение", "пункты"),
    *("варианты", "ссылка_дней", "кнопки"),
)
_SUFFIXES = frozenset({".html", ".css", ".yml", ".md", ".ttf", ".png", ".jpg", ".jpeg", ".docx"})
FORMATS = ("pdf", "docx")
#: What a client may do on a document's page.
BUTTONS = ("принять", "оплатить", "спросить")
#: Pages that clients see; without them no link can be opened.
PAGES = ("pages/document.html", "pages/closed.html")
#: Files in this folder go with letters as they are.
MATERIALS = "materials/"
#: A mail server refuses more; base64 adds a third.
MAX_MATERIAL = 15_000_000


@dataclass(frozen=True, slots=True)
class DocumentTemplate:
    """A kind of document. `series` counts its numbers, one count a year and selling company."""

    kind: str
    title: str
    formats: tuple[str, ...]
    number_format: str
    valid_days: int | None
    purpose_format: str = ""
    clauses: str = ""
    variants: tuple[Variant, ...] = ()
    link_days: int | None = None
    buttons: tuple[str, ...] = BUTTONS

    @property
    def pages(self) -> tuple[str, ...]:
        """Names of the HTML templates, without their ending: one, or one a variant."""
        return tuple(variant.name for variant in self.variants) or (self.kind,)

    def series(self, seller_key: str) -> str:
        """The name under which numbers are counted; each of our companies counts by itself."""
        return f"{self.kind}/{seller_key}"[:64]

    def number(self, ordinal: int, issued_on: date) -> str:
        """The number as it is printed: «2026-0007»."""
        return self.number_format.format_map(
            {"номер": ordinal, "год": issued_on.year, "месяц": f"{issued_on.month:02}"}
        )

    def purpose(self, number: str | None, issued_on: date) -> str:
        """What a payment order says it pays for; "" for a kind that nobody pays by."""
        return self.purpose_format.replace("{номер}", number or "…").replace(
            "{дата}", f"{issued_on:%d.%m.%Y}"
        )

    def file_name(self, said: Mapping[str, Any], format_: str) -> str:
        """What the file is called for people, without what file systems and mail do not bear.

        said: the context's section «документ».
        """
        stem = f"{self.title} № {said['номер']}" if said.get("номер") else self.title
        if said.get("редакция"):
            stem += f", редакция {said['редакция']}"
        return re.sub(r'[\\/:*?"<>|\x00-\x1f]', "-", stem)[:120] + "." + format_


@dataclass(frozen=True, slots=True)
class Kit:
    """See the module. `files` holds every file by its path in the kit («documents/invoice.html»)."""

    files: Mapping[str, bytes]
    documents: Mapping[str, DocumentTemplate]
    messages: Mapping[str, MessageTemplate]
    companies: Companies
    cases: tuple[Case, ...]
    clauses: Mapping[str, ContractText]
    fields: Mapping[str, tuple[str, ...]]
    products: Products
    economics: tuple[economics.Row, ...]

    @classmethod
    def load(cls, templates_dir: Path) -> Kit:
        """The kit in a folder. Raises ConfigError with every mistake as `file:line`."""
        files: dict[str, bytes] = {}
        problems: list[Problem] = []
        for path in _files(templates_dir):
            name = path.relative_to(templates_dir).as_posix()
            content = path.read_bytes()
            if name.startswith(MATERIALS):
                if len(content) > MAX_MATERIAL:
                    megabytes = MAX_MATERIAL // 1_000_000
                    problems.append(Problem(name, f"файл больше {megabytes} МБ: почта такой не пропустит"))
                    continue
            elif path.suffix.lower() in {".png", ".jpg", ".jpeg"}:
                try:
                    content = pictures.reencode(content)
                except pictures.PictureError as error:
                    problems.append(Problem(name, str(error)))
                    continue
            files[name] = content
        problems += [
            Problem(name, "нет такого файла: возьмите его из поставки") for name in PAGES if name not in files
        ]
        try:
            kit = cls.from_files(files)
            problems += kit_check.check(kit)
        except ConfigError as error:
            problems += error.problems
        problems += kit_check.check_texts(files, _assets(files))
        if problems:
            raise ConfigError([_placed(problem, templates_dir) for problem in dict.fromkeys(problems)])
        return kit

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Kit:
        """The kit of these files, whose pictures were re-encoded before. Raises as `load` does."""
        return _Reader(files).kit()

    @property
    def titles(self) -> dict[str, str]:
        """What people call each kind of document."""
        return {kind: template.title for kind, template in self.documents.items()}

    def promised(self, letter: str) -> list[str]:
        """Kinds of documents that a letter or one of its variants says are attached."""
        names = [letter, *(variant.name for variant in self.messages[letter].variants)]
        kinds = (kind for name in names if name in self.messages for kind in self.messages[name].attachments)
        return list(dict.fromkeys(kinds))

    def letter_sha256(self, name: str) -> str:
        """SHA-256 of a letter's own file, which tells its versions apart."""
        return hashlib.sha256(self.files[f"messages/{name}.md"]).hexdigest()

    def seller(self, pipeline_name: str = "", fields: Mapping[str, str] | None = None) -> Seller:
        """Our company that sells in a deal with these custom fields in the pipeline.

        Raises HeldError when the deal names a company that is none of ours.
        """
        return self.companies.seller(pipeline_name, fields)

    def genitive(self, text: str) -> str | None:
        """The genitive that a person wrote down for this very text, if any."""
        return self.companies.genitives.get(text)

    def for_render(self) -> dict[str, bytes]:
        """What a render process needs: all but the files that letters carry, and pages."""
        return {
            name: content
            for name, content in self.files.items()
            if not _is_material(name) and not name.startswith("pages/")
        }

    def version(self) -> str:
        """SHA-256 of all that a render process is given."""
        digest = hashlib.sha256()
        for name, content in sorted(self.for_render().items()):
            digest.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\0".encode())
        return digest.hexdigest()

    def text(self, name: str) -> str:
        return self.files[name].decode("utf-8")

    def sources(self, folder: str) -> dict[str, str]:
        """Texts of a folder by their name within it, for a Jinja loader."""
        return {
            name.removeprefix(folder + "/"): content.decode("utf-8")
            for name, content in self.files.items()
            if name.startswith(folder + "/") and name.endswith((".html", ".md"))
        }

    def assets(self) -> dict[str, tuple[bytes, str]]:
        """Pictures and fonts by the exact address a template may write: `asset:logo.png`, `font:…ttf`."""
        return _assets(self.files)

    def fingerprint(self, kind: str, variant: str = "") -> str:
        """SHA-256 of all that decides how this kind looks: template, what it includes, styles, pictures,
        fonts. Without a variant, of all its variants.

        Raises KeyError for an unknown kind.
        """
        template = self.documents[kind]
        names = {name for name in self.for_render() if not name.endswith((".html", ".docx", ".md"))}
        for page in (variant,) if variant else template.pages:
            names |= {f"documents/{name}" for name in self.reached(f"{page}.html")}
        if "docx" in template.formats:
            names.add(f"documents/{kind}.docx")
        digest = hashlib.sha256(kind.encode())
        for name in sorted(names & set(self.files)):
            digest.update(f"\0{name}\0{hashlib.sha256(self.files[name]).hexdigest()}".encode())
        return digest.hexdigest()

    def reached(self, name: str) -> set[str]:
        """A document template and all that it includes, extends or imports, by their names in the folder."""
        sources, parser = self.sources("documents"), Environment(autoescape=True)
        reached: set[str] = set()
        queue = [name]
        while queue:
            current = queue.pop()
            if current in reached or current not in sources:
                continue
            reached.add(current)
            queue += [
                found for found in meta.find_referenced_templates(parser.parse(sources[current])) if found
            ]
        return reached


class _Reader:
    """Reads the parts one by one and collects what is wrong with them."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        self.problems: list[Problem] = []

    def kit(self) -> Kit:
        for name, content in self._files.items():
            if name.endswith((".html", ".css", ".yml", ".md")):
                try:
                    content.decode("utf-8")
                except UnicodeDecodeError:
                    self.problems.append(Problem(name, "файл не в кодировке UTF-8"))
        if self.problems:
            raise ConfigError(self.problems)
        images = frozenset(
            name.rpartition("/")[2] for name in self._files if name.startswith("documents/pictures/")
        )
        companies = self._try(lambda: company.read_companies(self._text(company.FILE), images))
        documents = self._try(self._documents) or {}
        cases = self._try(lambda: read_cases(self._text("materials/index.yml"))) or ()
        clauses = self._clauses(documents)
        fields = self._try(self._fields) or {}
        counted = self._files.get(economics.FILE, b"").decode("utf-8")
        rows = self._try(lambda: economics.read_rows(counted)) or ()
        shown_of = self._files.get(products.FILE, b"").decode("utf-8")
        looks = self._try(lambda: products.read_products(shown_of, images))
        messages = self._messages()
        self._compile()
        if self.problems or companies is None or looks is None:
            raise ConfigError(self.problems)
        return Kit(dict(self._files), documents, messages, companies, cases, clauses, fields, looks, rows)

    def _text(self, name: str) -> str:
        try:
            return self._files[name].decode("utf-8")
        except KeyError:
            raise ConfigError([Problem(name, "нет такого файла")]) from None

    def _try(self, read: Any) -> Any:
        try:
            return read()
        except ConfigError as error:
            self.problems += error.problems
            return None

    def _documents(self) -> dict[str, DocumentTemplate]:
        file = YamlFile("documents/documents.yml", self._text("documents/documents.yml"))
        found = {}
        for kind, given in file.data.items():
            template = self._document(file, str(kind), given if isinstance(given, dict) else {})
            found[template.kind] = template
        if file.problems:
            raise ConfigError(file.problems)
        return found

    def _document(self, file: YamlFile, kind: str, given: dict[str, Any]) -> DocumentTemplate:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", kind):
            file.problem("вид документа пишется строчными латинскими буквами", kind)
        for key in sorted(map(str, set(given) - set(_KEYS))):
            file.problem(unknown("неизвестный ключ", key, _KEYS), kind, key)
        formats = tuple(given.get("форматы") or ("pdf",))
        for format_ in formats:
            source = f"documents/{kind}.{'html' if format_ == 'pdf' else format_}"
            if format_ not in FORMATS:
                file.problem(f"формат «{format_}» неизвестен; есть: {', '.join(FORMATS)}", kind, "форматы")
            elif source not in self._files and not given.get("варианты"):
                file.problem(f"нет шаблона templates/{source}", kind)
            elif format_ == "docx":
                try:
                    check_package(f"documents/{kind}.docx", self._files[source])
                except RenderError as error:
                    self.problems.append(Problem(source, str(error)))
        number = str(given.get("номер") or "{номер}")
        if not _is_number_format(number):
            file.problem(f"формат номера «{number}»: можно {{год}}, {{месяц}} и {{номер:04}}", kind, "номер")
        days = self._days(file, kind, given, "действует_дней", "срок действия")
        link_days = self._days(file, kind, given, "ссылка_дней", "срок ссылки")
        buttons = given.get("кнопки", list(BUTTONS))
        if not isinstance(buttons, list) or not set(map(str, buttons)) <= set(BUTTONS):
            file.problem(f"кнопки: список из {', '.join(BUTTONS)}; [] — без кнопок", kind, "кнопки")
            buttons = []
        title = str(given.get("название") or "")
        if not title:
            file.problem("нет названия", kind)
        purpose, clauses = str(given.get("назначение") or ""), str(given.get("пункты") or "")
        return DocumentTemplate(
            kind,
            title,
            formats,
            number,
            days,
            purpose,
            clauses,
            self._variants(file, kind, given, formats),
            link_days,
            tuple(map(str, buttons)),
        )

    def _variants(
        self, file: YamlFile, kind: str, given: dict[str, Any], formats: tuple[str, ...]
    ) -> tuple[Variant, ...]:
        found, message = variants.read(given.get("варианты"))
        if message:
            file.problem(message, kind, "варианты")
        if found and formats != ("pdf",):
            file.problem("варианты бывают только у документов с одним форматом, pdf", kind, "варианты")
        for variant in found:
            if f"documents/{variant.name}.html" not in self._files:
                file.problem(f"нет шаблона templates/documents/{variant.name}.html", kind, "варианты")
        return found

    @staticmethod
    def _days(file: YamlFile, kind: str, given: Mapping[str, Any], key: str, what: str) -> int | None:
        days = given.get(key)
        if days is not None and (not isinstance(days, int) or not 1 <= days <= 365):
            file.problem(f"{what}: от 1 до 365 дней", kind, key)
            return None
        return days

    def _clauses(self, documents: Mapping[str, DocumentTemplate]) -> dict[str, ContractText]:
        names = sorted({template.clauses for template in documents.values() if template.clauses})
        read = {}
        for name in names:
            read[name] = self._try(lambda name=name: read_clauses(name, self._text(f"documents/{name}")))
        return read

    def _fields(self) -> dict[str, tuple[str, ...]]:
        file = YamlFile("documents/fields.yml", self._text("documents/fields.yml"))
        found = {}
        for name, titles in file.data.items():
            if not isinstance(titles, list) or not all(isinstance(title, str) for title in titles):
                file.problem("нужен список названий полей CRM", str(name))
                continue
            found[str(name)] = tuple(titles)
        if file.problems:
            raise ConfigError(file.problems)
        return found

    def _messages(self) -> dict[str, MessageTemplate]:
        found = {}
        for name in self._files:
            if name.startswith("messages/") and name.endswith(".md"):
                message = self._try(lambda name=name: read_message(name, self._text(name)))
                if message is not None:
                    found[message.name] = message
        return found

    def _compile(self) -> None:
        for folder in ("documents", "messages", "pages"):
            sources = {
                name.removeprefix(folder + "/"): content.decode("utf-8")
                for name, content in self._files.items()
                if name.startswith(folder + "/") and name.endswith(".html")
            }
            environment = TemplateEnvironment(DictLoader(sources))
            for name, source in sources.items():
                self.problems += _style_problems(f"{folder}/{name}", source)
                try:
                    environment.compile(source, name)
                except TemplateSyntaxError as error:
                    self.problems.append(Problem(f"{folder}/{name}:{error.lineno}", in_russian(error)))


def _files(templates_dir: Path) -> Iterator[Path]:
    """The kit's files: of known kinds in its folders, of any kind among the materials."""
    for folder in FOLDERS:
        for path in sorted((templates_dir / folder).rglob("*")):
            is_known = path.suffix.lower() in _SUFFIXES or folder + "/" == MATERIALS
            if is_known and path.is_file() and not path.name.startswith((".", "~")):
                yield path


def _assets(files: Mapping[str, bytes]) -> dict[str, tuple[bytes, str]]:
    found = {}
    for name, content in files.items():
        file = name.rpartition("/")[2]
        if name.startswith("fonts/") and name.endswith(".ttf"):
            found[f"font:{file}"] = (content, "font/ttf")
        elif name.startswith("documents/pictures/"):
            found[f"asset:{file}"] = (content, pictures.mime_type(content))
    return found


def _is_material(name: str) -> bool:
    return name.startswith(MATERIALS) and name != materials.FILE


def _placed(problem: Problem, templates_dir: Path) -> Problem:
    """The problem with its file named as a person in the current folder would write it."""
    return Problem(f"{shown(templates_dir)}/{problem.place}", problem.message)


def _style_problems(name: str, source: str) -> Iterator[Problem]:
    """A value inside `<style>` cannot be escaped: it is refused whatever it is."""
    for style in re.finditer(r"<style.*?</style>", source, re.DOTALL | re.IGNORECASE):
        place = re.search(r"{{|{%", style[0])
        if place:
            line = source.count("\n", 0, style.start() + place.start()) + 1
            yield Problem(f"{name}:{line}", "внутри <style> нельзя подставлять данные")


def _is_number_format(text: str) -> bool:
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        return False
    names = [name for _, name, _, _ in parts if name is not None]
    simple = all(
        name in {"номер", "год", "месяц"} and not conversion and re.fullmatch(r"(?:0[1-9])?", spec or "")
        for _, name, spec, conversion in parts
        if name is not None
    )
    return simple and "номер" in names and len(text) <= 40
