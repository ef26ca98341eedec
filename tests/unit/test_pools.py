"""Tasks whose answers are looked up in a pool: what a study makes of them, and what is wrong with their files."""

from pathlib import Path

import pytest

from isthmus.jobs import Job, Unit
from isthmus.tasks.files import PACKAGED, catalogue, collect
from tests.conftest import MICRO
from tests.unit.test_expand import keys, table

STUDY = MICRO.replace("targets: [xnli]", "targets: [xnli, lareqa, mewslix]")


def unit(jobs: list[Job], stage: str, name: str) -> Unit:
    return next(one for job in jobs for one in job.units if one.stage == stage and one.name == name)


def test_a_pool_of_the_study_has_the_candidates_of_all_its_languages(tmp_path: Path) -> None:
    jobs = table(tmp_path, STUDY)
    predicted, scored = (unit(jobs, stage, "lareqa/de") for stage in ("predict", "score"))
    assert predicted.spec["pool"] == scored.spec["pool"] == ["lareqa/de", "lareqa/en"]
    assert {role for role in predicted.parents if role.startswith("pool/")} == {
        "pool/lareqa/de",
        "pool/lareqa/en",
    }
    assert predicted.parents["pool/lareqa/en"] == unit(jobs, "tokenize", "lareqa/en")
    assert scored.parents["pool/lareqa/en"] == unit(jobs, "fetch", "lareqa/en")
    assert predicted.spec["head"] == "squad_sentences" and predicted.spec["form"] == {"family": "match"}
    trained = next(job for job in jobs if job.place == "target/tiny/none/squad_sentences/s1").units[0]
    assert trained.spec["tasks"] == [{"task": "squad_sentences", "family": "match", "languages": ["en"]}]


def test_another_tasks_candidates_are_fetched_whatever_the_study_scores(tmp_path: Path) -> None:
    jobs = table(tmp_path, STUDY)
    entities = unit(jobs, "tokenize", "mewslix_entities/en")
    for language in ("de", "en"):
        predicted = unit(jobs, "predict", f"mewslix/{language}")
        assert predicted.spec["pool"] == ["mewslix_entities/en"]
        assert predicted.parents["pool/mewslix_entities/en"] == entities
    trained = next(job for job in jobs if job.place == "target/tiny/none/mewslix/s1").units[0]
    assert trained.spec["tasks"][0]["pool"] == ["mewslix_entities/en"]
    assert trained.parents["tokens/mewslix_entities/en"] == entities


def test_an_arm_trains_with_the_candidates_of_its_pool(tmp_path: Path) -> None:
    jobs = table(tmp_path, MICRO.replace("  mnli: mnli\n", "  linked: mewslix\n"))
    trained = next(job for job in jobs if job.place == "intermediate/tiny/linked/s1").units[0]
    assert "tokens/mewslix_entities/en" in trained.parents


def test_an_oracle_has_the_candidates_of_its_targets(tmp_path: Path) -> None:
    recipe = "  target: {steps: 200, learning_rate: 2e-3, tasks: {mewslix: {select: oracle_dev}}}\n"
    text = STUDY.replace("  target: {steps: 200, learning_rate: 2e-3}\n", recipe)
    jobs = table(tmp_path, text)
    trained = next(job for job in jobs if job.place == "target/tiny/none/mewslix/s1").units[0]
    assert trained.spec["target_dev"][0]["languages"] == ["de"]
    assert trained.spec["target_dev"][0]["pool"] == ["mewslix_entities/en"]


def test_a_new_language_does_anew_what_looks_among_its_candidates_and_nothing_else(tmp_path: Path) -> None:
    before = {(one.stage, one.name): one.key for job in table(tmp_path, STUDY) for one in job.units}
    wider = STUDY.replace("\nlanguages: [en, de]", "\nlanguages: [en, de, es]")
    after = {(one.stage, one.name): one.key for job in table(tmp_path, wider) for one in job.units}
    changed = {place for place, key in before.items() if after[place] != key}
    assert {(stage, name) for stage, name in changed if stage in ("predict", "score")} == {
        (stage, f"lareqa/{language}") for stage in ("predict", "score") for language in ("de", "en")
    }
    assert not [place for place in changed if place[0] in ("fetch", "tokenize", "train")]


def test_other_tasks_know_nothing_of_pools(tmp_path: Path) -> None:
    jobs, plain = table(tmp_path, STUDY), table(tmp_path, MICRO)
    assert "pool" not in unit(jobs, "predict", "xnli/de").spec
    shared = {
        place for place in keys(plain) if not place.startswith(("preflight", "tabulate", "report", "audit"))
    }
    assert {place: keys(jobs)[place] for place in shared} == {place: keys(plain)[place] for place in shared}


