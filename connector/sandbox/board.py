"""The board in the browser: pages, and the JSON behind them that tests use too.

Reading is in `board_view`, changing in `board_edit`; here are only addresses and answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Blueprint, Response, abort, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from connector.sandbox.board_edit import BadEdit, Editor
from connector.sandbox.board_view import View
from connector.sandbox.mailbox import Mailbox, file_answer
from connector.sandbox.state import Portal, UnknownEntity

CRM_TITLES = {"amocrm": "amoCRM", "bitrix24": "Битрикс24"}

Json = tuple[Response, int]


class Board:
    """Pages and JSON over the portals. `links` stand in the head of every page."""

    def __init__(
        self,
        portals: Mapping[str, Portal],
        mailbox: Mailbox,
        *,
        add_bitrix_webhook: Callable[[str, Sequence[str]], object] | None = None,
    ) -> None:
        self.links: list[tuple[str, str]] = []
        self._mailbox = mailbox
        self._views = {crm: View(crm, portal, mailbox) for crm, portal in portals.items()}
        self._editors = {crm: Editor(portal) for crm, portal in portals.items()}
        self._add_bitrix_webhook = add_bitrix_webhook

    def blueprint(self) -> Blueprint:
        """Pages `/board`, `/mail`, `/faults`, JSON at `/sandbox/api/{crm}`, files at `/sandbox/files`."""
        bp = Blueprint(
            "sandbox_board",
            __name__,
            template_folder="pages",
            static_folder="static",
            static_url_path="/sandbox/static",
        )
        bp.get("/", endpoint="root")(lambda: redirect("/board"))
        bp.get("/board", endpoint="boards")(lambda: redirect(f"/board/{next(iter(self._views))}"))
        bp.get("/board/<crm>", endpoint="board")(self._board_page)
        bp.get("/board/<crm>/deals/<int:deal_id>", endpoint="deal")(self._deal_page)
        bp.get("/mail", endpoint="mail")(self._mail_page)
        bp.get("/faults", endpoint="faults")(lambda: self._page("faults.html", crm=None, page="faults"))
        bp.get("/sandbox/files/<crm>/<uuid>")(self._file)
        api = "/sandbox/api"
        bp.get(f"{api}/revision")(self._revision)
        bp.get(f"{api}/<crm>/pipelines")(self._pipelines)
        bp.get(f"{api}/<crm>/board")(self._board)
        bp.get(f"{api}/<crm>/notices")(self._notices)
        bp.post(f"{api}/<crm>/deals")(self._add_deal)
        bp.get(f"{api}/<crm>/deals/<int:entity_id>")(self._deal)
        bp.patch(f"{api}/<crm>/deals/<int:entity_id>")(self._change("edit_deal"))
        bp.delete(f"{api}/<crm>/deals/<int:deal_id>")(self._delete_deal)
        bp.post(f"{api}/<crm>/deals/<int:entity_id>/move")(self._change("move"))
        bp.post(f"{api}/<crm>/deals/<int:entity_id>/notes")(self._change("add_note"))
        bp.patch(f"{api}/<crm>/contacts/<int:entity_id>")(self._change("edit_contact"))
        bp.patch(f"{api}/<crm>/companies/<int:entity_id>")(self._change("edit_company"))
        bp.post(f"{api}/<crm>/tasks/<int:entity_id>/done")(self._change("finish_task"))
        bp.post(f"{api}/bitrix24/webhooks")(self._add_webhook)
        bp.errorhandler(UnknownEntity)(lambda error: (jsonify(error=f"не найдено: {error}"), 404))
        bp.errorhandler(BadEdit)(lambda error: (jsonify(error=str(error)), 400))
        bp.after_request(_harden)
        return bp

    def _view(self, crm: str) -> View:
        view = self._views.get(crm)
        if view is None:
            raise UnknownEntity(f"CRM {crm}")
        return view

    def _page(self, name: str, **values: Any) -> str:
        zone = next(iter(self._views.values())).portal.timezone
        return render_template(name, crms=CRM_TITLES, links=self.links, timezone=zone, **values)

    def _board_page(self, crm: str) -> str:
        if crm not in self._views:
            abort(404)
        return self._page("board.html", crm=crm, deal_id=None)

    def _deal_page(self, crm: str, deal_id: int) -> str:
        if crm not in self._views:
            abort(404)
        return self._page("board.html", crm=crm, deal_id=deal_id)

    def _mail_page(self) -> str:
        smtp = f"{self._mailbox.smtp_host}:{self._mailbox.smtp_port}"
        return self._page("mail.html", crm=None, page="mail", smtp=smtp)

    def _file(self, crm: str, uuid: str) -> AnyResponse:
        file = self._view(crm).file(uuid)
        if file is None:
            raise UnknownEntity("файл")
        return file_answer(file.name, file.mime_type, file.content)

    def _revision(self) -> Response:
        revisions = {crm: view.portal.revision for crm, view in self._views.items()}
        return jsonify(**revisions, mail=self._mailbox.revision)

    def _pipelines(self, crm: str) -> Response:
        view = self._view(crm)
        return jsonify(pipelines=view.pipelines(), **view.directory())

    def _board(self, crm: str) -> Response:
        view = self._view(crm)
        first = view.pipelines()[0]["id"]
        return jsonify(view.board(request.args.get("pipeline", first, type=int)))

    def _notices(self, crm: str) -> Response:
        return jsonify(self._view(crm).notices())

    def _deal(self, crm: str, entity_id: int) -> Response:
        return jsonify(self._view(crm).deal(entity_id))

    def _add_deal(self, crm: str) -> Json:
        view = self._view(crm)
        return jsonify(view.deal(self._editors[crm].add_deal(_body()))), 201

    def _delete_deal(self, crm: str, deal_id: int) -> tuple[str, int]:
        self._view(crm)
        self._editors[crm].delete_deal(deal_id)
        return "", 204

    def _change(self, method: str) -> Callable[[str, int], Response]:
        """The address of one change: carry it out and say that it is done."""

        def answer(crm: str, entity_id: int) -> Response:
            view = self._view(crm)
            getattr(self._editors[crm], method)(entity_id, _body())
            return jsonify(ok=True, revision=view.portal.revision)

        answer.__name__ = method
        return answer

    def _add_webhook(self) -> Json:
        """What a person does in Bitrix24's settings: an outgoing webhook `url` for `events`."""
        body = _body()
        url, events = body.get("url"), body.get("events")
        if self._add_bitrix_webhook is None:
            raise UnknownEntity("Битрикс24")
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise BadEdit("url: нужен адрес")
        if not isinstance(events, list) or not events or not all(isinstance(name, str) for name in events):
            raise BadEdit("events: нужен список событий")
        self._add_bitrix_webhook(url, events)
        return jsonify(ok=True), 201


def _body() -> dict[str, Any]:
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise BadEdit("нужен объект JSON")
    return body


def _harden(response: Response) -> Response:
    if response.mimetype == "text/html":
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
            "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'"
        )
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Cache-Control", "no-cache")
    return response
