"""Report data -> text and HTML through the templates in `templates/reports`, one data model for both.

Templates see the fields of the report's dataclass by name, and the filters of all templates of the product.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

from jinja2 import DictLoader, TemplateError, TemplateNotFound, TemplateSyntaxError
from jinja2.exceptions import SecurityError
from markupsafe import Markup

from connector.charts import check_specs
from connector.documents.environment import TemplateEnvironment
from connector.documents.template_errors import in_russian
from connector.errors import Problem, RenderError
from connector.playbook.source import shown
from connector.reports.base import PAGE, DealPage, DealSet, RenderedReport, Report, ReportData
from connector.reports.wording import whole_money, whole_percent

#: What report templates may call beside the filters of all templates.
FILTERS = {
    "деньги_кратко": whole_money,
    "проценты": whole_percent,
    "доля": lambda share: whole_percent(Decimal(share) * 100),
}


def render(report: Report, data: ReportData, sources: Mapping[str, str]) -> RenderedReport:
    """The report as text and HTML. sources: what `read_templates` gave.

    Raises RenderError, with template and line, for a mistake in a template.
    """
    text = _render(f"{report.name}.txt", data, sources)
    html = _render(f"{report.name}.html", data, sources)
    # Blocks that say nothing leave at most one empty line behind.
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in text.splitlines())).strip()
    return RenderedReport(data.title, text + "\n", html, data.charts, data.deals)


def render_deals(page: DealPage, sources: Mapping[str, str]) -> str:
    """The list of the deals behind one number, as HTML. Raises RenderError as `render`."""
    return _render("deals.html", page, sources)


def read_templates(templates_dir: Path) -> dict[str, str]:
    """The templates of all reports, and the specifications of charts («charts/…»), by their file's name."""
    folder = templates_dir / "reports"
    return {
        file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8")
        for file in sorted([*folder.glob("*"), *folder.glob("charts/*")])
        if file.suffix in (".html", ".txt", ".json")
    }


def check_templates(templates_dir: Path, names: Iterable[str]) -> list[Problem]:
    """Every mistake in the templates of reports, and those of the reports `names` that are not there."""
    folder = templates_dir / "reports"
    problems = [
        Problem(f"{shown(folder)}/{name}", "нет такого файла")
        for name in (*(f"{name}.{suffix}" for name in names for suffix in ("txt", "html")), "deals.html")
        if not (folder / name).is_file()
    ]
    environment = _environment({}, is_html=True)
    for file in sorted(folder.glob("*")):
        if file.suffix in (".html", ".txt"):
            try:
                environment.compile(file.read_text(encoding="utf-8"))
            except TemplateSyntaxError as error:
                problems.append(Problem(f"{shown(file)}:{error.lineno}", in_russian(error)))
            except UnicodeDecodeError:
                problems.append(Problem(shown(file), "файл не в кодировке UTF-8"))
    specs = {}
    for file in sorted(folder.glob("charts/*.json")):
        try:
            specs[f"charts/{file.name}"] = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            problems.append(Problem(shown(file), "файл не в кодировке UTF-8"))
    return problems + check_specs(specs, shown(folder))


def _environment(
    sources: Mapping[str, str], *, is_html: bool, deals: Mapping[str, DealSet] | None = None
) -> TemplateEnvironment:
    environment = TemplateEnvironment(DictLoader(dict(sources)), autoescape=is_html)

    def linked(shown: object, key: str) -> object:
        """The number with a link to its deals, in HTML; alone where it has none."""
        found = (deals or {}).get(key)
        if not is_html or found is None or not found.ids:
            return shown
        return Markup('<a href="{}?deals={}" style="color:#0b57d0">{}</a>').format(PAGE, quote(key), shown)

    environment.filters.update({**FILTERS, "сделки": linked})
    return environment


def _render(name: str, data: ReportData, sources: Mapping[str, str]) -> str:
    environment = _environment(sources, is_html=name.endswith(".html"), deals=data.deals)
    fields = {field.name: getattr(data, field.name) for field in dataclasses.fields(data)}
    try:
        return environment.get_template(name).render(fields, report=data, страница=PAGE)
    except TemplateNotFound as error:
        raise RenderError(name, "нет такого шаблона в папке reports") from error
    except TemplateSyntaxError as error:
        raise RenderError(error.name or name, in_russian(error), error.lineno) from error
    except (TemplateError, SecurityError, TypeError, ValueError, ArithmeticError) as error:
        raise RenderError(name, str(error)) from error
