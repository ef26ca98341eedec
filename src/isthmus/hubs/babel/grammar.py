"""From meaning to sentence: an event and a style become tokens in any language.

One grammar serves all languages; what differs stands in the typology table. Noun phrases are said first, each
in the form of its role, then the slots of the clause are filled in the language's order. All text is in lower
case. Each token keeps its lemma, universal part of speech, features and role.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from isthmus.hubs.babel.functions import FUNCTIONS, FunctionWords
from isthmus.hubs.babel.languages import LANGUAGES, Language
from isthmus.hubs.babel.lexicon import SPECIAL, class_of, concept_of, names, stems
from isthmus.hubs.babel.morphology import inflect, pick
from isthmus.hubs.babel.world import ADJUNCTS, ASKING, HE, NAME_KIND, PLAIN, WHO, Event, Phrase, Style, asked

SLOT_OF = {"agent": "S", "patient": "O", "place": "l", "time": "t", "manner": "m"}
ASKING_ADVERBS = set(ASKING.values()) - {WHO}
LINK_TAGS = {"and": "CCONJ", "because": "SCONJ"}


class Token(NamedTuple):
    """One word of a sentence. `concept` is "" for function words; `role` is the slot's role."""

    form: str
    lemma: str
    concept: str
    upos: str
    features: tuple[str, ...]
    role: str


def phrase_role(style: Style, slot: str) -> str:
    """The role in which what fills a slot of the event is said in this style."""
    return {"agent": "by", "patient": "theme"}.get(slot, slot) if style.passive else slot


