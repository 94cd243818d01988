"""Report data -> text and HTML through the templates in `templates/reports`, one data model for both.

Templates see the fields of the report's dataclass by name, and the filters of all templates of the product.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path

from jinja2 import DictLoader, TemplateError, TemplateNotFound, TemplateSyntaxError
from jinja2.exceptions import SecurityError

from connector.documents.environment import TemplateEnvironment
from connector.documents.template_errors import in_russian
from connector.errors import Problem, RenderError
from connector.playbook.source import shown
from connector.reports.base import RenderedReport, Report, ReportData
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
    return RenderedReport(title=data.title, text=text + "\n", html=html)


def read_templates(templates_dir: Path) -> dict[str, str]:
    """The templates of all reports by their file's name."""
    return {
        file.name: file.read_text(encoding="utf-8")
        for file in sorted((templates_dir / "reports").glob("*"))
        if file.suffix in (".html", ".txt")
    }


def check_templates(templates_dir: Path, names: Iterable[str]) -> list[Problem]:
    """Every mistake in the templates of reports, and those of the reports `names` that are not there."""
    folder = templates_dir / "reports"
    problems = [
        Problem(f"{shown(folder)}/{name}.{suffix}", "нет такого файла")
        for name in names
        for suffix in ("txt", "html")
        if not (folder / f"{name}.{suffix}").is_file()
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
    return problems


def _environment(sources: Mapping[str, str], *, is_html: bool) -> TemplateEnvironment:
    environment = TemplateEnvironment(DictLoader(dict(sources)), autoescape=is_html)
    environment.filters.update(FILTERS)
    return environment


def _render(name: str, data: ReportData, sources: Mapping[str, str]) -> str:
    environment = _environment(sources, is_html=name.endswith(".html"))
    assert dataclasses.is_dataclass(data)
    fields = {field.name: getattr(data, field.name) for field in dataclasses.fields(data)}
    try:
        return environment.get_template(name).render(fields, report=data)
    except TemplateNotFound as error:
        raise RenderError(name, "нет такого шаблона в папке reports") from error
    except TemplateSyntaxError as error:
        raise RenderError(error.name or name, in_russian(error), error.lineno) from error
    except (TemplateError, SecurityError, TypeError, ValueError, ArithmeticError) as error:
        raise RenderError(name, str(error)) from error
