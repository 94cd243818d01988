"""Logo, stamp and signature made safe and small: decoded and written anew, so nothing of the upload survives.

PNG and JPEG only: an SVG can name other files.
"""

from __future__ import annotations

import io
import warnings
from functools import lru_cache

from PIL import Image, UnidentifiedImageError

MAX_SIDE = 4000
MAX_BYTES = 10_000_000
#: A stamp of 64 colours looks the same on paper and weighs a tenth.
_COLOURS = 64


class PictureError(ValueError):
    """A file that may not be printed into a document; Russian."""


#: A kit is read again whenever a file of it is saved, and its pictures are seldom those files.
@lru_cache(maxsize=16)
def reencode(content: bytes) -> bytes:
    """The picture as a fresh PNG (or JPEG, when it was one) without metadata; the same bytes every time.

    Errors: PictureError for another format, a damaged file, more than 4 000 pixels a side or 10 MB.
    """
    if len(content) > MAX_BYTES:
        raise PictureError(f"картинка больше {MAX_BYTES // 1_000_000} МБ")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as picture:
                if max(picture.size) > MAX_SIDE:
                    raise PictureError(f"картинка больше {MAX_SIDE} точек по стороне")
                picture.load()
                return _written(picture)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombWarning):
        raise PictureError("это не PNG и не JPEG, или файл повреждён") from None


def mime_type(content: bytes) -> str:
    return "image/png" if content.startswith(b"\x89PNG") else "image/jpeg"


def _written(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    if picture.format == "JPEG":
        picture.convert("RGB").save(out, "JPEG", quality=88, optimize=True)
        return out.getvalue()
    image = picture.convert("RGBA")
    image.quantize(_COLOURS, method=Image.Quantize.FASTOCTREE).save(out, "PNG", optimize=True)
    return out.getvalue()
