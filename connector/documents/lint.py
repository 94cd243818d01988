"""What is wrong with a template that Jinja can read: outside addresses, scripts, missing files, known traps.

Pure: sources in, problems out, each with file and line. Names and syntax are checked elsewhere
(`template_names`, `template_errors`); Word files have their own module (`docx_lint`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser

from connector.errors import Problem
from connector.playbook.words import unknown

#: Made for each document by our code, so no file of the kit.
MADE = frozenset({"asset:qr.png"})

#: Elements that make a reader's program do something, or fetch something.
_ACTIVE = frozenset(
    {"script", "iframe", "object", "embed", "applet", "form", "base", "frame", "audio", "video"}
)
#: Where HTML names something that is fetched when it is shown.
_FETCHED = frozenset({"src", "srcset", "background", "poster", "data", "xlink:href"})
_LINKS = ("https:", "http:", "mailto:", "tel:", "#")
_INLINE_PICTURES = ("data:image/png", "data:image/jpeg")
_URL = re.compile(r"url\(\s*[\"']?([^\"')]*)[\"']?\s*\)", re.IGNORECASE)
_IMPORT = re.compile(r"@import\s+(?:url\()?\s*[\"']?([^\"');\s]*)", re.IGNORECASE)
_STYLE = re.compile(r"<style\b[^>]*>(.*?)</style>", re.DOTALL | re.IGNORECASE)
_FACE = re.compile(r"@font-face\s*{(.*?)}", re.DOTALL | re.IGNORECASE)
_FAMILY = re.compile(r"(?<![\w(-])font(?:-family)?\s*:\s*([^;}]*)", re.IGNORECASE)
_RULE = re.compile(r"([^{}@;]+){([^{}]*)}")
_COMMENT = re.compile(r"/\*.*?\*/|{#.*?#}", re.DOTALL)
#: Families that every machine has some font for; «DejaVu» is drawn for signs that our fonts lack.
_ALWAYS = frozenset(
    {"serif", "sans-serif", "monospace", "cursive", "fantasy", "system-ui", "inherit", "dejavu sans"}
    | {"dejavu serif", "initial", "unset"}
)
_PERCENT = re.compile(r"(?:^|;)\s*(?:max-|min-)?(?:width|height)\s*:\s*[\d.]+%", re.IGNORECASE)
_FLEX = re.compile(r"display\s*:\s*(?:inline-)?flex", re.IGNORECASE)
_UNESCAPED = re.compile(r"{%-?\s*autoescape\b|\|\s*safe\b")


def find(sources: Mapping[str, str], assets: Collection[str]) -> list[Problem]:
    """Problems of the texts by their name in the kit («documents/act.html», «documents/base.css»).

    assets: addresses of pictures and fonts that the kit has.
    """
    known = frozenset(assets) | MADE
    shared = "\n".join(text for name, text in sources.items() if name.endswith(".css"))
    fonts = _declared(shared)
    problems: list[Problem] = []
    for name, text in sources.items():
        if name.endswith(".css"):
            problems += _style(name, text, 0, known, fonts)
        elif name.endswith(".html"):
            bare = _COMMENT.sub(_blank, text)
            letter = name.startswith("messages/")
            problems += _escaping(name, bare)
            problems += _markup(name, bare, known, is_letter=letter)
            for style in _STYLE.finditer(bare):
                own = fonts | _declared(style[1])
                above = bare.count("\n", 0, style.start(1))
                problems += _style(name, style[1], above, known, None if letter else own)
            problems += _flex(name, bare, shared)
        elif name.endswith(".md"):
            problems += _escaping(name, text)
    return problems


def _blank(comment: re.Match[str]) -> str:
    """Nothing but the line breaks, so that lines keep their numbers."""
    return "\n" * comment[0].count("\n")


def _escaping(name: str, text: str) -> Iterator[Problem]:
    for found in _UNESCAPED.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        word = "safe" if "safe" in found[0] else "autoescape"
        message = f"«{word}» запрещено: название клиента стало бы разметкой; уберите, всё экранируется само"
        yield Problem(f"{name}:{line}", message)


def _declared(css: str) -> frozenset[str]:
    found = (re.search(r"font-family\s*:\s*([^;}]*)", face[1], re.IGNORECASE) for face in _FACE.finditer(css))
    return frozenset(name[1].strip(" \t\n\"'").casefold() for name in found if name)


def _style(
    name: str, css: str, above: int, known: Collection[str], fonts: Collection[str] | None
) -> Iterator[Problem]:
    """Problems of a style sheet; `above`: lines before it in its file; fonts None: any font is allowed."""
    css = _COMMENT.sub(_blank, css)

    def place(at: int) -> str:
        return f"{name}:{above + css.count(chr(10), 0, at) + 1}"

    for found in _IMPORT.finditer(css):
        yield Problem(
            place(found.start()), f"@import «{found[1]}»: стили берутся только из base.css и <style>"
        )
    for found in _URL.finditer(css):
        message = _wrong_address(found[1], known)
        if message and not re.search(r"@import\s+$", css[: found.start()], re.IGNORECASE):
            yield Problem(place(found.start()), message)
    if fonts is None:
        return
    for found in _FAMILY.finditer(css):
        families = _families(found[1])
        lost = [family for family in families if family.casefold() not in fonts]
        if families and lost == families and not any(f.casefold() in _ALWAYS for f in families[:1]):
            yield Problem(place(found.start()), unknown("нет шрифта", families[0], sorted(fonts)))


def _families(value: str) -> list[str]:
    """Names of a `font` or `font-family`; of the short form the last words of the first part."""
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if not parts or "{{" in value:
        return []
    quoted = re.search(r"[\"']([^\"']+)[\"']", parts[0])
    first = quoted[1] if quoted else parts[0].split()[-1]
    return [first, *(part.strip("\"'") for part in parts[1:])]


def _wrong_address(address: str, known: Collection[str]) -> str:
    """What is wrong with the address of a picture or font; "" when it is one of the kit's."""
    address = address.strip()
    if not address or address.startswith("#") or "{{" in address:
        return "" if not address or address.startswith(("#", "asset:")) else _OUTSIDE.format(address)
    if address in known or address.lower().startswith(_INLINE_PICTURES):
        return ""
    kind, _, _ = address.partition(":")
    if kind in ("asset", "font"):
        what = "нет картинки" if kind == "asset" else "нет файла шрифта"
        return unknown(what, address, [name for name in known if name.startswith(f"{kind}:")])
    if kind == "data":
        return "встроенная картинка должна быть PNG или JPEG; положите её в documents/pictures"
    return _OUTSIDE.format(address)