class Grammar:
    """The grammar of one language, with the forms that it has said before."""

    def __init__(self, code: str) -> None:
        self.language: Language = LANGUAGES[code]
        self.code = code
        self.functions: FunctionWords = FUNCTIONS[code]
        self.stems = stems(code)
        self.names = names(code)
        self.space = " " if self.language.spaces else ""
        self._phrases: dict[tuple[str, str, str], tuple[Token, ...]] = {}
        self._verbs: dict[tuple[str, str, str], tuple[Token, ...]] = {}

    def special_forms(self, word: str, role: str) -> list[str]:
        """The one or two words of a name, a pronoun or the question word for participants, in a role."""
        if word in self.names:
            *others, last = self.names[word]
            return [*others, inflect(self.language, pick(self.functions.names, role), n=last)]
        return pick(self.functions.he if word == HE else self.functions.who, role).split(" ")

    def noun_form(self, word: str, role: str) -> str:
        """A noun in the form of its role; names may be two words."""
        if word in SPECIAL:
            return self.space.join(self.special_forms(word, role))
        template = pick(self.language.nouns[class_of(self.code, word)], role)
        return inflect(self.language, template, n=self.stems[word])

    def adjective_form(self, word: str, role: str, noun_class: str) -> str:
        """An adjective that agrees with a noun of this class in this role."""
        return inflect(self.language, pick(self.language.adjectives[noun_class], role), a=self.stems[word])

    def frame(self, role: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The adpositions before and after the noun phrase of a role."""
        before, _, after = pick(self.language.frames, role).partition("{np}")
        return tuple(before.split()), tuple(after.split())

    def article(self, role: str, noun_class: str) -> str:
        """The definite article, or "" where the language or the class (of names) has none."""
        articles = self.language.articles
        return pick(articles[noun_class], role) if noun_class in articles else ""

    def phrase(self, noun: str, adjective: str, role: str) -> tuple[Token, ...]:
        """The tokens of a noun phrase (words, not concepts) in its role."""
        key = (noun, adjective, role)
        if key not in self._phrases:
            self._phrases[key] = self._say_phrase(noun, adjective, role)
        return self._phrases[key]

    def _say_phrase(self, noun: str, adjective: str, role: str) -> tuple[Token, ...]:
        noun_class = class_of(self.code, noun)
        case = pick(self.language.cases, role) if self.language.cases else ""
        features = (f"Case={case}",) if case else ()
        before, after = self.frame(role)
        words = self._say_noun(noun, role, features)
        if adjective:
            form = self.adjective_form(adjective, role, noun_class)
            token = Token(form, self.stems[adjective], concept_of(adjective), "ADJ", features, role)
            words.insert(0 if self.language.adjective_first else 1, token)
        if article := self.article(role, noun_class):
            words.insert(0, Token(article, article, "", "DET", ("Definite=Def", *features), role))
        adpositions = [[Token(word, word, "", "ADP", (), role) for word in side] for side in (before, after)]
        return (*adpositions[0], *words, *adpositions[1])

    def _say_noun(self, noun: str, role: str, features: tuple[str, ...]) -> list[Token]:
        if noun not in SPECIAL:
            form = self.noun_form(noun, role)
            return [Token(form, self.stems[noun], concept_of(noun), "NOUN", features, role)]
        forms = self.special_forms(noun, role)
        upos = "PROPN" if noun in NAME_KIND else "PRON"
        lemmas = self.names.get(noun, tuple(forms))
        return [
            Token(form, lemma, noun, upos, features, role) for form, lemma in zip(forms, lemmas, strict=True)
        ]

    def verb(self, word: str, cell: str, subject_class: str) -> tuple[Token, ...]:
        """The tokens of the verb group; a cell is active, active_not, passive or passive_not."""
        key = (word, cell, subject_class)
        if key not in self._verbs:
            self._verbs[key] = self._say_verb(word, cell, subject_class)
        return self._verbs[key]

    def _say_verb(self, word: str, cell: str, subject_class: str) -> tuple[Token, ...]:
        language = self.language
        voice = "Pass" if cell.startswith("passive") else "Act"
        features = (*(("Polarity=Neg",) if cell.endswith("_not") else ()), "Tense=Past", f"Voice={voice}")
        agreement = language.agreement.get(subject_class, "")
        tokens = []
        for piece in language.verb[cell].split():
            form = inflect(language, piece, v=self.stems[word], s=agreement)
            if "{v}" in piece:
                tokens.append(Token(form, self.stems[word], concept_of(word), "VERB", features, "verb"))
            else:
                tokens.append(self._helper(form))
        return tuple(tokens)

    def _helper(self, form: str) -> Token:
        """A function word of the verb group."""
        if form in self.language.particles:
            return Token(form, form, "", "PART", ("Polarity=Neg",), "verb")
        return Token(form, form, "", "AUX", (), "verb")

    def order(self, style: Style, question: str = "") -> list[str]:
        """The slots of a clause in this style, or of a question for this slot."""
        slots = (self.language.passive_order if style.passive else self.language.order).split()
        if question and self.functions.asks_first:
            first = SLOT_OF[question]
            slots = [first, *(slot for slot in slots if slot != first)]
            if self.functions.asks_helper and first != "S":
                slots.insert(1, "d")
            if self.functions.asks_inverted:
                slots = [first, "V", *(slot for slot in slots[1:] if slot != "V")]
        if style.front:
            first = SLOT_OF[style.front]
            slots = [first, *(slot for slot in slots if slot != first)]
            if self.language.verb_second:
                slots = [first, "V", *(slot for slot in slots[1:] if slot != "V")]
        return slots

    def linearise(self, event: Event, style: Style = PLAIN) -> list[Token]:
        """The tokens of a sentence, without the full stop. A question is a plain event with a question word."""
        question = asked(event)

        def word(concept: str) -> str:
            return f"{concept}~" if concept in style.synonyms else concept

        def participant(phrase: Phrase, role: str) -> tuple[Token, ...]:
            return self.phrase(word(phrase.noun), phrase.adjective and word(phrase.adjective), role)

        subject, other = (event.patient, event.agent) if style.passive else (event.agent, event.patient)
        cell = ("passive" if style.passive else "active") + ("_not" if event.negated else "")
        if question not in ("", "agent") and self.functions.asks_helper:
            cell = "asked"
        subject_class = class_of(self.code, word(subject.noun))
        said: dict[str, tuple[Token, ...]] = {
            "S": participant(subject, "theme" if style.passive else "agent"),
            "O": participant(other, "by" if style.passive else "patient"),
            "V": self.verb(word(event.verb), cell, subject_class),
        }
        if event.negated and self.language.negator:
            said["n"] = (self._helper(self.language.negator),)
        if cell == "asked":
            said["d"] = (self._helper(self.functions.asks_helper),)
        for kind in ADJUNCTS:
            if concept := getattr(event, kind):
                said[SLOT_OF[kind]] = self._adjunct(kind, word(concept))
        link = self._link(style.link)
        return [*link, *(token for slot in self.order(style, question) for token in said.get(slot, ()))]

    def _link(self, link: str) -> list[Token]:
        """The conjunction that joins a sentence to the one before, if there is one."""
        form = self.functions.links.get(link, "")
        return [Token(form, form, "", LINK_TAGS[link], (), "link")] if form else []

    def _adjunct(self, kind: str, word: str) -> tuple[Token, ...]:
        """A place is a noun phrase in the role of place; times and manners are adverbs without inflection."""
        if word in ASKING_ADVERBS:
            forms = self.functions.adverbs[kind].split(" ")
            return tuple(Token(form, form, word, "ADV", (), kind) for form in forms)
        if kind == "place":
            return self.phrase(word, "", "place")
        return (Token(self.stems[word], self.stems[word], concept_of(word), "ADV", (), kind),)

    def stop(self, event: Event) -> str:
        """The full stop or the question mark."""
        return self.functions.mark if asked(event) else self.language.stop

    def write(self, tokens: Sequence[Token], stop: str = "") -> str:
        """The sentence as text, with this stop or its full stop."""
        return self.space.join(token.form for token in tokens) + (stop or self.language.stop)

    def say(self, event: Event, style: Style = PLAIN) -> str:
        """The event as a sentence."""
        return self.write(self.linearise(event, style), self.stop(event))

    def tell(self, document: Sequence[tuple[Event, Style]], segmented: bool = False) -> str:
        """Events as a document. One with a link goes on where the one before would stop.

        `segmented`: words are parted by spaces also where the language has none.
        """
        text = ""
        space = " " if segmented else self.space
        for event, style in document:
            before = text.removesuffix(self.language.stop) if style.link else text
            sentence = space.join(token.form for token in self.linearise(event, style)) + self.stop(event)
            text = f"{before}{space if before else ''}{sentence}"
        return text

    def cite(self, concept: str) -> str:
        """The noun as a dictionary would give it: the subject's form without adpositions or article."""
        return self.noun_form(concept, "theme")

    def join(self, sentences: Sequence[str]) -> str:
        """Sentences as a document."""
        return self.space.join(sentences)


@cache
def grammar(code: str) -> Grammar:
    """The grammar of a language, made once."""
    return Grammar(code)
