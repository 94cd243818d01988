"""A render process: takes a kit, then one context after another, and gives files back. It may be killed.

It starts with an empty environment (no tokens, no passwords), limits its own memory, open files and time on
the processor, and talks through its standard input and output alone.
"""

from __future__ import annotations

import os
import sys
from typing import Any, BinaryIO

from connector.documents.compose import Composer
from connector.documents.freeze import thaw
from connector.documents.kit import Kit
from connector.documents.protocol import pack, receive, send, unpack
from connector.errors import RenderError

#: Peak of a document with 1 000 rows was 400 MB of address space.
MEMORY_BYTES = 1024 * 1024 * 1024
OPEN_FILES = 64


def main() -> None:
    """Serve the parent until it closes our input."""
    requests: BinaryIO = os.fdopen(os.dup(0), "rb")
    answers: BinaryIO = os.fdopen(os.dup(1), "wb")
    # A library that prints must not break the frames.
    os.dup2(2, 1)
    hello = receive(requests)
    if hello is None:
        return
    _limit_process(int(hello["memory"]))
    composer = Composer(Kit.from_files({name: unpack(content) for name, content in hello["files"].items()}))
    send(answers, {"ready": True})
    while (request := receive(requests)) is not None:
        _limit_cpu(int(request["cpu_s"]))
        answer = _answer(composer, request)
        send(answers, answer)
        if answer.get("exhausted"):
            return  # what is left of the memory is not worth trusting


def _answer(composer: Composer, request: dict[str, Any]) -> dict[str, Any]:
    kind, context = str(request["kind"]), thaw(request["context"])
    try:
        if request["warm_up"]:
            composer.typesetter.pdf("<p>Готово</p>", {})
            return {"files": [], "missing": []}
        if "html" in request:
            assets = {
                address: (unpack(content), kind_) for address, (content, kind_) in request["assets"].items()
            }
            return {"pdf": pack(composer.typesetter.pdf(request["html"], assets))}
        if request["only_check"]:
            return {"files": [], "missing": composer.missing(kind, context)}
        files, missing = composer.compose(kind, context, draft=bool(request.get("draft")))
        return {"files": [[format_, pack(content)] for format_, content in files], "missing": missing}
    except RenderError as error:
        return {"error": str(error).partition(": ")[2], "template": error.template, "line": error.line}
    except MemoryError:
        return {"error": "документ не поместился в память", "template": kind, "line": None, "exhausted": True}
    except RecursionError:
        return {"error": "слишком глубокая вложенность", "template": kind, "line": None}
    except OSError as error:
        if "cannot load library" in str(error):
            return {"no_pango": str(error).partition(":")[0][:200]}
        return {"error": f"{type(error).__name__}", "template": kind, "line": None}
    except Exception as error:
        # WeasyPrint fails in its own ways on hostile markup; the text of the error may carry personal data.
        return {"error": f"вёрстка не удалась ({type(error).__name__})", "template": kind, "line": None}


def _limit_process(memory: int) -> None:
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_cpu(seconds: int) -> None:
    """Allow the next document so many seconds more; the system ends us when they are used up."""
    if sys.platform == "win32":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + seconds, hard))


if __name__ == "__main__":
    main()
