"""How words that people write are compared with words that exist. Knows nothing of playbooks or CRMs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def fold(text: str) -> str:
    """The text as it is compared: lower case, ё = е, runs of spaces (no-break ones too) as one space."""
    return " ".join(text.casefold().replace("ё", "е").split())


def same(left: str, right: str) -> bool:
    """Whether two names are one for a person: case, ё and spaces aside."""
    return fold(left) == fold(right)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` most probably stands for, as written there; None when nothing is near."""
    by_fold = {fold(candidate): candidate for candidate in known}
    found = difflib.get_close_matches(fold(word), list(by_fold), n=1, cutoff=0.6)
    if found:
        return by_fold[found[0]]
    # «send_message» for «send»: too long to be near by letters, and yet plain what was meant.
    begun = [known for known in by_fold if len(known) > 2 and fold(word).startswith(known)]
    return by_fold[max(begun, key=len)] if begun else None


def unknown(what: str, word: str, known: Iterable[str]) -> str:
    """The Russian message on a word that does not exist: `what` names it («нет такого этапа»).

    The nearest right word follows; where nothing is near and the choice is short, the whole choice.
    """
    choice = list(dict.fromkeys(known))
    guess = nearest(word, choice)
    if guess is not None:
        return f"{what} «{word}»; может быть, «{guess}»?"
    if 0 < len(choice) <= 12:
        return f"{what} «{word}»; есть: {', '.join(choice)}"
    return f"{what} «{word}»"
