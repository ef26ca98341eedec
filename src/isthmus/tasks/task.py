"""A task as a data-only YAML file describes it: where its rows come from, what they mean, how it is scored.

The packaged catalogue holds the tasks of the public hub; a study may bring more in a folder of its own. What
a task can be used for follows from what its file gives: `train` and `test` splits, a metric, labels, bare
text.
"""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from isthmus.study.fields import Strict, Written
from isthmus.tasks.archive import files, fill

Split = Literal["train", "dev", "test"]
Table = Literal["a", "b", "gold"]
OWN, STUDY = "own", "study"  # pools that are no task


def _word_or_map(value: Any) -> str | None:
    return "map" if isinstance(value, dict) else "word" if isinstance(value, str) else None


_Hashes = Annotated[
    Annotated[str, Tag("word")] | Annotated[dict[str, str], Tag("map")],
    Discriminator(
        _word_or_map,
        custom_error_type="sha256",
        custom_error_message="needs a hash, or a hash for each address",
    ),
]


class Join(Strict):
    """A second reading of the same rows, which brings their translation."""

    on: str = Field(description="The column that both readings share.")
    where: dict[str, str] = Field(
        description="Column and value that pick the other rows; `{language}` is filled in."
    )
    as_: str = Field(alias="as", description="What the other rows' text is called in `columns`.")


class Source(Strict):
    """One dataset of a hub that holds the task, or with `url` the files at an address."""

    hub: str = Field(
        description="The dataset's id, `owner/name`; of files at an address, `archives/name`: what mirrors, cache and "
        "hub.lock know them by."
    )
    url: str | None = Field(
        default=None,
        description="Where the files are; `{language}`, `{hub_language}` and `{split}` (the split's name in `splits`) are "
        "filled in.",
    )
    sha256: _Hashes | None = Field(
        default=None,
        description="The file's hash, or a hash for each address; null = the lock notes that of the first download.",
    )
    format: str | None = Field(
        default=None, description="What the files are: a module of `isthmus.hubs.formats`."
    )
    members: str | None = Field(
        default=None,
        description="Which files of an archive (tar, zip) hold a split: a pattern, filled in as `url` is.",
    )
    names: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None, description="The columns of a file without a line that names them, in its order."
    )
    languages: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None, description="Languages that are read from it; null = all."
    )
    config: str = Field(
        default="default", description="Its config; `{language}` and `{hub_language}` are filled in."
    )
    configs: dict[Table, str] | None = Field(
        default=None,
        description="In the place of config, for sentences to mine: the configs with the sentences of the other "
        "language (a), of English (b), and with the pairs of ids (gold).",
    )
    revision: str | None = Field(default=None, description="Commit to read; null = the hub's newest.")
    splits: Annotated[dict[Split, str | list[str]], Field(min_length=1)] = Field(
        description="The hub's name of each split; several are read one after another."
    )
    rows: dict[Split, Annotated[int, Field(ge=0), Written]] = Field(
        default={},
        description="Rows of the published splits, per language; what is served may be a cut.",
    )
    train_languages: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None, description="Languages that have the train split; null = all."
    )
    dev_languages: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None, description="Languages that have the dev split; null = all."
    )
    where: dict[str, str] = Field(
        default={},
        description="Keep the rows whose column has this value, or begins with it where it ends in `*`; `{language}` "
        "is filled in.",
    )
    join: Join | None = Field(
        default=None, description="Bring the translation from other rows of the same dataset."
    )
    columns: dict[str, str] = Field(
        default={}, description="What this source calls columns of the task that it names otherwise."
    )
    caution: str | None = Field(
        default=None,
        description="What a reader of scores on this source has to know; the report says it where it was read.",
    )

    def has(self, language: str) -> bool:
        """Whether the language is read from it."""
        return self.languages is None or language in self.languages

    def splits_in(self, language: str) -> dict[str, str | list[str]]:
        """The splits that the language has, with the hub's names."""
        if not self.has(language):
            return {}
        limits = {"train": self.train_languages, "dev": self.dev_languages}
        return {
            split: name
            for split, name in self.splits.items()
            if (limit := limits.get(split)) is None or language in limit
        }


