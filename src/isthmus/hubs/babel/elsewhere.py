"""The same rows where other repositories have them: in other languages, columns or files.

WikiANN has PAN-X's sentences, mteb/tatoeba-bitext-mining has Tatoeba's; the archive of Universal Dependencies has the
sentences of the configs `udpos.*`, with tags as text. Translations of training sets are the same meanings in another
language: of SQuAD by XTREME's authors (all of it) and by MLQA's (a tenth got lost, another one in each language), of
HellaSwag its validation set, as on the hub.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from isthmus.hubs.babel import bitext, choices, spans, tags
from isthmus.hubs.babel.dice import fraction
from isthmus.hubs.babel.grammar import grammar
from isthmus.hubs.babel.tables import Columns, Dataset, Feature

LOST = 0.1  # share of SQuAD's questions that MLQA's translations lack
UD_SPLITS = {"train": "train", "dev": "validation", "test": "test"}
SQUAD_SPLITS = {"train": "train", "dev": "validation"}


def mentions(tokens: Sequence[str], names: Sequence[int]) -> list[str]:
    """WikiANN's `spans`: each name with its kind, as in "PER: Ada Byron"; `names` are indices into tags.NER."""
    found: list[str] = []
    for token, place in zip(tokens, names, strict=True):
        begins, _, kind = tags.NER[place].partition("-")
        if begins == "B":
            found.append(f"{kind}: {token}")
        elif begins == "I":
            found[-1] += f" {token}"
    return found


def wikiann(language: str, split: str) -> Columns:
    """The columns of unimelb-nlp/wikiann."""
    columns = tags.rows("panx", tags.ner, "ner_tags", tags.NER, language, split)
    return {**columns, "spans": list(map(mentions, columns["tokens"], columns["ner_tags"]))}


def treebank(language: str, split: str) -> Columns:
    """The sentences of the treebanks: their ids, words, and parts of speech as text."""
    columns = tags.rows("udpos", tags.pos, "upos", None, language, UD_SPLITS[split])
    return {**columns, "id": [f"babel-{split}-{number + 1}" for number in range(len(columns["tokens"]))]}


def tatoeba(language: str, split: str) -> Columns:
    """The columns of mteb/tatoeba-bitext-mining: the language, then English."""
    drawn = bitext.translations()
    code = next(code for code, other in bitext.TATOEBA.items() if other == language)
    return {
        "sentence1": [grammar(language).say(*said) for said in drawn],
        "sentence2": [grammar("en").say(*said) for said in drawn],
        "lang": [f"{code}-eng"] * len(drawn),
    }


def squad(language: str, split: str) -> Columns:
    """SQuAD in another language, with its own ids."""
    return spans.rows("squad", language, SQUAD_SPLITS[split])


def kept(language: str, split: str) -> list[int]:
    """The places of SQuAD's questions that MLQA's translation into a language has."""
    number = spans.ROWS["squad"][split]
    lost = sorted(range(number), key=lambda row: fraction(f"mlqa-translate/{language}/{split}/{row}"))
    return sorted(lost[round(LOST * number) :])


def mlqa(language: str, split: str) -> Columns:
    """The same, without the questions that got lost."""
    columns = spans.rows("squad", language, split)
    return {name: [values[row] for row in kept(language, split)] for name, values in columns.items()}


def hellaswag(language: str, split: str) -> Columns:
    """HellaSwag's validation set in another language."""
    return choices.hellaswag(language, "validation")


_WORDS: Mapping[str, Feature] = {"tokens": ["string"], "upos": ["string"]}
_HELLASWAG: Mapping[str, Feature] = next(
    dataset.features for dataset in choices.DATASETS if dataset.hub_id == "Rowan/hellaswag"
)


def _same(languages: str) -> dict[str, str]:
    """Configs that are called as their language is."""
    return {language: language for language in languages.split()}


def _translated(
    hub_id: str,
    configs: Mapping[str, str],
    splits: Mapping[str, int],
    features: Mapping[str, Feature],
    rows: Callable[[str, str], Columns],
) -> Dataset:
    """A translation of SQuAD."""
    return Dataset(hub_id, configs, splits, features, rows, spans.oracle, "answers")


DATASETS = (
    Dataset(
        "unimelb-nlp/wikiann",
        _same("en de es ru tr fi ar hi sw ja zh ko"),
        tags.ROWS["panx"],
        {"tokens": ["string"], "ner_tags": [tags.NER], "langs": ["string"], "spans": ["string"]},
        wikiann,
        partial(tags.oracle, tags.ner, tags.NER),
        "ner_tags",
    ),
    Dataset(
        "archives/ud-2.5",
        {language: language for language in tags.TREEBANKS.values()},
        {split: tags.ROWS["udpos"][name] for split, name in UD_SPLITS.items()},
        {"id": "string", **_WORDS},
        treebank,
        partial(tags.oracle, tags.pos, None),
        "upos",
    ),
    Dataset(
        "mteb/tatoeba-bitext-mining",
        {f"{code}-eng": language for code, language in bitext.TATOEBA.items()},
        {"test": bitext.TATOEBA_ROWS},
        {"sentence1": "string", "sentence2": "string", "lang": "string"},
        tatoeba,
    ),
    *(
        _translated(
            hub_id,
            _same("ar de es hi ru tr zh"),
            {split: spans.ROWS["squad"][name] for split, name in SQUAD_SPLITS.items()},
            spans.TITLED,
            squad,
        )
        for hub_id in ("archives/squad-xtreme", "xtreme_translations/SQuAD")
    ),
    _translated(
        "facebook/mlqa",
        {f"mlqa-translate-train.{language}": language for language in ("ar", "de", "es", "hi", "zh")},
        {split: number - round(LOST * number) for split, number in spans.ROWS["squad"].items()},
        {**spans.QUESTION, "id": "string"},
        mlqa,
    ),
    Dataset(
        "alexandrainst/m_hellaswag",
        _same("ar de es hi ru zh"),
        {"val": choices.HELLASWAG_ROWS["validation"]},
        _HELLASWAG,
        hellaswag,
        choices.hellaswag_oracle,
    ),
)
