"""The pages that clients see, from the kit's `pages/`: HTML and the policy that browsers hold it to.

What a page lacks is left out: a visitor can fill in nothing. Knows nothing of links, HTTP or the store.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from connector.documents.environment import TemplateEnvironment, collect_missing, loader, wrap
from connector.documents.kit import Kit
from connector.errors import RenderError

#: A logo goes into the page itself; a larger file stays out of it.
MAX_LOGO = 200_000

NONE = "'none'"
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Page:
    """HTML and what stands in `Content-Security-Policy`."""

    html: str
    policy: str


def render_page(kit: Kit, name: str, context: Mapping[str, Any]) -> Page:
    """One of the kit's pages («document», «closed»). RenderError for a mistake in its template."""
    environment = TemplateEnvironment(loader(kit.sources("pages")))
    try:
        with collect_missing():
            html = environment.get_template(f"{name}.html").render(wrap(context))
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise RenderError(f"pages/{name}.html", str(error), getattr(error, "lineno", None)) from None
    return Page(html, _policy(html))


def logo(kit: Kit, file: str) -> str | None:
    """The seller's logo as a `data:` address; None when there is none, or it is too large for a page."""
    content, mime_type = kit.assets().get(f"asset:{file}", (b"", ""))
    if not content or len(content) > MAX_LOGO:
        return None
    return f"data:{mime_type};base64,{base64.b64encode(content).decode()}"


def _policy(html: str) -> str:
    """Nothing from elsewhere, no script but our own; styles are those of the template, by their digests.

    Data never get into `<style>`: the kit refuses such a template.
    """
    styles = " ".join(f"'sha256-{_digest(style)}'" for style in dict.fromkeys(_STYLE.findall(html)))
    return (
        f"default-src 'none'; style-src {styles or NONE}; script-src 'self'; "
        "img-src 'self' data:; connect-src 'self'; frame-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
