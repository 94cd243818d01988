"""A report as files: pictures of its charts and its PDF, out of the very HTML that is mailed and shown."""

from __future__ import annotations

import logging
from collections.abc import Callable

from connector.charts import draw
from connector.documents.kit import Kit
from connector.documents.render import RenderPool, RenderProcessError
from connector.domain import CrmFile
from connector.edited import Edited
from connector.errors import ConnectorError
from connector.report_pages import PDF
from connector.reports.base import RenderedReport

log = logging.getLogger(__name__)


class ReportFiles:
    """Makes them in processes of their own. pool: the render processes of a kit."""

    def __init__(self, edited: Callable[[], Edited], pool: Callable[[Kit], RenderPool]) -> None:
        self._edited = edited
        self._pool = pool

    def make(self, report: RenderedReport) -> tuple[list[CrmFile], str]:
        """The files, and what went wrong with one of them: words go out without pictures."""
        edited = self._edited()
        try:
            fonts = {n: content for n, content in edited.kit.files.items() if n.endswith(".ttf")}
            pictures = draw(report.charts, edited.reports, fonts)
            files = [
                CrmFile(f"chart-{number}.png", picture.png, "image/png")
                for number, picture in enumerate(pictures, 1)
            ]
            assets = {f"asset:{file.name}": (file.content, file.mime_type) for file in files}
            pdf = self._pool(edited.kit).pdf(report.html, assets)
        except (ConnectorError, RenderProcessError) as error:
            log.warning("report has no files: %s", error, extra={"action": "report_without_files"})
            return [], str(error)
        return [*files, CrmFile(PDF, pdf, "application/pdf")], ""