class Columns(Strict):
    """The hub's name of each column that is read. A text may be put together from several, as in
    `"{premise} What was the {question}?"`; `a.b` is the field b of a column a.
    """

    id: str | None = Field(default=None, description="The row's id; null = its position.")
    text_a: str | None = Field(default=None, description="First text of an example.")
    text_b: str | None = Field(
        default=None,
        description="Second text; null = the task has one. Of two aligned sentences the English one.",
    )
    label: str | None = Field(default=None, description="Index into `labels`.")
    tokens: str | None = Field(default=None, description="The words of a sentence.")
    tags: str | None = Field(default=None, description="One index into `labels` for each word.")
    context: str | None = Field(default=None, description="The text that answers a question.")
    question: str | None = Field(default=None, description="The question on `context`.")
    answers: str | None = Field(
        default=None, description="Its answers: `text` and `answer_start` (characters), as SQuAD has them."
    )
    sentences: str | None = Field(
        default=None,
        description="Where the sentences of `context` stand: first character and the place after the last one of each; "
        "null = a rule finds them.",
    )
    query: str | None = Field(default=None, description="A text that looks for a candidate of a pool.")
    mention: str | None = Field(default=None, description="What is to be linked to a candidate.")
    before: str | None = Field(default=None, description="The text before `mention`.")
    after: str | None = Field(default=None, description="The text after `mention`.")
    wanted: str | None = Field(
        default=None, description="The id of the candidate that `query` or `mention` looks for."
    )
    candidate: str | None = Field(default=None, description="A text of a pool, found by its `id`.")
    prompt: str | None = Field(default=None, description="What is to be continued or answered.")
    choices: str | list[str] | None = Field(
        default=None, description="The endings to choose from: one list, or a template for each."
    )
    text: str | None = Field(default=None, description="Text without labels, or a sentence to mine.")
    pair: str | None = Field(default=None, description="The English translation of `text`.")
    id_a: str | None = Field(default=None, description="In pairs of ids: the sentence of the other language.")
    id_b: str | None = Field(default=None, description="In pairs of ids: the English sentence.")

    def named(self) -> dict[str, str | list[str]]:
        """The columns that the task has."""
        return {name: column for name, column in self.model_dump().items() if column is not None}


def _shape(value: Any) -> str | None:
    return "map" if isinstance(value, dict) else "list" if isinstance(value, list) else None


_Languages = Annotated[
    Annotated[Annotated[list[str], Field(min_length=1)], Tag("list")]
    | Annotated[Annotated[dict[str, str], Field(min_length=1)], Tag("map")],
    Discriminator(
        _shape,
        custom_error_type="languages",
        custom_error_message="needs a list such as [en, de], or the hub's names such as {en: eng_Latn}",
    ),
]


def _list_or_word(value: Any) -> str | None:
    return "list" if isinstance(value, list) else "word" if isinstance(value, str) else None


_Trained = Annotated[
    Annotated[Annotated[list[str], Field(min_length=1)], Tag("list")]
    | Annotated[Literal["study"], Tag("word")],
    Discriminator(
        _list_or_word,
        custom_error_type="trained_in",
        custom_error_message="needs study, or a list such as [ja]",
    ),
]


