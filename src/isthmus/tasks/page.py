"""`docs/tasks.md`: how a task and a language are added, and every task and language that is packaged, as Markdown.

The tables are made from the catalogue, the notes from the comment at the head of each of its files.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile

from isthmus.tasks.files import PACKAGED, catalogue
from isthmus.tasks.languages import languages
from isthmus.tasks.task import Source, Task

_HEAD = """# Tasks

<!-- Written by `python -m isthmus.study.docs` from the task files: edit those, and for this text src/isthmus/tasks/page.py. -->

What is packaged can be named in any study: as an intermediate task where it has a train split, as a target where it has a
metric and a test split, as text to pre-train on where it has no labels. A target that is trained on another task's data says
so (XQuAD and MLQA on SQuAD). Training is in English, but for tasks that say otherwise.

## A task of your own

One YAML file, no code. Put it into a folder, and name that folder in the study (`tasks: my-tasks`, beside the study file).
The file is called as the task is. Say, names in an African language, `my-tasks/ner-hausa.yaml`:

```yaml
task: ner-hausa
family: tag
title: NER (Hausa)
metric: chunks
languages: [en, ha]
sources:
  - hub: me/ner                  # owner/name of the dataset on the hub, or in your mirror
    config: "{language}"         # en and ha; other names are given as languages: {ha: hausa} and {hub_language}
    splits: {train: train, dev: validation, test: test}
    rows: {test: 500}            # if published: the door says when there are others
    train_languages: [en]        # only English has a train split
columns: {tokens: tokens, tags: ner_tags}
labels: [O, B-PER, I-PER, B-LOC, I-LOC]
licence: CC BY 4.0
```

