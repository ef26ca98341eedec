"""The function words of questions, pronouns, conjunctions and names, one row per language. Data only.

They look like those of the real language. A row of `who` or `he` has a role of languages.ROLES -> form; a form
with a space in it is two words. Names take the endings of `names`, no article and no adjective.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from isthmus.hubs.babel.languages import LANGUAGES, Table


@dataclass(frozen=True)
class FunctionWords:
    """One row of the table."""

    who: Table
    he: Table
    adverbs: Table  # kind of adjunct -> its question word
    links: Table  # "and" (coordinating) and "because" (subordinating) -> word
    mark: str = "?"
    asks_first: bool = False  # the question word stands first, else in the place of what it asks for
    asks_inverted: bool = False  # and the verb follows it
    asks_helper: str = ""  # and this word follows it, unless it is the subject
    names: Table = field(default_factory=lambda: {"*": "{n}"})  # role -> ending of a name's last word
    titles_first: str = (
        "PER LOC"  # kinds of name whose second word, if they have one, stands before the first
    )


def _adverbs(place: str, time: str, manner: str) -> Table:
    return {"place": place, "time": time, "manner": manner}


def _links(and_: str, because: str) -> Table:
    return {"and": and_, "because": because}


def _as_nouns(code: str, noun_class: str = "") -> Table:
    return LANGUAGES[code].nouns[noun_class]


FUNCTIONS: Mapping[str, FunctionWords] = {
    "en": FunctionWords(
        {"agent": "who", "theme": "who", "*": "whom"},
        {"agent": "he", "theme": "he", "*": "him"},
        _adverbs("where", "when", "how"),
        _links("and", "because"),
        asks_first=True,
        asks_helper="did",
    ),
    "de": FunctionWords(
        {"agent": "wer", "theme": "wer", "patient": "wen", "*": "wem"},
        {"agent": "er", "theme": "er", "patient": "ihn", "*": "ihm"},
        _adverbs("wo", "wann", "wie"),
        _links("und", "weil"),
        asks_first=True,
        asks_inverted=True,
    ),
    "es": FunctionWords(
        {"patient": "a quién", "*": "quién"},
        {"*": "él"},
        _adverbs("dónde", "cuándo", "cómo"),
        _links("y", "porque"),
        asks_first=True,
        asks_inverted=True,
        titles_first="PER ORG LOC",
    ),
    "ru": FunctionWords(
        {"agent": "кто", "theme": "кто", "patient": "кого", "*": "кем"},
        {"agent": "он", "theme": "он", "patient": "его", "*": "им"},
        _adverbs("где", "когда", "как"),
        _links("и", "поскольку"),
        asks_first=True,
        names=_as_nouns("ru", "m"),
    ),
    "tr": FunctionWords(
        {"patient": "kimi", "*": "kim"},
        {"patient": "onu", "*": "o"},
        _adverbs("nerede", "ne zaman", "nasıl"),
        _links("ve", "çünkü"),
        names=_as_nouns("tr"),
        titles_first="PER",
    ),
    "fi": FunctionWords(
        {"agent": "kuka", "theme": "kuka", "patient": "ketä", "*": "kenen"},
        {"agent": "hän", "theme": "hän", "patient": "häntä", "*": "hänen"},
        _adverbs("missä", "milloin", "miten"),
        _links("ja", "koska"),
        asks_first=True,
        names=_as_nouns("fi"),
        titles_first="PER",
    ),
    "ar": FunctionWords(
        {"agent": "من الذي", "theme": "من الذي", "*": "من"},
        {"*": "هو"},
        _adverbs("أين", "متى", "كيف"),
        _links("ثم", "لأن"),
        mark="؟",
        asks_first=True,
        titles_first="PER ORG LOC",
    ),
    "hi": FunctionWords(
        {"theme": "कौन", "*": "किस"},
        {"theme": "वह", "*": "उस"},
        _adverbs("कहाँ", "कब", "कैसे"),
        _links("और", "क्योंकि"),
        titles_first="PER",
    ),
    "sw": FunctionWords(
        {"*": "nani"},
        {"*": "yeye"},
        _adverbs("wapi", "lini", "vipi"),
        _links("kisha", "maana"),
        titles_first="PER ORG LOC",
    ),
    "ja": FunctionWords(
        {"*": "誰"},
        {"*": "彼"},
        _adverbs("どこで", "いつ", "どう"),
        _links("そして", "なぜなら"),
        mark="？",
        titles_first="",
    ),
    "zh": FunctionWords(
        {"*": "谁"},
        {"*": "他"},
        _adverbs("哪里", "何时", "怎么"),
        _links("而且", "因为"),
        mark="？",
        titles_first="",
    ),
    "ko": FunctionWords(
        {"agent": "누가", "patient": "누구를", "theme": "누구는", "by": "누구에", "place": "누구에서"},
        {"agent": "그가", "patient": "그를", "theme": "그는", "by": "그에", "place": "그에서"},
        _adverbs("어디에서", "언제", "어떻게"),
        _links("그리고", "왜냐하면"),
        names=_as_nouns("ko"),
        titles_first="",
    ),
}
