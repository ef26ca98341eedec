"""What is checked before any training: one unit, made of the study and of everything that it fetches.

The unit reads no option that only training does (steps, rates, seeds), so that an edit which retrains does not check
the same data again. No training has it among its parents: what it says is no part of any result. Pure.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.jobs import Unit
from isthmus.needs import Needs
from isthmus.recipe import elide
from isthmus.spec import canonical
from isthmus.study.load import HubEncoder, PretrainedEncoder, Study
from isthmus.tasks.task import Task
from isthmus.units import architecture, plugins_of

PLACE = "preflight"
READ_BY_FEATURES = (
    *("max_length", "doc_stride", "max_query_length", "max_answer_length", "n_best", "pool"),
    "query_length",
)
"""The options that decide how rows are laid out and read off, whatever is learnt."""

Data = Mapping[tuple[str, str], Unit]
"""(task, language) -> the unit that fetches it."""


def preflight_unit(study: Study, needs: Needs, data: Data, encoders: Mapping[str, Unit]) -> Unit:
    """The unit. `encoders` are the units of those that come from the hub, by name."""
    uses = _distinct([*_trainings(study, needs), *_targets(study, needs)])
    # Only the Hugging Face hub promises what was published; a mirror or babel may serve a cut.
    counted = study.hub == "huggingface"
    spec = {
        "data": {_role(*place): _source(unit.spec, counted) for place, unit in data.items()},
        "encoders": {name: _encoder(study.encoders[name]) for name in study.encoders},
        "uses": uses,
    }
    parents = {_role(*place): unit for place, unit in data.items()}
    parents |= {f"encoder/{name}": unit for name, unit in encoders.items()}
    metrics = {f"isthmus.evaluate.metrics.{use['metric']}" for use in uses if "metric" in use}
    return Unit("check", PLACE, spec, parents, (*plugins_of(uses), *sorted(metrics)))


def _role(task: str, language: str) -> str:
    return f"data/{task}/{language}"


def _source(spec: Mapping[str, Any], counted: bool) -> dict[str, Any]:
    """Where a dataset's rows come from, in the words that messages need."""
    source = spec["source"]
    configs = list(source["configs"].values()) if "configs" in source else [source["config"]]
    found = {
        "task": spec["task"],
        "language": spec["language"],
        "hub": " ".join((source["id"], *configs)),
        "splits": spec["splits"],
    }
    return found | ({"rows": spec["rows"]} if counted else {})


def _encoder(encoder: PretrainedEncoder | HubEncoder) -> dict[str, Any]:
    return {"id": encoder.id} if isinstance(encoder, HubEncoder) else {"init": architecture(encoder)}


def _trainings(study: Study, needs: Needs) -> Iterator[dict[str, Any]]:
    """Every task that something is trained on, with each encoder and layout."""
    for name, encoder in study.encoders.items():
        if isinstance(encoder, PretrainedEncoder):
            recipe = study.recipe_for(name, "pretrain", encoder.data)
            for task in (study.tasks[text] for text in encoder.data):
                yield _use(name, task, needs.text_languages(encoder, task), recipe, trains=True)
        for arm in study.arms.values():
            for link in arm.links:
                recipe = study.recipe_for(name, "intermediate", link.tasks, link.recipe)
                for task in (study.tasks[text] for text in link.tasks):
                    yield _use(name, task, needs.training_languages(task), recipe, trains=True)
        for training_set in needs.training_sets():
            task = study.tasks[training_set]
            recipe = study.recipe_for(name, "target", (training_set,))
            yield _use(name, task, needs.training_languages(task), recipe, trains=True)


def _targets(study: Study, needs: Needs) -> Iterator[dict[str, Any]]:
    for name in study.encoders:
        for target in (study.tasks[name] for name in study.targets):
            recipe = study.recipe_for(name, "target", (target.training_set,))
            use = _use(name, target, needs.languages(target), recipe, trains=False)
            use["metric"] = target.metric
            if target.is_trained:
                training = study.tasks[target.training_set]
                languages = needs.training_languages(training)
                use["learnt_from"] = [_role(part, code) for part in training.datasets for code in languages]
            yield use


def _use(
    encoder: str, task: Task, languages: list[str], recipe: Mapping[str, Any], trains: bool
) -> dict[str, Any]:
    """How a task is read with an encoder: its form, the data, the options; to train on it or to predict it. Where its
    candidates are another task's, `pool` names that.
    """
    found = {
        "encoder": encoder,
        "task": task.name,
        "trains": trains,
        **task.form,
        "data": [_role(part, language) for part in task.datasets for language in languages],
        "recipe": elide({name: recipe[name] for name in READ_BY_FEATURES}),
    }
    return found if task.pool_task is None else found | {"pool": task.pool_task}


def _distinct(uses: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({canonical(use): use for use in uses}.values())