_OUTSIDE = (
    "адрес «{:.60}» снаружи: документ ничего не загружает; картинку положите в documents/pictures "
    "и пишите asset:имя.png"
)


@dataclass(frozen=True, slots=True)
class _Tag:
    """A start tag with its line, within `parents`, the outermost first."""

    name: str
    attributes: Mapping[str, str]
    line: int
    parents: tuple[tuple[str, Mapping[str, str]], ...]


class _Tags(HTMLParser):
    """Start tags with their lines; the text between Jinja's brackets is no markup."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[_Tag] = []
        self._open: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)
        if tag not in _VOID:
            self._open.append((tag, {name: value or "" for name, value in attrs}))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        names = [name for name, _ in self._open]
        if tag in names:
            del self._open[len(names) - 1 - names[::-1].index(tag) :]

    def _note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.found.append(_Tag(tag, given, self.getpos()[0], tuple(self._open)))


_VOID = frozenset({"img", "br", "hr", "meta", "link", "input", "col", "wbr", "source"})


def _markup(name: str, text: str, known: Collection[str], *, is_letter: bool) -> Iterator[Problem]:
    text = _STYLE.sub(lambda style: "<style>" + _blank(style) + "</style>", text)
    for found_tag in _Tags(text).found:
        tag, attributes = found_tag.name, found_tag.attributes
        place = f"{name}:{found_tag.line}"
        if tag in _ACTIVE:
            yield Problem(place, f"<{tag}> в документах и письмах запрещён")
        if tag == "link":
            yield Problem(place, "<link> запрещён: общие стили лежат в base.css, свои — в <style>")
        for key, value in attributes.items():
            if key.startswith("on"):
                yield Problem(place, f"обработчик «{key}» запрещён: документ ничего не выполняет")
            elif key == "href" and tag in ("a", "area"):
                if not value.strip().lower().startswith(_LINKS) and "{{" not in value:
                    yield Problem(place, f"ссылка «{value:.60}»: можно https://, http://, mailto: и tel:")
            elif key in _FETCHED or (key == "href" and tag != "link"):
                message = _wrong_address(value, known)
                if message:
                    yield Problem(place, message)
            elif key == "style":
                for found in _URL.finditer(value):
                    message = _wrong_address(found[1], known)
                    if message:
                        yield Problem(place, message)


def _flex(name: str, text: str, shared: str) -> Iterator[Problem]:
    """WeasyPrint loses a picture whose size is a percentage of a flex box: it is drawn without any size."""
    css = shared + "\n".join(style[1] for style in _STYLE.finditer(text))
    rules = [(chosen.strip(), body) for chosen, body in _RULE.findall(_COMMENT.sub(_blank, css))]
    flex = [chosen for chosen, body in rules if _FLEX.search(body)]
    percent = [chosen for chosen, body in rules if _PERCENT.search(body)]
    tags = _Tags(_STYLE.sub(_blank, text))
    for found in tags.found:
        tag, attributes = found.name, found.attributes
        if tag != "img":
            continue
        is_percent = (
            _PERCENT.search(attributes.get("style", ""))
            or attributes.get("width", "").endswith("%")
            or any(_hits(chosen, tag, attributes) for chosen in percent)
        )
        in_flex = any(
            _FLEX.search(owner.get("style", "")) or any(_hits(chosen, parent, owner) for chosen in flex)
            for parent, owner in found.parents
        )
        if is_percent and in_flex:
            message = "картинка с размером в процентах внутри display: flex пропадает; задайте размер в mm"
            yield Problem(f"{name}:{found.line}", message)


def _hits(selectors: str, tag: str, attributes: Mapping[str, str]) -> bool:
    """Whether the last part of one of the selectors fits the element."""
    classes = set(attributes.get("class", "").split())
    for selector in selectors.split(","):
        last = re.split(r"[\s>+~]+", selector.strip())[-1]
        name = re.match(r"[\w-]*", last)
        wanted = set(re.findall(r"\.([\w-]+)", last))
        ident = re.findall(r"#([\w-]+)", last)
        if not last or (name and name[0] and name[0] != tag) or not wanted <= classes:
            continue
        if (name and name[0]) or wanted or (ident and ident[0] == attributes.get("id")):
            return True
    return False