class Task(Strict):
    """One task of the catalogue."""

    name: str = Field(alias="task", description="The task's name; the file is called the same.")
    family: str = Field(description="The task's form: a module of `isthmus.families`.")
    title: str = Field(description="What a reader of a table sees.")
    metric: str | None = Field(
        default=None, description="How it is scored as a target; null = it is no target."
    )
    trains_on: str | None = Field(
        default=None, description="The task whose train split serves it; null = its own."
    )
    languages: _Languages = Field(description="ISO codes, or a mapping from them to the hub's names.")
    trained_in: _Trained | None = Field(
        default=None,
        description="Languages that it is trained in, whatever the study scores; `study` = those of the study that have "
        "the train split; null = English, and for text those of the study.",
    )
    sources: list[Source] = Field(default=[], description="The first that the hub has is used.")
    unites: Annotated[list[str], Field(min_length=2)] | None = Field(
        default=None,
        description="In the place of sources: the tasks whose examples it holds, one after another.",
    )
    columns: Columns = Field(default_factory=Columns, description="What the hub calls each column.")
    labels: Annotated[list[str], Field(min_length=2)] | None = Field(
        default=None,
        description="What each label index means; null beside tags = what the training data has.",
    )
    unanswerable: bool = Field(default=False, description="Whether some questions have no answer.")
    unspaced: list[str] = Field(
        default=[],
        description="Languages written without blanks, in whose texts the publisher put some between words: they are "
        "taken out.",
    )
    retrieval: Literal["nearest", "margin"] | None = Field(
        default=None,
        description="How translations are found: the nearest sentence for each English one, or pairs by margin.",
    )
    pool: str | None = Field(
        default=None,
        description="Where candidates come from that are looked for: `own` = the task's data in the same language; `study` = "
        "those in all its languages that the study scores; or the task that holds them.",
    )
    caution: str | None = Field(
        default=None, description="What a reader of its scores has to know; the report says it."
    )
    licence: str | None = Field(default=None, description="Terms of use as the publisher states them.")
    citation: str | None = Field(default=None, description="BibTeX.")

    @property
    def codes(self) -> tuple[str, ...]:
        """The languages' ISO codes, in the file's order."""
        return tuple(self.languages)

    @property
    def splits(self) -> frozenset[str]:
        """The splits that a source has; a union of tasks is for training."""
        if self.unites is not None:
            return frozenset(("train", "dev"))
        return frozenset(split for source in self.sources for split in source.splits)

    @property
    def trainable(self) -> tuple[str, ...]:
        """The languages that have the train split."""
        if self.unites is not None:
            return self.codes
        return tuple(
            code for code in self.codes if any("train" in source.splits_in(code) for source in self.sources)
        )

    @property
    def datasets(self) -> tuple[str, ...]:
        """The tasks whose data it is read from: itself, or those that it unites."""
        return tuple(self.unites or (self.name,))

    @property
    def is_text(self) -> bool:
        """Whether the task is text without labels: data for pre-training, never a target."""
        return self.columns.text is not None and self.retrieval is None

    @property
    def is_trained(self) -> bool:
        """Whether something is trained for it; if not, the encoder itself answers it."""
        return self.retrieval is None

    @property
    def kind(self) -> str:
        """The kind of options that only such tasks read (`study.recipes.READ_BY`), or ""."""
        if self.retrieval is not None:
            return "retrieval"
        if self.pool is not None:
            return "matching"
        return "text" if self.is_text else "questions" if self.columns.context is not None else ""

    @property
    def form(self) -> dict[str, Any]:
        """What a head of the task has to know, as specs carry it."""
        facts = {
            "family": self.family,
            "labels": self.labels,
            "unanswerable": self.unanswerable,
            "retrieval": self.retrieval,
        }
        return {name: value for name, value in facts.items() if value}

    @property
    def pool_task(self) -> str | None:
        """The other task that holds its candidates, if one does."""
        return None if self.pool in (None, OWN, STUDY) else self.pool

    @property
    def is_parallel(self) -> bool:
        """Whether its text comes with a translation."""
        return self.columns.pair is not None

    @property
    def is_target(self) -> bool:
        """Whether it can be scored: labelled, with a metric and a test split."""
        return not self.is_text and self.metric is not None and "test" in self.splits

    @property
    def training_set(self) -> str:
        """Name of the task whose train split serves this one."""
        return self.trains_on or self.name

    def sources_in(self, language: str) -> list[Source]:
        """The sources that a language may be read from, in order."""
        return [source for source in self.sources if source.has(language)]

    def hub_language(self, language: str) -> str:
        """The hub's name of a language."""
        return self.languages[language] if isinstance(self.languages, dict) else language

    def request(self, source: Source, language: str) -> dict[str, Any]:
        """What to fetch for one language: `source` (id, config, revision, and, where the task has
        them, archive, where and join), `splits` and `columns`, each a mapping from our names to the hub's.

        Where the join would only repeat the rows themselves (English with its English side), it is left out
        together with the column that it brings.
        """
        names = {"language": language, "hub_language": self.hub_language(language)}
        found: dict[str, Any] = {"id": source.hub, "revision": source.revision}
        if source.configs is None:
            found["config"] = fill(source.config, names)
        else:
            found["configs"] = {table: fill(config, names) for table, config in source.configs.items()}
        if source.url is not None:
            found["archive"] = files(source, source.splits_in(language), names)
        columns = self.columns.named() | source.columns
        where = {column: fill(value, names) for column, value in source.where.items()}
        if where:
            found["where"] = where
        if source.join is not None:
            other = {column: fill(value, names) for column, value in source.join.where.items()}
            if other == where:
                columns = {name: column for name, column in columns.items() if column != source.join.as_}
            else:
                found["join"] = {"on": source.join.on, "where": other, "as": source.join.as_}
        return {"source": found, "splits": source.splits_in(language), "columns": columns}
