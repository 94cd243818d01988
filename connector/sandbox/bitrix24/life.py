"""The application's life in the portal: made, installed, opened in a frame, renewed, removed.

What a person does in the interface are methods here; what the portal sends then is as recorded. Source:
reference sections 1.3, 1.4 and 4.19.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from connector.sandbox.bitrix24.event_bodies import Pairs
from connector.sandbox.bitrix24.events import Notice
from connector.sandbox.bitrix24.site import Site


class AppLife:
    """What a person does with the local application; `user_id` is who it is done by."""

    def __init__(self, site: Site, user_id: int) -> None:
        self._site = site
        self._user_id = user_id

    def register(self, handler_url: str, install_url: str = "", *, api_only: bool = True) -> None:
        """Make the application: one without pages is installed at once and told so at `install_url`."""
        app = self._site.application
        app.handler_url, app.install_url = handler_url, install_url or handler_url
        app.is_removed, app.is_installed = False, api_only
        if api_only:
            self._tell("ONAPPINSTALL", self._install_data())

    def finish(self) -> None:
        """The page called `BX24.installFinish()`: from now on events and placements are delivered."""
        app = self._site.application
        if app.is_installed or app.is_removed:
            return
        app.is_installed = True
        for binding in self._site.events.online():
            if binding.kind == "app" and binding.event == "ONAPPINSTALL":
                self._site.events.tell_at(
                    binding.url, Notice("ONAPPINSTALL", self._install_data(), self._user_id, system=False)
                )

    def update(self, *, new_token: bool = False) -> None:
        """A new version of it: `ONAPPUPDATE`, perhaps with another application token."""
        app = self._site.application
        previous, app.version = app.version, app.version + 1
        if new_token:
            app.token = secrets.token_hex(16)
        self._tell("ONAPPUPDATE", {"VERSION": str(app.version), "PREVIOUS_VERSION": str(previous)})

    def uninstall(self, *, clean: bool = False) -> None:
        """Remove it with all it bound. Its last event carries no tokens, and its tokens are dead."""
        site = self._site
        data = {"LANGUAGE_ID": "ru", "CLEAN": "1" if clean else "0"}
        handlers = {b.url for b in site.events.online() if (b.kind, b.event) == ("app", "ONAPPUNINSTALL")}
        for url in sorted(handlers):
            site.events.tell_at(url, Notice("ONAPPUNINSTALL", data, self._user_id, system=True))
        site.events.forget_application()
        site.oauth.forget()
        site.application.wipe()

    def frame(
        self, placement: str = "DEFAULT", options: Mapping[str, Any] | None = None, *, user_id: int = 0
    ) -> tuple[str, Pairs]:
        """Address (with query) and form that a browser posts into the frame of that place.

        LookupError when nothing is bound there, or the application is not installed.
        """
        app, user_id = self._site.application, user_id or self._user_id
        token, _ = self._site.oauth.event_token(user_id)
        if placement == "DEFAULT":
            url = app.handler_url if app.is_installed else app.install_url
        else:
            shown = [p for p in app.placements if p.code == placement and p.user_id in (0, user_id)]
            url = shown[0].handler if shown and app.is_installed else ""
        if not url:
            raise LookupError(f"nothing is bound to {placement}")
        query = {
            "DOMAIN": self._site.host,
            "PROTOCOL": "1" if self._site.base_url.startswith("https") else "0",
            "LANG": "ru",
            "APP_SID": secrets.token_hex(16),
        }
        form: Pairs = [
            ("AUTH_ID", token),
            ("AUTH_EXPIRES", "3600"),
            ("REFRESH_ID", self._site.oauth.new_refresh_token(user_id)),
            ("SERVER_ENDPOINT", self._site.oauth_url),
            ("APPLICATION_TOKEN", app.token),
            ("APPLICATION_SCOPE", ",".join(self._site.oauth.scopes)),
            ("member_id", self._site.member_id),
            ("status", "L"),
            ("PLACEMENT", placement),
        ]
        if placement != "DEFAULT" or options:
            # PHP escapes the slashes.
            form.append(("PLACEMENT_OPTIONS", json.dumps(dict(options or {})).replace("/", r"\/")))
        return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}", form

    def _install_data(self) -> dict[str, str]:
        version = str(self._site.application.version)
        return {"VERSION": version, "ACTIVE": "Y", "INSTALLED": "Y", "LANGUAGE_ID": "ru"}

    def _tell(self, event: str, data: Mapping[str, Any]) -> None:
        """An event of the application's own life: to its installer, whatever it bound."""
        notice = Notice(event, data, self._user_id, system=False)
        self._site.events.tell_at(self._site.application.install_url, notice)
