"""The typology table: twelve languages named after real ones whose form they copy. Data only.

Function words and endings look like those of the real language; content words are made up (lexicon.py).

Templates: {v} {n} {a} are the stems of verb, noun, adjective; {np} is the noun phrase (article, adjectives,
noun); {s} is the verb's agreement with the subject's class. <X/Y> is X after a consonant and Y after a vowel.
In languages with vowel harmony the capitals A and I stand for the vowel that fits the stem.

Roles: agent and patient of an active clause; theme (subject) and by (agent) of a passive one; place.
`order` names the slots of a clause: S subject, O the other participant, V verb, n the negator where it stands
apart from the verb, and the adjuncts l place, t time, m manner.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

ROLES = ("agent", "patient", "theme", "by", "place")
Table = Mapping[str, str]  # a role, a class or a verb cell -> template; "*" stands for all others


@dataclass(frozen=True)
class Language:
    """One row of the table. Sound inventories are separated by spaces; "|" parts harmony sets of vowels."""

    code: str
    name: str
    script: str  # ISO 15924, of the native words
    order: str
    passive_order: str
    verb: Table  # cells: active, active_not, passive, passive_not; asked where a helper word asks
    frames: Table  # role -> adpositions around {np}
    nouns: Mapping[str, Table]  # class -> role -> template
    adjectives: Mapping[str, Table]
    onsets: str
    vowels: str
    codas: str
    shapes: tuple[str, ...]  # C onset, V vowel, K coda, M medial consonant
    verb_shapes: tuple[str, ...] = ()  # as shapes, where verbs differ
    medials: str = ""
    adjective_first: bool = True
    articles: Mapping[str, Table] = field(default_factory=dict)  # class -> role -> article; none if empty
    classes: Table = field(default_factory=dict)  # kind of noun -> class; classes by lot if empty
    agreement: Table = field(default_factory=dict)  # class -> {s}
    negator: str = ""  # the word in slot n
    particles: tuple[str, ...] = ()  # words of the verb group that negate (tagged PART, others AUX)
    cases: Table = field(default_factory=dict)  # role -> Case value
    cognates: float = 0.0  # share of content words that come from the English ones
    changes: tuple[tuple[str, str], ...] = ()  # what becomes of an English word's letters (pattern, new)
    loan_script: str = ""  # script of cognates where it differs
    verb_second: bool = False  # the verb follows whatever is first
    spaces: bool = True
    stop: str = "."
    direction: str = "ltr"
    harmony: str = ""  # "turkic" or "finnic"


_BARE: Mapping[str, Table] = {"": {"*": "{n}"}}
_BARE_ADJECTIVE: Mapping[str, Table] = {"": {"*": "{a}"}}

_ENGLISH = Language(
    "en", "English", "Latn", "S V O m l t", "S V O m l t",
    verb={
        "active": "{v}ed", "active_not": "did not {v}",
        "passive": "was {v}ed", "passive_not": "was not {v}ed", "asked": "{v}",
    },
    frames={"by": "by {np}", "place": "in {np}", "*": "{np}"},
    nouns=_BARE, adjectives=_BARE_ADJECTIVE, articles={"": {"*": "the"}}, particles=("not",),
    onsets="b br c d dr f fl g gl h l m n p pl r s sh st t tr w", vowels="a e i o u", codas="ck d ft l lt m n nd nt r rk sk st t",
    medials="b d g l m n nd p r st t v", shapes=("CVMVK",), cognates=1.0,
)  # fmt: skip

_GERMAN = Language(
    "de", "German", "Latn", "S V O n m l t", "S V O n m l t",
    verb={"active": "{v}te", "active_not": "{v}te", "passive": "wurde {v}t", "passive_not": "wurde {v}t"},
    negator="nicht", particles=("nicht",), verb_second=True,
    frames={"by": "von {np}", "place": "in {np}", "*": "{np}"},
    nouns={"m": {"*": "{n}"}, "f": {"*": "{n}"}, "n": {"*": "{n}"}},
    adjectives={
        "m": {"agent": "{a}e", "theme": "{a}e", "*": "{a}en"},
        "f": {"by": "{a}en", "place": "{a}en", "*": "{a}e"},
        "n": {"by": "{a}en", "place": "{a}en", "*": "{a}e"},
    },
    articles={
        "m": {"agent": "der", "theme": "der", "patient": "den", "*": "dem"},
        "f": {"by": "der", "place": "der", "*": "die"},
        "n": {"by": "dem", "place": "dem", "*": "das"},
    },
    cases={"agent": "Nom", "theme": "Nom", "patient": "Acc", "by": "Dat", "place": "Dat"},
    onsets="b bl d dr f g gr h k kl m n p pf r s sch t w z", vowels="a e i o u ei au", codas="ch ck l lt m n nd nz r rst t tz",
    medials="b d g l m n nd r st t", shapes=("CVMVK", "CVMVK"),
    cognates=0.75, changes=(("c(?!k)", "k"), ("sh", "sch"), ("v", "w"), ("sk$", "sch")),
)  # fmt: skip

_SPANISH = Language(
    "es", "Spanish", "Latn", "S V O m l t", "S V O m l t",
    verb={"active": "{v}ó", "active_not": "no {v}ó", "passive": "fue {v}ado", "passive_not": "no fue {v}ado"},
    particles=("no",), adjective_first=False,
    frames={"by": "por {np}", "place": "en {np}", "*": "{np}"},
    nouns={"m": {"*": "{n}o"}, "f": {"*": "{n}a"}},
    adjectives={"m": {"*": "{a}o"}, "f": {"*": "{a}a"}},
    articles={"m": {"*": "el"}, "f": {"*": "la"}},
    onsets="b br c ch d f g gr j l ll m n p pr r s t tr v", vowels="a e i o u", codas="l n r s d z ñ",
    medials="b c d g l ll m n nd r rr s st t z", shapes=("CVMVK",),
    cognates=0.5, changes=(("^h", "j"), ("sh", "ch"), ("^st", "est"), ("ck", "c"), ("w", "gu"), ("k", "c")),
)  # fmt: skip

_RUSSIAN = Language(
    "ru", "Russian", "Cyrl", "S V O m l t", "S V O m l t",
    verb={
        "active": "{v}ал", "active_not": "не {v}ал",
        "passive": "был {v}ан", "passive_not": "не был {v}ан",
    },
    particles=("не",),
    frames={"place": "в {np}", "*": "{np}"},
    nouns={
        "m": {"agent": "{n}", "theme": "{n}", "patient": "{n}а", "by": "{n}ом", "place": "{n}е"},
        "f": {"agent": "{n}а", "theme": "{n}а", "patient": "{n}у", "by": "{n}ой", "place": "{n}е"},
    },
    adjectives={
        "m": {"agent": "{a}ый", "theme": "{a}ый", "patient": "{a}ого", "by": "{a}ым", "place": "{a}ом"},
        "f": {"agent": "{a}ая", "theme": "{a}ая", "patient": "{a}ую", "*": "{a}ой"},
    },
    cases={"agent": "Nom", "theme": "Nom", "patient": "Acc", "by": "Ins", "place": "Loc"},
    onsets="b v g d z k kr l m n p pr r s st t ch sh zh", vowels="a e i o u", codas="k l m n r s t sh v",
    medials="b v d z l m n r s sk st t", shapes=("CVMVK",),
    cognates=0.4, changes=(("ck", "k"), ("^h", "kh"), ("c", "k"), ("w", "v")),
)  # fmt: skip

_TURKISH = Language(
    "tr", "Turkish", "Latn", "S t l m O V", "S t l O m V",
    verb={"active": "{v}dI", "active_not": "{v}mAdI", "passive": "{v}IldI", "passive_not": "{v}IlmAdI"},
    frames={"by": "{np} tarafından", "*": "{np}"},
    nouns={"": {"patient": "{n}<I/yI>", "place": "{n}dA", "*": "{n}"}}, adjectives=_BARE_ADJECTIVE,
    cases={"agent": "Nom", "theme": "Nom", "patient": "Acc", "by": "Nom", "place": "Loc"}, harmony="turkic",
    onsets="b ç c d g h k m n p s ş t y", vowels="a ı o u|e i ö ü", codas="k l n r ş t z p",
    medials="k l m n r ş t z ğ y", shapes=("CVMVK",),
    cognates=0.1, changes=(("ck", "k"), ("sh", "ş"), ("w", "v"), ("^([bcdfgpst])([lr])", r"\1i\2"), ("^st", "ist")),
)  # fmt: skip

_FINNISH = Language(
    "fi", "Finnish", "Latn", "S V O m l t", "S V O m l t",
    verb={"active": "{v}i", "active_not": "ei {v}nUt", "passive": "{v}ttiin", "passive_not": "ei {v}ttU"},
    particles=("ei",),
    frames={"by": "{np} toimesta", "*": "{np}"},
    nouns={"": {"agent": "{n}", "theme": "{n}", "patient": "{n}A", "by": "{n}n", "place": "{n}ssA"}},
    adjectives={"": {"agent": "{a}", "theme": "{a}", "patient": "{a}A", "by": "{a}n", "place": "{a}ssA"}},
    cases={"agent": "Nom", "theme": "Nom", "patient": "Par", "by": "Gen", "place": "Ine"}, harmony="finnic",
    onsets="h j k l m n p r s t v", vowels="a o u e i|ä ö y e i", codas="n s",
    medials="kk l ll m mm nt pp r rt s ss st tt lk sk", shapes=("CVMV", "CVMVMV"), verb_shapes=("CVMV",),
    cognates=0.1, changes=(
        ("ck", "kk"), ("c", "k"), ("sh", "s"), ("w", "v"), ("f", "v"), ("g", "k"), ("b", "p"), ("d", "t"),
        ("^[kpst]+([kptlr])", r"\1"), ("$", "i"),
    ),
)  # fmt: skip

_ARABIC = Language(
    "ar", "Arabic", "Arab", "V S O m l t", "V S O m l t", direction="rtl",
    verb={"active": "{v}", "active_not": "لم ي{v}", "passive": "ان{v}", "passive_not": "لم ين{v}"},
    particles=("لم",), adjective_first=False,
    frames={"by": "بواسطة {np}", "place": "في {np}", "*": "{np}"},
    nouns={"": {"*": "ال{n}"}}, adjectives={"": {"*": "ال{a}"}},
    onsets="b t th j H kh d r z s sh S D T E gh f q k m", vowels="a i u", codas="b d f l m n r s q k",
    medials="b d l m n r f aal aan iid iim uur uul iin", shapes=("CVMVK", "CaaMiK"), verb_shapes=("CaMaK",),
    cognates=0.1, changes=(
        ("ck", "k"), ("[cg]", "k"), ("p", "b"), ("v", "f"), ("[o]", "uu"), ("[e]", "ii"),
    ),
)  # fmt: skip

_HINDI = Language(
    "hi", "Hindi", "Deva", "S t l O m V", "S t l O m V", stop="।",
    verb={"active": "{v}ा", "active_not": "नहीं {v}ा", "passive": "{v}ा गया", "passive_not": "नहीं {v}ा गया"},
    particles=("नहीं",),
    frames={
        "agent": "{np} ने", "patient": "{np} को", "theme": "{np}", "by": "{np} द्वारा", "place": "{np} में",
    },
    nouns={"m": {"*": "{n}"}, "f": {"*": "{n}"}},
    adjectives={"m": {"theme": "{a}ा", "*": "{a}े"}, "f": {"*": "{a}ी"}},
    cases={"theme": "Nom", "*": "Acc"},
    onsets="k kh g ch j th d dh n p b bh m y r l v s h", vowels="a aa i ii u e o", codas="k g t n p b m r l s sh",
    medials="k g t n m r l s d v", shapes=("CVMVK",),
    cognates=0.15, changes=(
        ("ck", "k"), ("c", "k"), ("z", "s"), ("f", "ph"), ("w", "v"),
    ),
)  # fmt: skip

_SWAHILI = Language(
    "sw", "Swahili", "Latn", "S V O m l t", "S V O m l t",
    verb={"active": "{s}li{v}a", "active_not": "ha{s}ku{v}a", "passive": "{s}li{v}wa", "passive_not": "ha{s}ku{v}wa"},
    adjective_first=False,
    frames={"by": "na {np}", "place": "katika {np}", "*": "{np}"},
    nouns={"1": {"*": "m{n}"}, "7": {"*": "ki{n}"}, "9": {"*": "{n}"}},
    adjectives={"1": {"*": "m{a}"}, "7": {"*": "ki{a}"}, "9": {"*": "n{a}"}},
    classes={"person": "1", "thing": "7", "animal": "9", "place": "9"},
    agreement={"1": "a", "7": "ki", "9": "i", "PER": "a", "ORG": "i"},
    onsets="b ch d f g h j k l mb p s sh t v z", vowels="a e i o u", codas="b d k l m n p t z",
    medials="b d f g k l mb nd ng ny p s sh t z", shapes=("CVMV",), verb_shapes=("CVK", "CVMVK"),
    cognates=0.1, changes=(
        ("ck", "k"), ("c", "k"), ("w", "v"), ("^st", "t"), ("^([bcdfgpt])([lr])", r"\1i\2"), ("$", "i"),
    ),
)  # fmt: skip

_JAPANESE = Language(
    "ja", "Japanese", "Hani", "S t l O m V", "S t l O m V", spaces=False, stop="。",
    verb={"active": "{v}した", "active_not": "{v}しなかった", "passive": "{v}された", "passive_not": "{v}されなかった"},
    frames={"agent": "{np} が", "patient": "{np} を", "theme": "{np} は", "by": "{np} に", "place": "{np} で"},
    nouns=_BARE, adjectives={"": {"*": "{a}い"}},
    onsets="b d g k l m n p s t x z", vowels="a e i o u", codas="", shapes=("CVCV",),
    cognates=0.15, loan_script="Kana", changes=(
        ("ck", "k"), ("c", "k"), ("sh", "s"), ("w", "b"), ("v", "b"), ("l", "r"), ("f", "h"),
    ),
)  # fmt: skip

_CHINESE = Language(
    "zh", "Chinese", "Hans", "S t l m n V O", "S t l m n O V", spaces=False, stop="。",
    verb={"active": "{v}了", "active_not": "{v}", "passive": "{v}了", "passive_not": "{v}"},
    negator="没有", particles=("没有",),
    frames={"by": "被 {np}", "place": "在 {np} 里", "*": "{np}"},
    nouns=_BARE, adjectives={"": {"*": "{a}的"}},
    onsets="b d g k l m n p s t x z", vowels="a e i o u", codas="", shapes=("CVCV",),
    changes=(  # of names, which are cut to open syllables
        ("sh", "x"), ("c", "k"), ("f", "p"), ("[hv]", "b"), ("r", "l"), ("w", "g"), ("[^aeiou](?![aeiou])", ""),
    ),
)  # fmt: skip

_KOREAN = Language(
    "ko", "Korean", "Hang", "S t l O m V", "S t l O m V",
    verb={"active": "{v}했다", "active_not": "{v}하지 않았다", "passive": "{v}되었다", "passive_not": "{v}되지 않았다"},
    particles=("않았다",),
    frames={"by": "{np} 의해", "*": "{np}"},
    nouns={"": {"agent": "{n}<이/가>", "patient": "{n}<을/를>", "theme": "{n}<은/는>", "by": "{n}에", "place": "{n}에서"}},
    adjectives={"": {"*": "{a}<은/한>"}},
    cases={"agent": "Nom", "theme": "Nom", "patient": "Acc", "by": "Dat", "place": "Loc"},
    onsets="g n d r m b s j ch k t p h", vowels="a eo o u eu i ae", codas="k n l m p ng", shapes=("CVCV", "CVCVK", "CVKCV"),
    cognates=0.1, changes=(
        ("ck", "k"), ("c", "k"), ("sh", "s"), ("w", "b"), ("v", "b"), ("l", "r"), ("f", "p"), ("e", "eo"),
    ),
)  # fmt: skip

LANGUAGES: Mapping[str, Language] = {
    language.code: language
    for language in (
        _ENGLISH, _GERMAN, _SPANISH, _RUSSIAN, _TURKISH, _FINNISH,
        _ARABIC, _HINDI, _SWAHILI, _JAPANESE, _CHINESE, _KOREAN,
    )
}  # fmt: skip
