"""How a romanised word is written in a script.

Stems are made up in Latin letters by every language's own sound pattern; a writer turns them into the script.
Writers know sounds, not languages. Letters that a writer does not know are an error of the language table.
"""

import re
from collections.abc import Callable, Mapping

VOWELS = "aeiou"

CYRILLIC = {
    "zh": "ж", "ch": "ч", "sh": "ш", "kh": "х", "ya": "я", "yu": "ю",
    **dict(zip("abvgdezijklmnoprstufyc", "абвгдезийклмнопрстуфыц", strict=True)),
}  # fmt: skip
ARABIC = {
    "aa": "ا", "ii": "ي", "uu": "و", "th": "ث", "kh": "خ", "dh": "ذ", "sh": "ش", "gh": "غ",
    **dict(zip("btjHdrzsSDTEfqklmnhwy", "بتجحدرزسصضطعفقكلمنهوي", strict=True)),
    "a": "", "i": "", "u": "",
}  # fmt: skip
DEVANAGARI = {
    "kh": "ख", "gh": "घ", "ch": "च", "jh": "झ", "th": "थ", "dh": "ध", "ph": "फ", "bh": "भ", "sh": "श",
    **dict(zip("kgjtdnpbmyrlvshTD", "कगजतदनपबमयरलवसहटड", strict=True)),
}  # fmt: skip
MATRA = {"a": "", "aa": "ा", "i": "ि", "ii": "ी", "u": "ु", "uu": "ू", "e": "े", "o": "ो"}
VIRAMA = "्"
KANA = {
    "": "アエイオウ", "k": "カケキコク", "s": "サセシソス", "t": "タテチトツ", "n": "ナネニノヌ",
    "h": "ハヘヒホフ", "m": "マメミモム", "r": "ラレリロル", "g": "ガゲギゴグ", "z": "ザゼジゾズ",
    "d": "ダデヂドヅ", "b": "バベビボブ", "p": "パペピポプ",
}  # fmt: skip
JAMO_ONSETS = (
    "g",
    "kk",
    "n",
    "d",
    "tt",
    "r",
    "m",
    "b",
    "pp",
    "s",
    "ss",
    "",
    "j",
    "jj",
    "ch",
    "k",
    "t",
    "p",
    "h",
)
JAMO_VOWELS = (
    "a", "ae", "ya", "yae", "eo", "e", "yeo", "ye", "o", "wa", "wae", "oe", "yo",
    "u", "weo", "we", "wi", "yu", "eu", "yi", "i",
)  # fmt: skip
JAMO_CODAS = {"": 0, "k": 1, "n": 4, "l": 8, "m": 16, "p": 17, "ng": 21}
# The first characters of the Thousand Character Classic, in which none occurs twice; random pairs mean nothing.
HANS = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰余成岁律吕调阳云腾致雨露结霜金生丽水玉昆冈剑号巨阙珠称夜光果珍李菜重芥"
HANI = "龍師火帝鳥官皇始制文字乃服衣裳推位讓國虞陶唐弔民伐罪周發殷湯坐朝問道垂拱平章愛育黎首臣伏戎羌遐邇壹體率賓歸王鳴鳳樹白駒食"


def _greedy(word: str, table: Mapping[str, str]) -> str:
    """Replace from the left, longest key first."""
    pattern = "|".join(sorted((re.escape(key) for key in table), key=len, reverse=True))
    pieces = re.findall(pattern, word)
    if "".join(pieces) != word:
        raise ValueError(f"{word!r} has sounds that this script cannot write")
    return "".join(table[piece] for piece in pieces)


def _arabic(word: str) -> str:
    """Long vowels and consonants only; a word that begins with a vowel begins with alif."""
    return ("ا" if word[0] in "aiu" and word[:2] != "aa" else "") + _greedy(word, ARABIC)


def _devanagari(word: str) -> str:
    """Consonants carry their vowel as a sign; clusters are joined by virama, the last consonant is bare."""
    consonant = "|".join(sorted(DEVANAGARI, key=len, reverse=True))
    syllables = re.findall(rf"({consonant})(aa|ii|uu|[aiueo])?", word)
    if "".join(head + vowel for head, vowel in syllables) != word:
        raise ValueError(f"{word!r} is not a row of consonants, each with its vowel or none")
    written = "".join(DEVANAGARI[head] + (MATRA[vowel] if vowel else VIRAMA) for head, vowel in syllables)
    return written.removesuffix(VIRAMA)


def _kana(word: str) -> str:
    """Katakana (rows in the order a e i o u); a consonant without a vowel is written with u."""
    syllables = re.findall(rf"([^{VOWELS}]?)([{VOWELS}]?)", word)
    return "".join(KANA[head][VOWELS.index(vowel or "u")] for head, vowel in syllables if head or vowel)


def _hangul(word: str) -> str:
    """Blocks of onset, vowel and coda; a consonant without a vowel is written with eu."""
    onset = "|".join(sorted(filter(None, JAMO_ONSETS), key=len, reverse=True))
    vowel = "|".join(sorted(JAMO_VOWELS, key=len, reverse=True))
    coda = "|".join(sorted(filter(None, JAMO_CODAS), key=len, reverse=True))
    blocks = re.findall(rf"({onset})?({vowel})?((?:{coda})(?!{vowel}))?", word)
    return "".join(
        chr(
            0xAC00
            + (JAMO_ONSETS.index(head) * 21 + JAMO_VOWELS.index(middle or "eu")) * 28
            + JAMO_CODAS[tail if middle else ""]
        )
        for head, middle, tail in blocks
        if head or middle
    )


def _han(characters: str) -> Callable[[str], str]:
    """One character per syllable, by the place of the syllable in a table of 12 onsets and 5 vowels."""
    onsets = "bdgklmnpstxz"

    def write(word: str) -> str:
        syllables = re.findall(rf"([{onsets}])([{VOWELS}])", word)
        return "".join(characters[onsets.index(head) * 5 + VOWELS.index(vowel)] for head, vowel in syllables)

    return write


WRITERS: Mapping[str, Callable[[str], str]] = {
    "Latn": lambda word: word,
    "Cyrl": lambda word: _greedy(word, CYRILLIC),
    "Arab": _arabic,
    "Deva": _devanagari,
    "Hang": _hangul,
    "Kana": _kana,
    "Hans": _han(HANS),
    "Hani": _han(HANI),
}
