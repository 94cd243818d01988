"""Names and posts in the genitive: «в лице генерального директора Иванова Ивана Ивановича».

Two independent ways must agree, pytrovich's table of rules and the plain grammar below; where they differ,
or where a surname is known to lose a vowel in no regular manner, the answer is None and a person is asked.
What a person wrote in `company.yml` («родительный») always wins, see `kit.genitives`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Literal

Gender = Literal["male", "female"]

_VOWELS = "аеёиоуыэюя"
_MALE_NAMES = {"лев": "льва", "пётр": "петра", "петр": "петра", "павел": "павла"}
# Surnames whose vowel may or may not fall out (Заяц, Гребень, Сверчок, Козёл, Воробей, Ноготь): only their
# owner knows.
_FLEETING = re.compile(
    r"(?:[её]ц|яц|[её]нь|[оеё]к|[её]л|ёр|(?:боб|вет|шат|кост|ков)ер|ём|[бв][её]й|[кгх]оть|лев)$"
)


def genitive_name(full_name: str) -> str | None:
    """A full name (surname, name, patronymic) in the genitive; None when in doubt.

    The gender is taken from the patronymic, so a name without one is always in doubt.
    """
    parts = full_name.split()
    if len(parts) != 3 or not all(re.fullmatch(r"[А-ЯЁ][а-яё]+(?:-[А-ЯЁ][а-яё]+)*", part) for part in parts):
        return None
    surname, first, patronymic = parts
    gender = gender_of(patronymic)
    if gender is None:
        return None
    declined = [
        _agreed("last", surname, gender),
        _agreed("first", first, gender),
        _agreed("middle", patronymic, gender),
    ]
    return None if None in declined else " ".join(part for part in declined if part)


def surname_genitive(surname: str, gender: Gender) -> str | None:
    """A surname in the genitive; None when in doubt."""
    return _agreed("last", surname, gender)


def gender_of(patronymic: str) -> Gender | None:
    """The gender that a patronymic shows; None for anything else."""
    if re.search(r"(?:ович|евич|[кмтнв]ич|ьич)$", patronymic):
        return "male"
    if re.search(r"(?:овна|евна|ична|инична)$", patronymic):
        return "female"
    return None


def participles(full_name: str) -> dict[str, str]:
    """Words of a contract that agree with a person; both genders when in doubt."""
    gender = next((found for found in map(gender_of, reversed(full_name.split())) if found), None)
    if gender is None:
        return {"именуемое": "именуемый(-ая)", "действующего": "действующего(-ей)"}
    if gender == "male":
        return {"именуемое": "именуемый", "действующего": "действующего"}
    return {"именуемое": "именуемая", "действующего": "действующей"}


def genitive_post(post: str) -> str | None:
    """A post in the genitive with a small letter: «генерального директора»; None for an unknown noun.

    Adjectives in front agree, the head noun is declined, what follows it stays («директор по развитию»).
    """
    words = post.split()
    declined: list[str] = []
    for position, word in enumerate(words):
        lower = word.lower()
        if lower in _POSTS:
            tail = words[position + 1 :]
            return " ".join([*declined, _POSTS[lower], *tail])
        adjective = _genitive_adjective(lower)
        if adjective is None:
            return None
        declined.append(adjective)
    return None


def genitive_basis(basis: str) -> str:
    """What a person acts on, after «на основании»: «Устав» becomes «Устава»; anything else stays as it is."""
    head, space, tail = basis.partition(" ")
    return _BASES.get(head.lower(), head) + space + tail


_POSTS = {
    "директор": "директора",
    "президент": "президента",
    "председатель": "председателя",
    "руководитель": "руководителя",
    "начальник": "начальника",
    "заместитель": "заместителя",
    "управляющий": "управляющего",
    "управляющая": "управляющей",
    "заведующий": "заведующего",
    "заведующая": "заведующей",
    "предприниматель": "предпринимателя",
    "врач": "врача",
    "бухгалтер": "бухгалтера",
    "инженер": "инженера",
    "ректор": "ректора",
    "глава": "главы",
    "менеджер": "менеджера",
    "вице-президент": "вице-президента",
    "секретарь": "секретаря",
    "технолог": "технолога",
    "редактор": "редактора",
    "юрист": "юриста",
    "собственник": "собственника",
    "владелец": "владельца",
    "учредитель": "учредителя",
    "партнёр": "партнёра",
    "партнер": "партнера",
}
_BASES = {
    "устав": "Устава",
    "доверенность": "Доверенности",
    "свидетельство": "Свидетельства",
    "положение": "Положения",
    "приказ": "Приказа",
    "лист": "Листа",
    "решение": "Решения",
    "протокол": "Протокола",
    "контракт": "Контракта",
}


def _genitive_adjective(word: str) -> str | None:
    for ending, genitive in (
        *(("ший", "шего"), ("щий", "щего"), ("жий", "жего"), ("чий", "чего")),
        *(("ний", "него"), ("ый", "ого"), ("ий", "ого"), ("ой", "ого"), ("ая", "ой"), ("яя", "ей")),
    ):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word.removesuffix(ending) + genitive
    return None


#: First parts of double surnames that stay as they are: Бонч-Бруевича, Тер-Петросяна.
_FIXED_PARTS = frozenset(("бонч", "тер", "тот", "сен", "ван", "шах", "мелик", "абдул", "абу", "бен", "дель"))


def _agreed(part: Literal["last", "first", "middle"], word: str, gender: Gender) -> str | None:
    *before, last = word.split("-") if part == "last" else [word]
    heads = [_head(piece, gender) for piece in before]
    ours, theirs = _by_grammar(part, last, gender), declined_by_rules(part, last, gender)
    if ours is None or ours != theirs or None in heads:
        return None
    return "-".join([*(head for head in heads if head), ours])


def _head(word: str, gender: Gender) -> str | None:
    """The first part of a double surname; whether it is declined only its owner knows for most of them."""
    lower = word.lower()
    if lower in _FIXED_PARTS:
        return word
    is_russian = re.search(
        r"(?:[оеё]в|(?:ск|цк)ий)$" if gender == "male" else r"(?:[оеё]ва|(?:ск|цк)ая)$", lower
    )
    return _by_grammar("last", word, gender) if is_russian else None


def _by_grammar(part: str, word: str, gender: Gender) -> str | None:
    lower = word.lower()
    if part == "last":
        return _surname(word, lower, gender)
    if gender == "male" and part == "first" and lower in _MALE_NAMES:
        return word[0] + _MALE_NAMES[lower][1:]
    if lower.endswith(("а", "я")):
        return _feminine_ending(word, lower)
    if gender == "female":
        return word[:-1] + "и" if lower.endswith("ь") else None
    if lower.endswith("й"):
        return word[:-1] + "я"
    if lower.endswith("ь"):
        return word[:-1] + "я"
    return word + "а" if lower[-1] not in _VOWELS else None


def _surname(word: str, lower: str, gender: Gender) -> str | None:
    if lower.endswith("их") and not re.search(r"[гкхжчшщн]их$", lower):
        return None if gender == "male" else word  # Фрейндлих and Дитрих are declined, Долгих is not.
    if lower.endswith(("ых", "их", "о", "е", "и", "у", "ю", "э", "ы")):
        return word
    if gender == "female":
        if lower.endswith(("ова", "ева", "ёва", "ина", "ына")):
            # Бова is a noun: so short a word is no surname of somebody called Б.
            return word[:-1] + "ой" if len(lower) > 4 else None
        if lower.endswith(("ая", "яя")):
            return word[:-2] + ("ой" if lower.endswith("ая") else "ей")
        if lower.endswith(("а", "я")):
            return _feminine_ending(word, lower)
        return word
    if re.search(r"(?:[оеё]в|[иы]н)$", lower) and len(lower) > 3:
        return word + "а"
    if _FLEETING.search(lower):
        return None
    if re.search(r"(?:ск|цк)(?:ий|ой)$", lower):
        return word[:-2] + "ого"
    if lower.endswith(("ый", "кий", "гий", "хий")):
        return word[:-2] + "ого"
    if lower.endswith("ой"):
        # Толстой is an adjective, Цой is not.
        return word[:-2] + "ого" if sum(letter in _VOWELS for letter in lower) > 1 else word[:-1] + "я"
    if lower.endswith(("а", "я")):
        return _feminine_ending(word, lower)
    if lower.endswith(("й", "ь")):
        return word[:-1] + "я"
    return word + "а"


def _feminine_ending(word: str, lower: str) -> str:
    after_i = lower.endswith("я") or lower[-2] in "гкхжшчщ"
    return word[:-1] + ("и" if after_i else "ы")


def declined_by_rules(part: str, word: str, gender: Gender) -> str:
    """One part of a name (`last`, `first`, `middle`) in the genitive by pytrovich's rules alone."""
    from pytrovich.enums import Case, NamePart
    from pytrovich.enums import Gender as TheirGender

    which = {"last": NamePart.LASTNAME, "first": NamePart.FIRSTNAME, "middle": NamePart.MIDDLENAME}[part]
    whose = TheirGender.MALE if gender == "male" else TheirGender.FEMALE
    return str(_maker().make(which, whose, Case.GENITIVE, word))


@lru_cache(maxsize=1)
def _maker() -> Any:
    from pytrovich.maker import PetrovichDeclinationMaker

    return PetrovichDeclinationMaker()
