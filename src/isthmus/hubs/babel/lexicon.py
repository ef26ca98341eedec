"""The made-up words of each language: a stem for every concept, a second one for those with a synonym.

A word is named by its concept, the second word of a concept by the concept and "~". Every stem comes from the
language's own sound pattern, or is the English one after the language's sound changes (a cognate). No written
stem of a language begins with another one, so that forms can be told apart. Names are mostly those of English,
as the language spells them; they come after all other words, so that they change none.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache

from isthmus.hubs.babel.dice import Dice
from isthmus.hubs.babel.functions import FUNCTIONS
from isthmus.hubs.babel.languages import LANGUAGES, Language
from isthmus.hubs.babel.scripts import WRITERS
from isthmus.hubs.babel.world import CATEGORY, HE, KIND, NAME_KIND, NAMES, SYNONYMOUS, TITLES, WHO

SHARED = 0.85  # share of names that are the English ones after the language's sound changes
SPECIAL = (*NAME_KIND, HE, WHO)  # nouns that are not common ones
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
        cognate = english[word] if english and dice.chance(language.cognates) else ""
        found[word] = _stem(language, CATEGORY[concept_of(word)], dice, cognate, list(found.values()))
    return found


def _stem(language: Language, category: str, dice: Dice, cognate: str, taken: list[str]) -> str:
    """A stem that is free: from the English one if that is given and gives one, else native."""
    if cognate:
        stem = _cognate(language, cognate)
        if stem and _free(stem, taken):
            return stem
    write = WRITERS[language.script]
    candidates = (write(stem) for stem in _native(language, category, dice))
    return next(stem for stem in candidates if _free(stem, taken))


@cache
def _name_stems(code: str) -> Mapping[str, str]:
    """Name, or second word of names, -> written stem."""
    language = LANGUAGES[code]
    english = {} if code == "en" else _name_stems("en")
    taken = list(stems(code).values())
    found: dict[str, str] = {}
    for word in (*NAME_KIND, *sorted(set(TITLES.values()))):
        dice = Dice(f"name/{code}/{word}", block=64)
        shared = dice.chance(SHARED if word in NAME_KIND else language.cognates)
        cognate = english[word] if english and shared else ""
        found[word] = _stem(language, "name", dice, cognate, taken)
        taken.append(found[word])
    return found


@cache
def names(code: str) -> Mapping[str, tuple[str, ...]]:
    """Name -> its one or two written words, in the order of the language."""
    written = _name_stems(code)
    first = FUNCTIONS[code].titles_first.split()
    found: dict[str, tuple[str, ...]] = {}
    for kind, members in NAMES.items():
        for name in members:
            title = (written[TITLES[name]],) if name in TITLES else ()
            found[name] = (*title, written[name]) if kind in first else (written[name], *title)
    return found


@cache
def class_of(code: str, word: str) -> str:
    """The gender or noun class of a noun: by the kind of thing it is, by lot, or "" where there is none.

    Names are a class of their own, by kind; pronouns are like names of persons.
    """
    if word in SPECIAL:
        return NAME_KIND.get(word, "PER")
    language = LANGUAGES[code]
    if language.classes:
        return language.classes[KIND[concept_of(word)]]
    names = tuple(language.nouns)
    return names[0] if len(names) == 1 else Dice(f"class/{code}/{word}", block=4).choice(names)
