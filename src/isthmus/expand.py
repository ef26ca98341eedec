"""From a study to its job table: encoders × arms × targets × languages × seeds, in the order in which data flows.

Read `Expansion.run` from top to bottom: it is the DAG.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from isthmus.audits import add_audit
from isthmus.errors import UsageError
from isthmus.hubs import HUB_MODULES, Hub, wanted
from isthmus.jobs import Job, JobTable, Unit
from isthmus.needs import ENGLISH, Needs
from isthmus.preflight import PLACE, preflight_unit
from isthmus.recipe import elide
from isthmus.study.load import Arm, HubEncoder, Link, PretrainedEncoder, Study
from isthmus.study.recipes import READ_BY, READ_BY_PREDICTION
from isthmus.tables import Scored, add_tables
from isthmus.tasks.task import Source, Task
from isthmus.units import (
    ENCODER_FILES,
    TOKENIZER_FILES,
    architecture,
    fetch_spec,
    hub_encoder_unit,
    places,
    plugins_of,
    training_task,
)

# In the place of a training set in paths: the predictions of the encoder as its arm leaves it.
UNTRAINED = "retrieval"


def expand(study: Study, hub: Hub) -> tuple[list[Job], dict[str, str]]:
    """The study's jobs, parents first (the last two are the tables and the report), and what the hub lacks.

    What it lacks is one line for each unit that needs it, by the unit's key: a mistake only if the unit has to run,
    because what was fetched before stays what it was.

    Raises:
        UsageError: the study names languages that nothing of it or of the hub has.
    """
    expansion = Expansion(study, hub)
    return expansion.run(), expansion.lacking


class Expansion:
    """One expansion on its way: the job table, and the units made so far by what they stand for."""

    def __init__(self, study: Study, hub: Hub) -> None:
        self.study = study
        self.hub = hub
        self.needs = Needs(study, hub)
        self.table = JobTable()
        self.data: dict[tuple[str, str], Unit] = {}  # (task, language)
        self.sources: dict[tuple[str, str], Source] = {}  # where these are read
        self.tokens: dict[tuple[str, str, str], Unit] = {}  # (encoder, task, language)
        self.lacking: dict[str, str] = {}  # key of a unit -> what the hub does not have
        self.scored: Scored = {}
        self.checked: tuple[Job, ...] = ()  # what every training waits for

    def run(self) -> list[Job]:
        """Expand."""
        self.needs.refuse_foreign_languages()
        self.fetch(self.needs.needed())
        self.check()
        for encoder in self.study.encoders:
            start = self.encoder(encoder)
            for seed in self.study.seeds:
                for arm in self.study.arms.values():
                    parent = self.intermediate(encoder, start, arm, seed)
                    self.predict_and_score(encoder, parent, arm, UNTRAINED, self.needs.untrained(), seed)
                    for training_set, targets in self.needs.training_sets().items():
                        model = self.target(encoder, parent, arm, training_set, seed)
                        self.predict_and_score(encoder, model, arm, training_set, targets, seed)
        audit = add_audit(self.table, self.study, self.needs, self.data)
        add_tables(self.table, self.study, self.hub, self.needs, self.scored, audit, self.sources)
        return self.table.jobs

    # Data ----------------------------------------------------------------------------------------------------

    def fetch(self, needed: Mapping[str, Iterable[str]]) -> None:
        """One job per task, one unit per language."""
        for name, languages in needed.items():
            for language in languages:
                self.data[name, language] = self.data_unit(self.study.tasks[name], language)
            self.table.add(
                "fetch_dataset", f"data/{name}", [self.data[name, language] for language in languages]
            )

    def data_unit(self, task: Task, language: str) -> Unit:
        """The unit that fetches a task in one language from the first source that the hub has."""
        units = []
        for source in task.sources_in(language):
            request = task.request(source, language)
            spec = fetch_spec(task, language, source, request, self.hub.kind)
            plugins = (HUB_MODULES[self.hub.kind], f"isthmus.families.{task.family}")
            unit = Unit("fetch", f"{task.name}/{language}", spec, plugins=plugins)
            places = list(wanted(request["source"], request["splits"].values()))
            if all(self.hub.offers(source.hub, config, split) for config, split in places):
                self.sources[task.name, language] = source
                return unit
            configs, splits = (", ".join(dict.fromkeys(names)) for names in zip(*places, strict=True))
            units.append((unit, f"{source.hub} {configs} ({splits})"))
        tried = "; ".join(place for _, place in units)
        self.lacking[units[0][0].key] = f"{task.name} in {language}: tried {tried}"
        return units[0][0]

    def check(self) -> None:
        """One job that looks at all that is fetched, before anything is trained."""
        found = {
            name: self.hub_encoder(name, encoder)[1]
            for name, encoder in self.study.encoders.items()
            if isinstance(encoder, HubEncoder)
        }
        unit = preflight_unit(self.study, self.needs, self.data, found)
        self.checked = (self.table.add("preflight", PLACE, [unit]),)

    # Encoders ------------------------------------------------------------------------------------------------

    def hub_encoder(self, name: str, encoder: HubEncoder) -> tuple[Unit, Unit]:
        """The units of an encoder's tokenizer and of the encoder itself."""
        tokenizer, unit = (
            hub_encoder_unit(name, encoder, self.hub, files) for files in (TOKENIZER_FILES, ENCODER_FILES)
        )
        self.table.add("fetch_encoder", f"encoder/{name}/hub", [tokenizer, unit])
        return tokenizer, unit

    def encoder(self, name: str) -> Unit:
        """The encoder's unit; tokenizes for it all that the study needs."""
        encoder = self.study.encoders[name]
        if isinstance(encoder, HubEncoder):
            tokenizer, unit = self.hub_encoder(name, encoder)
            self.tokenize(name, tokenizer, texts=())
            return unit
        tokenizer = self.tokenizer(name, encoder)
        self.tokenize(name, tokenizer, texts=encoder.data)
        return self.pretrain(name, encoder, tokenizer)

    def tokenizer(self, name: str, encoder: PretrainedEncoder) -> Unit:
        """The tokenizer trained on the encoder's pre-training text."""
        parents = {
            f"data/{task}/{language}": self.data[task, language]
            for task, language in self.needs.texts(encoder)
        }
        spec = {
            "vocab_size": encoder.vocab_size,
            "character_coverage": encoder.character_coverage,
            "sentences_per_language": encoder.sentences_per_language,
            "threads": 1,
            "seed": encoder.seed,
        }
        unit = Unit("tokenizer", name, spec, parents)
        self.table.add("train_tokenizer", f"tokenizer/{name}", [unit])
        return unit

    def tokenize(self, encoder: str, tokenizer: Unit, texts: Iterable[str]) -> None:
        """One job per task that this encoder reads, one unit per language."""
        mine = {*texts, *self.needs.trained_datasets()}
        for task in dict.fromkeys(task for task, _ in self.data):
            if self.study.tasks[task].is_text and task not in mine:
                continue
            units = []
            for (name, language), data in self.data.items():
                if name == task:
                    family = self.study.tasks[task].family
                    spec = {"task": task, "family": family, "language": language}
                    unit = Unit(
                        "tokenize",
                        f"{task}/{language}",
                        spec,
                        {"tokenizer": tokenizer, "data": data},
                        (f"isthmus.families.{family}",),
                    )
                    self.tokens[encoder, task, language] = unit
                    units.append(unit)
            self.table.add("tokenize_dataset", f"tokens/{encoder}/{task}", units)

    def pretrain(self, name: str, encoder: PretrainedEncoder, tokenizer: Unit) -> Unit:
        """An encoder from scratch: the same stage as any training, with a random parent."""
        texts = self.needs.texts(encoder)
        tasks = [
            training_task(self.study.tasks[task], [language for other, language in texts if other == task])
            for task in encoder.data
        ]
        recipe = self.study.recipe_for(name, "pretrain", encoder.data)
        parents = {f"tokens/{task}/{language}": self.tokens[name, task, language] for task, language in texts}
        spec = {"tasks": tasks, "recipe": elide(recipe), "seed": encoder.seed, "init": architecture(encoder)}
        unit = Unit("train", name, spec, {"tokenizer": tokenizer, **parents}, plugins_of(tasks))
        place = f"encoder/{name}/s{encoder.seed}"
        self.table.add("pretrain_encoder", place, [unit], recipe["threads"], after=self.checked)
        return unit

    # Training ------------------------------------------------------------------------------------------------

    def intermediate(self, encoder: str, parent: Unit, arm: Arm, seed: int) -> Unit:
        """The encoder after the arm: unchanged for `none`, else trained link by link."""
        for number, link in enumerate(arm.links, start=1):
            last = number == len(arm.links)
            recipe = self.study.recipe_for(encoder, "intermediate", link.tasks, link.recipe)
            parent = self.train(encoder, parent, link, recipe, seed, f"{arm.name} link {number}")
            place = f"intermediate/{encoder}/{arm.name if last else f'{arm.name}.link{number}'}/s{seed}"
            self.table.add("train_intermediate", place, [parent], recipe["threads"], after=self.checked)
        return parent

    def target(self, encoder: str, parent: Unit, arm: Arm, training_set: str, seed: int) -> Unit:
        """The encoder after its arm, fine-tuned on the English data of a training set."""
        recipe = self.study.recipe_for(encoder, "target", (training_set,))
        oracle = recipe["select"] == "oracle_dev"
        unit = self.train(
            encoder,
            parent,
            Link(tasks=(training_set,)),
            recipe,
            seed,
            f"{training_set} after {arm.name}",
            self.target_dev(training_set) if oracle else (),
        )
        place = f"target/{encoder}/{arm.name}/{training_set}/s{seed}"
        self.table.add("train_target", place, [unit], recipe["threads"], after=self.checked)
        return unit

    def target_dev(self, training_set: str) -> list[tuple[Task, list[str]]]:
        """The targets that a training set serves, each with the other languages in which it has development examples.

        Raises:
            UsageError: there are none.
        """
        found = []
        for target in self.needs.training_sets()[training_set]:
            languages = [
                language
                for language in self.needs.languages(target)
                if language != ENGLISH and "dev" in self.data[target.name, language].spec["splits"]
            ]
            if languages:
                found.append((target, languages))
        if not found:
            raise UsageError(
                f"{self.study.path}: no target that is trained on {training_set} has development examples in the languages "
                "to transfer to: select: oracle_dev cannot choose. Write select: english_dev or last."
            )
        return found

    def train(
        self,
        encoder: str,
        parent: Unit,
        link: Link,
        recipe: Mapping[str, Any],
        seed: int,
        name: str,
        target_dev: Sequence[tuple[Task, list[str]]] = (),
    ) -> Unit:
        """One training: a parent, one task or a mixture, a recipe, a seed; `target_dev` to select by."""
        named = [self.study.tasks[name] for name in link.tasks]
        tasks = [
            training_task(task, self.needs.training_languages(task), self.needs.pool(task, ENGLISH))
            for task in named
        ]
        spec: dict[str, Any] = {"tasks": tasks, "recipe": elide(recipe), "seed": seed}
        if len(tasks) > 1:
            spec["cap"] = link.cap
        tokens = {
            f"tokens/{name}/{language}": self.tokens[encoder, name, language]
            for task in named
            for name in task.datasets
            for language in self.needs.training_languages(task)
        }
        if target_dev:
            spec["target_dev"] = [
                training_task(task, languages, self.needs.pool(task, ENGLISH))
                for task, languages in target_dev
            ]
            tokens |= {
                f"tokens/{task.name}/{language}": self.tokens[encoder, task.name, language]
                for task, languages in target_dev
                for language in languages
            }
        pools = (task for task in (*named, *(task for task, _ in target_dev)) if task.pool_task is not None)
        tokens |= {
            f"tokens/{name}/{language}": self.tokens[encoder, name, language]
            for task in pools
            for name, language in self.needs.pool(task, ENGLISH)
        }
        return Unit("train", name, spec, {"parent": parent, **tokens}, plugins_of(tasks))

    # Predictions and scores ----------------------------------------------------------------------------------

    def predict_and_score(
        self, encoder: str, model: Unit, arm: Arm, training_set: str, targets: Sequence[Task], seed: int
    ) -> None:
        """All targets and languages of one checkpoint in one job, their scores in one job for each target."""
        if not targets:
            return
        predictions = {
            target.name: {
                language: self.prediction(encoder, model, training_set, target, language)
                for language in self.needs.languages(target)
            }
            for target in targets
        }
        self.table.add(
            "predict_languages",
            f"predictions/{encoder}/{arm.name}/{training_set}/s{seed}",
            [unit for units in predictions.values() for unit in units.values()],
            max(self.prediction_recipe(encoder, target).get("threads", 1) for target in targets),
        )
        for target in targets:
            self.score(encoder, arm, target, seed, predictions[target.name])

    def prediction_recipe(self, encoder: str, target: Task) -> dict[str, Any]:
        """The options that predicting reads."""
        options = self.study.recipe_for(encoder, "target", (target.training_set,))
        return elide({name: options[name] for name in (*READ_BY_PREDICTION, *READ_BY.get(target.kind, ()))})

    def prediction(self, encoder: str, model: Unit, training_set: str, target: Task, language: str) -> Unit:
        """The predictions of one checkpoint for one target in one language."""
        spec = {
            "target": target.name,
            "form": target.form,
            "language": language,
            "splits": ["test"],
            "recipe": self.prediction_recipe(encoder, target),
        }
        if target.is_trained:
            spec["head"] = training_set
        else:
            # Nothing was chosen on English dev sets; the layer and the threshold are, on the language's own.
            fetched = self.data[target.name, language].spec["splits"]
            spec["splits"] = sorted({"dev", "test"} & set(fetched))
        parents = {"model": model, "tokens": self.tokens[encoder, target.name, language]}
        if target.pool is not None:
            pool = self.needs.pool(target, language)
            spec["pool"] = places(pool)
            parents |= {f"pool/{name}/{code}": self.tokens[encoder, name, code] for name, code in pool}
        return Unit(
            "predict", f"{target.name}/{language}", spec, parents, (f"isthmus.families.{target.family}",)
        )

    def score(self, encoder: str, arm: Arm, target: Task, seed: int, predictions: Mapping[str, Unit]) -> None:
        """The scores of one target, a unit for each language, and their cells in the tables."""
        units = {language: self.score_unit(target, language, unit) for language, unit in predictions.items()}
        self.table.add(
            "score_languages", f"scores/{encoder}/{arm.name}/{target.name}/s{seed}", units.values()
        )
        self.scored[encoder, seed, arm.name, target.name] = units

    def score_unit(self, target: Task, language: str, prediction: Unit) -> Unit:
        """The score of one target in one language."""
        spec = {
            "target": target.name,
            "language": language,
            "split": "test",
            "metric": target.metric,
        } | ({"labels": list(target.labels)} if target.labels else {})
        parents = {"prediction": prediction, "data": self.data[target.name, language]}
        if target.pool is not None:
            pool = self.needs.pool(target, language)
            spec["pool"] = places(pool)
            parents |= {f"pool/{name}/{code}": self.data[name, code] for name, code in pool}
        plugins = (f"isthmus.evaluate.metrics.{target.metric}",)
        return Unit("score", f"{target.name}/{language}", spec, parents, plugins)