Then `targets: [ner-hausa]` scores it and `arms: {ner: ner-hausa}` trains on it. `isthmus plan STUDY` checks the file and lists
every problem with its line. Where the data lie in no hub, put them as parquet files into a mirror:
`<mirror>/me/ner/ha/test-00000-of-00001.parquet`. Every key is explained in [config.md](config.md#task-files).

- **Sources** are tried in order; the first that the hub has is used, and it is part of what a result is identified by.
- **Labels** are in the order of the data's numbers. Where the files name their labels, as those of the `datasets` library do,
  their names count, so another order cannot mislead; texts instead of numbers are looked up in the list.
- **Other languages than English** are trained in where the file says so: `trained_in: [ja]` for data that are Japanese,
  `trained_in: study` for translations of one training set, of which those in the study's languages are trained on together.
- **Candidates** that are looked for come from a pool: `pool: own` (the task's data in the same language), `pool: study` (those in
  all languages that the study scores) or the name of a task that holds them. The metric is `ranked`. Sentences of a context are
  found by a rule (`src/isthmus/data/sentences.py`) where the data do not say where they stand.
- **A union** of tasks with the same family and labels is one task with `unites: [a, b]` in the place of sources and columns.

These columns are read (the data's names of them stand in `columns`); `id` is the row's place where there is none:

| family | columns | what an example is |
| --- | --- | --- |
| `classify` | `text_a`, `text_b` (or none), `label` | one or two texts of one of the `labels` |
| `tag` | `tokens`, `tags` | words, each with one of the `labels` |
| `choice` | `prompt`, `choices`, `label` | a text and what may follow; the label says which is right |
| `span` | `context`, `question`, `answers` | SQuAD's form; with `unanswerable: true` answers may be empty |
| `match` | `context`, `question`, `answers`, `sentences` (or none) | a question; the sentences of contexts are candidates |
| `match` | `id`, `query`, `wanted` | a text and the id of its candidate, which another task (`pool`) holds |
| `match` | `id`, `mention`, `before`, `after`, `wanted` | a mention in its context and the id of its candidate |
| `match` | `id`, `candidate` | candidates, for the tasks whose `pool` they are |
| `retrieve` | `text_a`, `text_b` | with `retrieval: nearest`: a sentence and its English translation |
| `retrieve` | `id`, `text`, `id_a`, `id_b` | with `retrieval: margin`: two pools of sentences and the pairs in them |
| `mlm` | `text`, `pair` (or none) | text to pre-train on, with its English translation |
"""
_LANGUAGE = """
## A language of your own

A language needs nothing but its code in the task's `languages`. What is known of it can stand in a `languages.csv` in the same
folder as your tasks, beside those that are packaged; it is checked with the study (no table of a study groups by it yet):

```csv
code,name,script,family
luo,Luo,Latn,Nilo-Saharan
```

Further columns, all optional: `iso639_3`, `branch`, `xlm_r` (yes or no), `xlm_r_gib`, and those of typology (below). A code that is packaged may not
come again.

## What is packaged

Rows are those of the published split, per language, where all languages have as many; what a mirror serves may be a cut. The
language column names those that are scored, or trained on. *in* is the language that the task is trained in.
"""
_KNOWN = """
## Languages

Script after ISO 15924; the last column is the amount of text in XLM-R's pre-training, in GiB (Conneau et al. 2020, table 6;
zh in both scripts, my in both encodings), - where there was none.

`src/isthmus/tasks/catalogue/languages.csv` has more of each: distances from English (`d_genetic`, `d_geographic`, `d_syntactic`,
`d_phonological`, `d_inventory`) and features of word order and morphology (`svo`, `sov`, `case_mark`, `case_suffix`,
`case_enclitic`, `tend_suffix`, `tend_prefix`, `plural_suffix`, `tam_suffix`, `possessive_suffix`, `gender_mark`), all from 0 to 1
and from URIEL (Littell et al. 2017) by way of lang2vec 1.1.2, under CC BY-SA 4.0. `~` stands before what URIEL predicts from near
languages because nobody recorded it; such values can be wrong. What the columns mean and where the rest comes from:
`src/isthmus/tasks/languages.py`.
"""


def page() -> str:
    """The whole page."""
    tasks = catalogue()
    parts = [
        _HEAD,
        _LANGUAGE,
        _table(
            (
                "task",
                "title",
                "family",
                "languages",
                "in",
                "sources",
                "splits (rows)",
                "labels",
                "metric",
                "licence",
                "caution",
            ),
            (_row(task) for task in tasks.values()),
        ),
        "\n## Notes\n",
        "\n".join(f"- `{name}`: {note}" for name in tasks if (note := _note(name))),
        _KNOWN,
        _table(
            ("code", "ISO 639-3", "name", "script", "family", "XLM-R"),
            (
                (
                    language.code,
                    language.iso639_3,
                    language.name,
                    language.script,
                    f"{language.family}, {language.branch}" if language.branch else language.family,
                    "-" if language.xlm_r_gib is None else f"{language.xlm_r_gib:g}",
                )
                for language in languages().values()
            ),
        ),
    ]
    return "\n".join(part.strip("\n") + "\n" for part in parts)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _row(task: Task) -> tuple[str, ...]:
    return (
        f"`{task.name}`",
        task.title,
        task.family,
        f"{len(task.codes)}: {' '.join(task.codes)}" if len(task.codes) > 1 else task.codes[0],
        _training(task),
        "<br>".join(_source(source) for source in task.sources) or f"those of {', '.join(task.datasets)}",
        _splits(task),
        ", ".join(task.labels or ()),
        task.metric or "",
        task.licence or "",
        "<br>".join(_cautions(task)),
    )


def _source(source: Source) -> str:
    configs = [source.config] if source.configs is None else list(source.configs.values())
    named = [config for config in configs if config != "default"]
    parts = [source.hub, *(f"`{config}`" for config in named)]
    if source.languages is not None:
        parts.append(f"({' '.join(source.languages)})")
    return " ".join([*parts, *([f"from `{source.url}`"] if source.url is not None else [])])


def _cautions(task: Task) -> Iterator[str]:
    if task.caution:
        yield task.caution
    yield from (f"{source.hub}: {source.caution}" for source in task.sources if source.caution)


def _training(task: Task) -> str:
    if task.trains_on is not None:
        return f"by `{task.trains_on}`"
    if task.is_text or task.trained_in == "study":
        return "the study's"
    if not task.trainable or not task.is_trained:
        return ""
    return " ".join(task.trained_in) if task.trained_in else "en"


def _splits(task: Task) -> str:
    rows = task.sources[0].rows if task.sources else {}
    order = [split for split in ("train", "dev", "test") if split in task.splits]
    return ", ".join(f"{split} {rows[split]:,}" if split in rows else split for split in order)


def _note(name: str) -> str:
    """The comment at the head of a task's file, on one line."""
    lines = (PACKAGED / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    return " ".join(line.lstrip("# ") for line in takewhile(lambda line: line.startswith("#"), lines))
