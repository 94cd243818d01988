"""Reports for people: figures with words around them. The table is the list of what can be scheduled."""

from __future__ import annotations

from connector.reports.base import RenderedReport, Report, ReportInput
from connector.reports.lead_quality import lead_quality
from connector.reports.loss_reasons import loss_report
from connector.reports.owner_daily import owner_daily
from connector.reports.standup import standup

__all__ = ["REPORTS", "RenderedReport", "Report", "ReportInput"]

#: All reports by name, as the playbook's `reports` and `connector report` know them.
REPORTS: dict[str, Report] = {
    report.name: report
    for report in (
        Report(
            "owner_daily", "ежедневный отчёт собственнику: план, факт, прогноз, кто действует", owner_daily
        ),
        Report("standup", "планёрка: победы, что сделано и что сегодня делать каждому", standup),
        Report("lead_quality", "качество заявок по каналам за тридцать дней", lead_quality),
        Report("loss_reasons", "причины отказов за неделю и с начала месяца", loss_report),
    )
}
