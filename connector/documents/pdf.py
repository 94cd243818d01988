"""HTML to PDF by WeasyPrint, with nothing within its reach but the kit's own pictures and fonts.

WeasyPrint's own fetcher opens files and addresses, and can even attach a file of the server to the PDF.
Here a name is either one that our code put into memory or it is refused. Used inside a render process only.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from weasyprint import CSS, HTML
from weasyprint.text.fonts import FontConfiguration
from weasyprint.urls import URLFetcher, URLFetcherResponse

logging.getLogger("weasyprint").setLevel(logging.CRITICAL)
logging.getLogger("fontTools").setLevel(logging.CRITICAL)

#: Address -> (content, MIME type).
Assets = Mapping[str, tuple[bytes, str]]
#: Fit for archives, and transparency (stamps) is allowed.
VARIANT = "pdf/a-3b"
#: Nobody shall send a draft by mistake: it says so on every page.
DRAFT = """
body::after {
  content: "ЧЕРНОВИК"; position: fixed; top: 105mm; left: 0; width: 100%; text-align: center;
  font: bold 88pt "PT Sans", "DejaVu Sans", sans-serif; color: rgba(190, 30, 30, 0.16);
  transform: rotate(-35deg); white-space: nowrap;
}
"""


class BlockedError(ValueError):
    """A document asked for something that is not in the kit."""


class AssetFetcher(URLFetcher):  # type: ignore[misc]
    """Gives exact names from memory and inline pictures; builds no path, connects to nothing."""

    def __init__(self, assets: Assets) -> None:
        super().__init__(allowed_protocols={"data", "asset", "font"}, allow_redirects=False)
        self._assets = assets

    def fetch(self, url: str, headers: dict[str, str] | None = None) -> Any:
        """The named file. BlockedError for every other address."""
        if url in self._assets:
            content, mime_type = self._assets[url]
            return URLFetcherResponse(url, content, {"Content-Type": mime_type})
        if url.startswith(("data:image/png", "data:image/jpeg")):
            return super().fetch(url, headers)
        raise BlockedError(f"{url[:60]}: not in the kit")


class Typesetter:
    """One a process: the fonts are read once, and shared styles are parsed once."""

    def __init__(self, assets: Assets, styles: str) -> None:
        self._assets = dict(assets)
        self._fonts = FontConfiguration()
        #: The kit's own pictures as WeasyPrint decoded them.
        self._pictures: dict[str, Any] = {}
        self._styles = CSS(string=styles, font_config=self._fonts, url_fetcher=AssetFetcher(self._assets))

    def pdf(self, html: str, extra: Assets, *, draft: bool = False) -> bytes:
        """The document; the same bytes for the same HTML. extra: assets of this one alone (its QR code).

        A draft bears the word across every page.
        """
        fetcher = AssetFetcher({**self._assets, **extra})
        document = HTML(string=html, base_url=None, url_fetcher=fetcher)
        seen = dict(self._pictures)
        content: bytes = document.write_pdf(
            stylesheets=[self._styles, CSS(string=DRAFT)] if draft else [self._styles],
            font_config=self._fonts,
            pdf_variant=VARIANT,
            presentational_hints=False,
            cache=seen,
        )
        self._pictures = {url: picture for url, picture in seen.items() if url in self._assets}
        return content
