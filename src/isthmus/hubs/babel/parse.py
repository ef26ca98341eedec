"""From sentence to meaning, exactly: the inverse of the grammar, used by the oracle.

Words are looked up in a table of all forms. Noun phrases are chunks around a noun; adpositions, articles,
endings and agreement leave the roles that a chunk can have, and word order decides what they leave open. What
is found must say the very same sentence again, else the sentence is not one of the language.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from isthmus.errors import DataError
from isthmus.hubs.babel.grammar import Grammar, grammar
from isthmus.hubs.babel.languages import ROLES
from isthmus.hubs.babel.lexicon import SPECIAL, WORDS, class_of, concept_of
from isthmus.hubs.babel.world import ADJUNCT_OF, ASKING, CATEGORY, KIND, Event, Phrase, Style, asked

CELLS = ("active", "active_not", "passive", "passive_not")
FRONTS = (("", "place", "time"), ("",))  # of what is told, of a question


@dataclass
class Chunk:
    """A noun with what stands around it, as forms; `noun` is a word."""

    noun: str
    form: str
    before: list[str]
    article: str
    adjective: str
    adjective_form: str
    after: list[str] = field(default_factory=list)


class Parser:
    """All forms of one language, and how to read them."""

    def __init__(self, code: str) -> None:
        self.grammar: Grammar = grammar(code)
        self.code = code
        self.language = self.grammar.language
        self.words: dict[str, str] = {}  # form of a noun, adjective or adverb -> word
        self.verbs: dict[tuple[str, ...], dict[str, str]] = {}  # forms of the verb group -> cell -> word
        self.links = {form: link for link, form in self.grammar.functions.links.items()}
        self.stops = (self.language.stop, self.grammar.functions.mark)
        self._learn_words()
        self._learn_special()
        self._learn_verbs()
        frames = [self.grammar.frame(role) for role in ROLES]
        self.before = {word for before, _ in frames for word in before}
        self.after = {word for _, after in frames for word in after}
        self.articles = {form for table in self.language.articles.values() for form in table.values()}
        self.verb_words = {form for group in self.verbs for form in group}
        known = {
            *self.words, *self.before, *self.after, *self.articles, *self.verb_words, *self.links
        }  # fmt: skip
        self._scan = re.compile("|".join(sorted(map(re.escape, known), key=lambda form: (-len(form), form))))

    def _learn_words(self) -> None:
        for word in WORDS:
            category = CATEGORY[concept_of(word)]
            if category == "noun":
                forms = {self.grammar.noun_form(word, role) for role in ROLES}
            elif category == "adjective":
                forms = {
                    self.grammar.adjective_form(word, role, noun_class)
                    for role in ROLES
                    for noun_class in self.language.nouns
                }
            else:
                forms = {self.grammar.stems[word]} if category == "adverb" else set()
            self._learn(word, forms)

    def _learn_special(self) -> None:
        """Names, pronouns, question words."""
        for word in SPECIAL:
            self._learn(word, {self.grammar.noun_form(word, role) for role in ROLES})
        for kind, form in self.grammar.functions.adverbs.items():
            self._learn(ASKING[kind], {form})

    def _learn(self, word: str, forms: set[str]) -> None:
        for form in forms:
            if self.words.setdefault(form, word) != word:
                raise ValueError(f"{self.code}: {form} is a form of {word} and of {self.words[form]}")

    def _learn_verbs(self) -> None:
        negator = (self.language.negator,) if self.language.negator else ()
        common = (word for word in WORDS if CATEGORY[concept_of(word)] == "noun")
        classes = {class_of(self.code, word) for word in (*common, *SPECIAL)}
        for word in WORDS:
            if CATEGORY[concept_of(word)] != "verb":
                continue
            for cell in CELLS:
                for noun_class in classes:
                    group = tuple(token.form for token in self.grammar.verb(word, cell, noun_class))
                    if cell.endswith("_not"):
                        group += negator
                    self._learn_verb(group, cell, word)
            if self.grammar.functions.asks_helper:
                form = self.grammar.verb(word, "asked", "")[0].form
                self._learn_verb((form, self.grammar.functions.asks_helper), "asked", word)

    def _learn_verb(self, group: tuple[str, ...], cell: str, word: str) -> None:
        cells = self.verbs.setdefault(tuple(sorted(group)), {})
        if cells.setdefault(cell, word) != word:
            raise ValueError(f"{self.code}: {' '.join(group)} has two meanings")

    def tokens(self, sentence: str) -> list[str]:
        """The words of a sentence; scripts without spaces are cut at the longest known form.

        A name of two words is one here.
        """
        body = next((sentence.removesuffix(stop) for stop in self.stops if sentence.endswith(stop)), sentence)
        if self.language.spaces:
            return self._merged(body.split(" "))
        found = self._scan.findall(body)
        if "".join(found) != body:
            raise DataError(f"{sentence!r} has words that {self.language.name} of babel does not know.")
        return found

    def _merged(self, forms: list[str]) -> list[str]:
        """The words, with those joined that are one form of the table."""
        merged: list[str] = []
        for form in forms:
            if merged and f"{merged[-1]} {form}" in self.words:
                merged[-1] += f" {form}"
            else:
                merged.append(form)
        return merged

    def parse(self, sentence: str) -> tuple[Event, Style]:
        """The event and the style of a sentence. Raises DataError if it is not one of the language."""
        forms = self.tokens(sentence)
        link = self.links.get(forms[0], "")
        chunks, adverbs, verb_group = self._read(forms[1:] if link else forms)
        found: list[tuple[Event, Style]] = []
        for cell, verb in self.verbs.get(tuple(sorted(verb_group)), {}).items():
            passive = cell.startswith("passive")
            roles = self._assign(chunks, passive)
            if roles:
                event = self._event(roles, adverbs, verb, cell)
                words = [verb, *(word for chunk in chunks for word in (chunk.noun, chunk.adjective))]
                synonyms = frozenset(concept_of(word) for word in words if word.endswith("~"))
                styles = (Style(passive, front, synonyms, link) for front in FRONTS[bool(asked(event))])
                found += [(event, style) for style in styles if self.grammar.say(event, style) == sentence]
        if len({event for event, _ in found}) != 1:
            problem = "means two things" if found else "is not a sentence"
            raise DataError(f"{sentence!r} {problem} in {self.language.name} of babel.")
        return found[0]

    def _event(self, roles: dict[str, Chunk], adverbs: dict[str, str], verb: str, cell: str) -> Event:
        """The event of the chunks in their roles."""
        phrases = {role: Phrase(concept_of(c.noun), concept_of(c.adjective)) for role, c in roles.items()}
        passive = cell.startswith("passive")
        return Event(
            agent=phrases["by" if passive else "agent"],
            verb=concept_of(verb),
            patient=phrases["theme" if passive else "patient"],
            place=phrases["place"].noun if "place" in phrases else adverbs.get("place", ""),
            negated=cell.endswith("_not"),
            time=adverbs.get("time", ""),
            manner=adverbs.get("manner", ""),
        )

    def _read(self, forms: list[str]) -> tuple[list[Chunk], dict[str, str], list[str]]:
        """Chunks in order, adverbs by kind, and the words of the verb group."""
        chunks: list[Chunk] = []
        adverbs: dict[str, str] = {}
        verb_group: list[str] = []
        before: list[str] = []
        article = adjective = ""
        for form in forms:
            word = self.words.get(form, "")
            category = CATEGORY.get(concept_of(word), "noun") if word else ""
            if word in ADJUNCT_OF:
                adverbs[ADJUNCT_OF[word]] = word
            elif category == "noun":
                chunks.append(Chunk(word, form, before, article, *self._split(adjective)))
                before, article, adjective = [], "", ""
            elif category == "adjective" and self.language.adjective_first:
                adjective = form
            elif category == "adjective" and chunks:
                chunks[-1].adjective, chunks[-1].adjective_form = word, form
            elif form in self.before:
                before = [*before, form]
            elif form in self.after and chunks:
                chunks[-1].after.append(form)
            elif form in self.articles:
                article = form
            else:
                verb_group.append(form)
        return chunks, adverbs, verb_group

    def _split(self, form: str) -> tuple[str, str]:
        return (self.words[form], form) if form else ("", "")

    def _possible(self, chunk: Chunk, passive: bool) -> Iterator[str]:
        """The roles that a chunk's form allows in this voice."""
        noun_class = class_of(self.code, chunk.noun)
        for role in ("theme", "by", "place") if passive else ("agent", "patient", "place"):
            if (KIND[concept_of(chunk.noun)] == "place") != (role == "place"):
                continue
            agrees = not chunk.adjective or chunk.adjective_form == self.grammar.adjective_form(
                chunk.adjective, role, noun_class
            )
            if (
                agrees
                and self.grammar.frame(role) == (tuple(chunk.before), tuple(chunk.after))
                and self.grammar.noun_form(chunk.noun, role) == chunk.form
                and self.grammar.article(role, noun_class) == chunk.article
            ):
                yield role

    def _assign(self, chunks: list[Chunk], passive: bool) -> dict[str, Chunk]:
        """A role for each chunk: by form, and where both are open the subject comes first; {} if none fits."""
        options: dict[str, list[Chunk]] = defaultdict(list)
        for chunk in chunks:
            for role in self._possible(chunk, passive):
                options[role].append(chunk)
        subject, other = ("theme", "by") if passive else ("agent", "patient")
        for first in options[subject]:
            for second in options[other]:
                places = [chunk for chunk in chunks if chunk is not first and chunk is not second]
                if second is not first and places == options["place"] and len(places) < 2:
                    return {subject: first, other: second} | ({"place": places[0]} if places else {})
        return {}


@cache
def parser(code: str) -> Parser:
    """The parser of a language, made once."""
    return Parser(code)


def parse(code: str, sentence: str) -> Event:
    """What a sentence means. Raises DataError if it is not a sentence of the language."""
    return parser(code).parse(sentence)[0]
