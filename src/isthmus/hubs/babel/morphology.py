"""A stem and a template give a word form: allomorphs by the stem's last sound, then vowel harmony."""

import re
import unicodedata

from isthmus.hubs.babel.languages import Language, Table

_ALLOMORPH = re.compile(r"<([^/>]*)/([^>]*)>")
_LATIN_VOWELS = "aeiouäöüıyóáéíú"


def pick(table: Table, key: str) -> str:
    """The entry of a role, class or cell; "*" stands for all that are not named."""
    return table[key] if key in table else table["*"]


def ends_in_vowel(word: str) -> bool:
    """Does the word end in a vowel sound (Hangul: in a block without a coda)?"""
    last = word[-1]
    if "가" <= last <= "힣":
        return (ord(last) - 0xAC00) % 28 == 0
    return unicodedata.normalize("NFC", last) in _LATIN_VOWELS


def _turkic(form: str) -> str:
    """A becomes a or e, I becomes ı, i, u or ü, by the vowel before."""
    result = ""
    for letter in form:
        if letter in "AI":
            vowel = next((v for v in reversed(result) if v in "aıoueiöü"), "e")
            back, round_ = vowel in "aıou", vowel in "ouöü"
            letter = ("a" if back else "e") if letter == "A" else "ıiuü"[(0 if back else 1) + 2 * round_]
        result += letter
    return result


def _finnic(form: str) -> str:
    """A, U become a, u in words with a, o, u, and ä, y in all others (e and i are neutral)."""
    back = any(letter in "aou" for letter in form)
    return form.translate(str.maketrans("AU", "au" if back else "äy"))


_HARMONY = {"turkic": _turkic, "finnic": _finnic}


def inflect(language: Language, template: str, **stems: str) -> str:
    """The template with its stems: one word or several, parted by spaces."""
    before, found, _ = template.partition("<")
    if found:
        vowel = ends_in_vowel(before.format(**stems))
        template = _ALLOMORPH.sub(r"\2" if vowel else r"\1", template)
    form = template.format(**stems)
    return _HARMONY[language.harmony](form) if language.harmony else form
