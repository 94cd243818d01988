"""`connector preview`: a draft of a document or letter, before anything is sent to anybody."""

from __future__ import annotations

from pathlib import Path

import click

from connector import edited
from connector import preview as drafts
from connector.commands.common import account_option, chosen_account, opened
from connector.config import templates_dir_from_env
from connector.documents.render import RenderPool
from connector.documents.sample_deals import SAMPLES
from connector.preview import Draft


@click.command()
@click.argument("name")
@click.option("--deal", help="Номер сделки в CRM, на данных которой показать.")
@click.option("--sample", type=click.Choice(list(SAMPLES)), help="Придуманный пример вместо сделки.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Куда записать файл.")
@click.option("--open", "show", is_flag=True, help="Сразу открыть.")
@account_option
def preview(
    name: str, deal: str | None, sample: str | None, output: Path | None, show: bool, account: str | None
) -> None:
    """Показать черновик документа или письма. Номер не тратится, ничего не отправляется."""
    if (deal is None) == (sample is None):
        raise click.UsageError("назовите сделку (--deal 123) или пример (--sample ooo)")
    if deal is not None:
        with opened() as app:
            draft = drafts.of_deal(app.tools(chosen_account(app, account)), name, deal)
    else:
        kit = edited.read(templates_dir_from_env()).kit
        with RenderPool(kit) as pool:
            draft = drafts.of_sample(kit, lambda: pool, name, str(sample))
    written = _write(draft, output)
    for path in written:
        click.echo(f"Черновик: {path}")
    if draft.missing:
        click.echo("Не хватает данных, без них документ не уйдёт:")
        for field in draft.missing:
            click.echo(f"  {field.where}")
    if show:
        click.launch(str(written[0]))


def _write(draft: Draft, output: Path | None) -> list[Path]:
    """The draft's files; of a letter the HTML part, whose text is printed too."""
    if draft.letter is not None:
        path = output or Path("Черновик. Письмо.html")
        path.write_text(draft.letter.html, "utf-8")
        click.echo(f"Тема: {draft.letter.subject}\n\n{draft.letter.text}")
        return [path]
    written = []
    for file in draft.files:
        path = Path(file.name) if output is None else output.with_suffix(f".{file.format}")
        path.write_bytes(file.content)
        written.append(path)
    return written
