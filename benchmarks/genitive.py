"""Surnames in the genitive beside bare pytrovich («bare»), on the evaluation list of the petrovich project.

    .venv/bin/python benchmarks/genitive.py surnames.tsv

The list (lemma, word, grammemes) is in the repository petrovich/petrovich-eval and not ours to ship.
Right, wrong and held are shares of all surnames of a gender; a held one is asked of a person, never guessed.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path

from connector.documents.names import Gender, declined_by_rules, surname_genitive

GENDERS: dict[str, Gender] = {"мр": "male", "жр": "female"}


def read(path: Path) -> dict[tuple[Gender, str], set[str]]:
    """(gender, surname in lower case) -> the genitives that the list takes for right."""
    found: dict[tuple[Gender, str], set[str]] = defaultdict(set)
    with path.open(encoding="utf-8-sig", newline="") as source:
        for row in csv.DictReader(source, delimiter="\t"):
            grammemes = row["grammemes"].split(",")
            gender = next((GENDERS[g] for g in grammemes if g in GENDERS), None)
            if gender is None or "мн" in grammemes:
                continue
            # «0» stands for a surname that is the same in all cases. Older lists name a form that several
            # cases share once only: men's genitive is then the accusative, but for those in -а and -я.
            is_vague = row["lemma"].lower().endswith(("а", "я"))
            if "рд" in grammemes or ({"вн", "0"} & set(grammemes) and not is_vague and gender == "male"):
                found[gender, row["lemma"].lower()].add(row["word"].lower())
    return found


def main() -> None:
    answers = read(Path(sys.argv[1]))
    columns = ("surnames", "right", "wrong", "held", "right of told", "bare")
    print(" " * 9, " ".join(f"{name:>14}" for name in columns))
    for gender in ("male", "female"):
        right = wrong = held = theirs = 0
        worst = []
        for (of, lemma), accepted in answers.items():
            if of != gender:
                continue
            word = lemma.capitalize()
            ours = surname_genitive(word, gender)
            theirs += declined_by_rules("last", word, gender).lower() in accepted
            if ours is None:
                held += 1
            elif ours.lower() in accepted:
                right += 1
            else:
                wrong += 1
                worst.append(f"{word} -> {ours}, not {'/'.join(sorted(accepted))}")
        total = right + wrong + held
        told = right + wrong
        shares = (f"{count / total:14.4%}" for count in (right, wrong, held))
        print(f"{gender:9} {total:14} {' '.join(shares)} {right / told:14.4%} {theirs / total:14.4%}")
        for line in worst[:40]:
            print("   ", line)


if __name__ == "__main__":
    main()
