"""The made-up words of each language: a stem for every concept, a second one for those with a synonym.

A word is named by its concept, the second word of a concept by the concept and "~". Every stem comes from the
language's own sound pattern, or is the English one after the language's sound changes (a cognate). No written
stem of a language begins with another one, so that forms can be told apart.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache

from isthmus.hubs.babel.dice import Dice
from isthmus.hubs.babel.languages import LANGUAGES, Language
from isthmus.hubs.babel.scripts import WRITERS
from isthmus.hubs.babel.world import CATEGORY, KIND, SYNONYMOUS

WORDS: tuple[str, ...] = tuple(CATEGORY) + tuple(f"{concept}~" for concept in SYNONYMOUS)


def concept_of(word: str) -> str:
    """The concept that a word says."""
    return word.removesuffix("~")


def _native(language: Language, category: str, dice: Dice) -> Iterator[str]:
    """Romanised stems in the language's sound pattern, without end."""
    shapes = language.verb_shapes if category == "verb" and language.verb_shapes else language.shapes
    sets = [part.split() for part in language.vowels.split("|")]
    sounds = {
        "C": language.onsets.split(),
        "M": language.medials.split(),
        "K": language.codas.split(),
    }
    while True:
        vowels = dice.choice(sets)
        shape = dice.choice(shapes)
        yield "".join(
            dice.choice(vowels if slot == "V" else sounds[slot]) if slot in "VCMK" else slot for slot in shape
        )


def _cognate(language: Language, english: str) -> str:
    """The English stem, written, after the language's sound changes."""
    for pattern, new in language.changes:
        english = re.sub(pattern, new, english)
    return WRITERS[language.loan_script or language.script](english)


def _free(stem: str, taken: list[str]) -> bool:
    """Neither begins with the other."""
    return not any(stem.startswith(other) or other.startswith(stem) for other in taken)


@cache
def stems(code: str) -> Mapping[str, str]:
    """Word -> written stem, for every word of the language."""
    language = LANGUAGES[code]
    english = {} if code == "en" else stems("en")
    found: dict[str, str] = {}
    for word in WORDS:
        dice = Dice(f"lexicon/{code}/{word}", block=64)
        taken = list(found.values())
        if english and dice.chance(language.cognates):
            stem = _cognate(language, english[word])
            if _free(stem, taken):
                found[word] = stem
                continue
        write = WRITERS[language.script]
        candidates = (write(stem) for stem in _native(language, CATEGORY[concept_of(word)], dice))
        found[word] = next(stem for stem in candidates if _free(stem, taken))
    return found


@cache
def class_of(code: str, word: str) -> str:
    """The gender or noun class of a noun: by the kind of thing it is, by lot, or "" where there is none."""
    language = LANGUAGES[code]
    if language.classes:
        return language.classes[KIND[concept_of(word)]]
    names = tuple(language.nouns)
    return names[0] if len(names) == 1 else Dice(f"class/{code}/{word}", block=4).choice(names)