def test_the_report_says_which_languages_a_pool_lacks(tmp_path: Path) -> None:
    notes = "\n".join(unit(table(tmp_path, STUDY), "report", "report").spec["notes"])
    assert "LAReQA: candidates were looked for in de, en, of 11 languages." in notes
    assert "Mewsli-X: candidates were looked for" not in notes
    (tmp_path / "own").mkdir()
    text = (PACKAGED / "lareqa.yaml").read_text().replace("task: lareqa", "task: few")
    text = text.replace("languages: [ar, de, el, en, es, hi, ru, th, tr, vi, zh]", "languages: [de, en]")
    (tmp_path / "own/few.yaml").write_text(text)
    own = MICRO.replace("hub: babel\n", "hub: babel\ntasks: own\n").replace(
        "targets: [xnli]", "targets: [few]"
    )
    whole = unit(table(tmp_path, own), "report", "report")
    assert "candidates were looked for" not in "\n".join(whole.spec["notes"])


def test_a_querys_length_is_in_no_other_spec(tmp_path: Path) -> None:
    longer = STUDY.replace("all: {max_length: 48,", "all: {max_length: 48, query_length: 24,")
    jobs = table(tmp_path, longer)
    trained = next(job for job in jobs if job.place == "target/tiny/none/squad_sentences/s1").units[0]
    assert trained.spec["recipe"]["query_length"] == 24
    assert unit(jobs, "predict", "lareqa/de").spec["recipe"]["query_length"] == 24
    assert "query_length" not in unit(jobs, "predict", "xnli/de").spec["recipe"]


TASK = """\
task: look
family: match
title: Look
metric: ranked
languages: [en, de]
pool: study
sources: [{hub: me/look, config: "{language}", splits: {train: train, test: test}}]
columns: {id: id, context: text, question: question, answers: answers}
"""
THINGS = """\
task: things
family: match
title: Things
languages: [en]
pool: own
sources: [{hub: me/things, splits: {test: test}}]
columns: {id: id, candidate: text}
"""


def problems(folder: Path, text: str, things: str = THINGS) -> list[str]:
    (folder / "look.yaml").write_text(text)
    (folder / "things.yaml").write_text(things)
    return [line.partition("look.yaml:")[2] for line in collect([folder]).problems]


def test_a_task_of_a_users_own_needs_no_code(tmp_path: Path) -> None:
    mentions = "columns: {id: id, mention: m, before: l, after: r, wanted: e}"
    for text in (
        TASK,
        TASK.replace("pool: study", "pool: own"),
        TASK.replace("pool: study", "pool: things").replace(TASK.splitlines()[-1], mentions),
        TASK.replace("pool: study", "pool: things").replace(
            TASK.splitlines()[-1], "columns: {id: id, query: q, wanted: e}"
        ),
    ):
        assert problems(tmp_path, text) == []
    look = catalogue(tmp_path)["look"]
    assert look.is_target and look.is_trained and look.kind == "matching" and look.pool_task == "things"
    assert catalogue()["lareqa"].pool_task is None and not catalogue()["mewslix_entities"].is_target


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("pool: study\n", "", '2: family: "match" reads tasks with pool, not context.'),
        ("family: match", "family: span", '2: family: "span" reads tasks with context, not pool.'),
        (
            "metric: ranked",
            "metric: answers",
            '4: metric: "answers" scores tasks with answers, which this one has not.',
        ),
        ("pool: study", "pool: thing", '1: pool: there is no task "thing". Did you mean "things"?'),
        ("pool: study", "pool: look", '1: pool: "look" holds no candidates'),
        (
            "columns: {id: id, context: text, ",
            "columns: {id: id, query: text, ",
            "8: columns: query needs wanted",
        ),
    ],
)
def test_a_bad_task_file_gets_its_line(tmp_path: Path, old: str, new: str, line: str) -> None:
    assert TASK.count(old) == 1
    assert any(found.startswith(line) for found in problems(tmp_path, TASK.replace(old, new)))


def test_a_pool_needs_the_split_that_it_is_looked_for_in(tmp_path: Path) -> None:
    text = TASK.replace("pool: study", "pool: things")
    (found,) = problems(tmp_path, text, THINGS.replace("{test: test}", "{train: test}"))
    assert found == '1: pool: "things" has no test split, which is where candidates are looked for.'


def test_pools_belong_to_the_ranked_metric(tmp_path: Path) -> None:
    plain = TASK.replace("family: match", "family: span").replace("pool: study\n", "")
    (found,) = problems(tmp_path, plain)
    assert found == '4: metric: "ranked" scores tasks with pool, which this one has not.'
