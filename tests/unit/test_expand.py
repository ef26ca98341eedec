"""Expansion: which jobs a study becomes, and which parts of it each job depends on."""

from pathlib import Path

import pytest

from isthmus import jobs as module
from isthmus.errors import UsageError
from isthmus.expand import expand
from isthmus.hubs.babel.hub import Babel
from isthmus.study.load import load_study
from tests.conftest import MICRO


def table(tmp_path: Path, text: str = MICRO) -> list[module.Job]:
    (tmp_path / "study.yaml").write_text(text)
    jobs, lacking = expand(load_study(tmp_path / "study.yaml"), Babel())
    assert not lacking
    return jobs


def keys(jobs: list[module.Job]) -> dict[str, str]:
    return {job.place: job.key for job in jobs}


def places(jobs: list[module.Job], rule: str) -> list[str]:
    return [job.place for job in jobs if job.rule == rule]


def test_the_dag_of_the_micro_study(tmp_path):
    jobs = table(tmp_path)
    assert [job.place for job in jobs] == [
        "data/wikipedia",
        "data/ccmatrix",
        "data/mnli",
        "data/xnli",
        "preflight",
        "tokenizer/tiny",
        "tokens/tiny/wikipedia",
        "tokens/tiny/ccmatrix",
        "tokens/tiny/mnli",
        "tokens/tiny/xnli",
        "encoder/tiny/s1",
        "target/tiny/none/mnli/s1",
        "predictions/tiny/none/mnli/s1",
        "scores/tiny/none/xnli/s1",
        "intermediate/tiny/mnli/s1",
        "target/tiny/mnli/mnli/s1",
        "predictions/tiny/mnli/mnli/s1",
        "scores/tiny/mnli/xnli/s1",
        "fingerprints/wikipedia",
        "fingerprints/ccmatrix",
        "fingerprints/mnli",
        "fingerprints/xnli",
        "audit",
        "tabulate",
        "report",
    ]


def test_parents_come_first_and_keys_are_unique(tmp_path):
    seen = set()
    for job in table(tmp_path):
        assert {maker.key for maker in job.makers} <= seen
        assert job.key not in seen
        seen.add(job.key)


def test_equal_studies_have_equal_keys_in_any_order_of_the_file(tmp_path):
    lines = MICRO.splitlines(keepends=True)
    shuffled = "".join([*lines[-4:-1], lines[-1]])
    assert keys(table(tmp_path, MICRO)) == keys(table(tmp_path, MICRO.replace(shuffled, "") + shuffled))


CHANGES = {
    "target rate": (
        "steps: 200, learning_rate: 2e-3",
        "steps: 200, learning_rate: 1e-3",
        "target predictions scores",
    ),
    "intermediate rate": (
        "steps: 100, learning_rate: 2e-3",
        "steps: 100, learning_rate: 1e-3",
        "intermediate target/tiny/mnli",
    ),
    "pre-training": (
        "steps: 12, tokens_per_batch: 600",
        "steps: 13, tokens_per_batch: 600",
        "encoder intermediate target",
    ),
    "vocabulary": ("vocab_size: 600", "vocab_size: 601", "tokenizer tokens encoder"),
    "length": ("max_length: 48", "max_length: 47", "encoder intermediate target predictions"),
    "default said": ("seeds: [1]", "seeds: [1]\ntasks: null", ""),
    "name of the question": ("Does anything break?", "Why?", "report"),
}


@pytest.mark.parametrize(("old", "new", "expected"), CHANGES.values(), ids=CHANGES)
def test_a_change_reaches_what_it_decides(tmp_path, old, new, expected):
    before = keys(table(tmp_path))
    assert old in MICRO
    after = keys(table(tmp_path, MICRO.replace(old, new)))
    changed = {place for place in before if before[place] != after.get(place)}
    for prefix in expected.split():
        assert any(place.startswith(prefix) for place in changed), prefix
    untouched = {place for place in changed if place.startswith("data/")}
    assert not untouched
    if not expected:
        assert not changed
    if expected == "report":
        assert changed == {"report"}


def test_the_default_of_an_option_is_not_in_the_spec(tmp_path):
    said = MICRO.replace("learning_rate: 1e-3}", "learning_rate: 1e-3, weight_decay: 0.01}", 1)
    assert keys(table(tmp_path, said)) == keys(table(tmp_path))


def test_arms_share_the_trainings_they_have_in_common(tmp_path):
    text = MICRO.replace("  mnli: mnli\n", "  mnli: mnli\n  mnli-then-pawsx: [mnli, pawsx]\n")
    jobs = table(tmp_path, text)
    assert places(jobs, "train_intermediate") == [
        "intermediate/tiny/mnli/s1",
        "intermediate/tiny/mnli-then-pawsx/s1",
    ]
    chain = next(job for job in jobs if job.place == "intermediate/tiny/mnli-then-pawsx/s1")
    assert "intermediate/tiny/mnli/s1" in {maker.place for maker in chain.makers}


def test_a_chain_without_its_prefix_as_an_arm_has_a_job_per_link(tmp_path):
    text = MICRO.replace("  mnli: mnli\n", "  both: [mnli, pawsx]\n")
    assert places(table(tmp_path, text), "train_intermediate") == [
        "intermediate/tiny/both.link1/s1",
        "intermediate/tiny/both/s1",
    ]


def test_a_mixture_is_one_training_with_a_cap(tmp_path):
    text = MICRO.replace("  mnli: mnli\n", "  mix: {mix: [mnli, pawsx], cap: 500}\n")
    job = next(job for job in table(tmp_path, text) if job.rule == "train_intermediate")
    assert [task["task"] for task in job.units[0].spec["tasks"]] == ["mnli", "pawsx"]
    assert job.units[0].spec["cap"] == 500


def test_a_new_language_changes_no_key_but_those_of_bundles_and_tables(tmp_path):
    before = keys(table(tmp_path))
    after = keys(table(tmp_path, MICRO.replace("\nlanguages: [en, de]", "\nlanguages: [en, de, sw]")))
    assert {place for place in before if before[place] != after[place]} == {
        "data/xnli",
        "preflight",
        "tokens/tiny/xnli",
        "predictions/tiny/none/mnli/s1",
        "predictions/tiny/mnli/mnli/s1",
        "scores/tiny/none/xnli/s1",
        "scores/tiny/mnli/xnli/s1",
        "fingerprints/xnli",
        "audit",
        "tabulate",
        "report",
    }
    assert set(after) == set(before)


def test_a_new_language_is_a_unit_more_and_leaves_the_others_as_they_are(tmp_path):
    def units(text):
        tables = ("check", "audit", "tabulate", "report")
        return {unit.key for job in table(tmp_path, text) for unit in job.units if unit.stage not in tables}

    before, after = units(MICRO), units(MICRO.replace("\nlanguages: [en, de]", "\nlanguages: [en, de, sw]"))
    assert before < after
    assert len(after - before) == 7  # data, tokens, fingerprint, and of two arms prediction and score


def test_one_training_serves_all_its_targets(tmp_path):
    text = MICRO.replace("targets: [xnli]", "targets: [xquad, mlqa, xnli]")
    jobs = table(tmp_path, text)
    assert places(jobs, "train_target") == [
        f"target/tiny/{arm}/{name}/s1" for arm in ("none", "mnli") for name in ("squad", "mnli")
    ]
    answers = next(job for job in jobs if job.place == "predictions/tiny/none/squad/s1")
    assert [unit.name for unit in answers.units] == [
        f"{t}/{code}" for t in ("xquad", "mlqa") for code in ("de", "en")
    ]
    assert places(jobs, "score_languages")[:2] == ["scores/tiny/none/xquad/s1", "scores/tiny/none/mlqa/s1"]


def test_retrieval_asks_the_encoder_as_its_arm_leaves_it(tmp_path):
    text = MICRO.replace(
        "targets: [xnli]\nlanguages: [en, de]", "targets: [bucc, tatoeba]\nlanguages: [de]"
    ).replace("  target: {steps: 200, learning_rate: 2e-3}\n", "")
    jobs = table(tmp_path, text)
    assert not places(jobs, "train_target")
    predictions = [job for job in jobs if job.rule == "predict_languages"]
    assert [job.place for job in predictions] == [
        f"predictions/tiny/{arm}/retrieval/s1" for arm in ("none", "mnli")
    ]
    models = [job.units[0].parents["model"].name for job in predictions]
    assert models == ["tiny", "mnli link 1"]
    splits = {unit.name: unit.spec["splits"] for unit in predictions[0].units}
    assert splits == {"bucc/de": ["dev", "test"], "tatoeba/de": ["test"]}


def test_a_union_is_read_from_its_parts_and_has_one_head(tmp_path):
    jobs = table(tmp_path, MICRO.replace("  mnli: mnli\n", "  mnli: mnli\n  all-nli: anli_plus\n"))
    unit = next(job for job in jobs if job.place == "intermediate/tiny/all-nli/s1").units[0]
    assert unit.spec["tasks"][0]["datasets"] == ["anli", "mnli", "snli"]
    assert {role for role in unit.parents if role != "parent"} == {
        f"tokens/{name}/en" for name in ("anli", "mnli", "snli")
    }
    assert "data/anli" in {job.place for job in jobs} and "data/anli_plus" not in {job.place for job in jobs}


def test_languages_that_the_hub_does_not_have_are_a_mistake(tmp_path):
    text = MICRO.replace("\nlanguages: [en, de]", "\nlanguages: [en, th]")
    with pytest.raises(UsageError, match=r"languages: the hub has nothing in th\. It has en, de"):
        table(tmp_path, text)


def test_encoders_of_the_hub_are_not_babels(tmp_path):
    block = MICRO[MICRO.index("    pretrain:\n") : MICRO.index("arms:\n")]
    text = MICRO.replace(block, "    from: FacebookAI/xlm-roberta-base\n").replace(
        "  pretrain: {steps: 12, tokens_per_batch: 600, learning_rate: 1e-3}\n", ""
    )
    with pytest.raises(UsageError, match="babel serves no encoders"):
        table(tmp_path, text)


def test_five_thousand_jobs_expand_without_repeating_work(tmp_path):
    text = MICRO.replace(
        "targets: [xnli]", "targets: [xnli, pawsx, udpos, panx, xquad, mlqa, tydiqa, bucc, tatoeba]"
    )
    text = text.replace("  target: {", "  target: {tasks: {tydiqa: {select: last}}, ")
    text = text.replace("\nlanguages: [en, de]", "\nlanguages: all").replace(
        "seeds: [1]", f"seeds: {list(range(1, 121))}"
    )
    jobs = table(tmp_path, text)
    assert len(jobs) > 5000
    assert len({job.key for job in jobs}) == len(jobs)


def test_text_can_be_an_intermediate_task(tmp_path):
    arm = (
        "  mnli: mnli\n  text: {task: wikipedia, recipe: {select: last}}\n  both: {mix: [mnli, wikipedia]}\n"
    )
    jobs = table(tmp_path, MICRO.replace("  mnli: mnli\n", arm))
    assert places(jobs, "train_intermediate") == [
        f"intermediate/tiny/{arm}/s1" for arm in ("mnli", "text", "both")
    ]


def test_text_in_an_arm_is_of_all_languages_of_the_study(tmp_path):
    arm = "  mnli: mnli\n  text: {mix: [mnli, wikipedia, ccmatrix]}\n"
    unit = next(
        job.units[0]
        for job in table(tmp_path, MICRO.replace("  mnli: mnli\n", arm))
        if "text/s1" in job.place
    )
    languages = {task["task"]: task["languages"] for task in unit.spec["tasks"]}
    assert languages == {"mnli": ["en"], "wikipedia": ["de", "en"], "ccmatrix": ["de"]}
    assert {"tokens/wikipedia/de", "tokens/ccmatrix/de"} <= set(unit.parents)


def own_task(tmp_path, name: str, **changes) -> str:
    """A study with one more target, described in a folder of its own."""
    (tmp_path / "own").mkdir()
    keys = {
        "task": name,
        "family": "classify",
        "title": name,
        "metric": "accuracy",
        "languages": "[de, en]",
        "sources": "[{hub: facebook/xnli, config: '{language}', splits: {dev: validation, test: test}}]",
        "columns": "{text_a: premise, text_b: hypothesis, label: label}",
        "labels": "[entailment, neutral, contradiction]",
    } | changes
    (tmp_path / "own" / f"{name}.yaml").write_text(
        "".join(f"{key}: {value}\n" for key, value in keys.items())
    )
    return MICRO.replace("hub: babel\n", "hub: babel\ntasks: own\n").replace(
        "targets: [xnli]", f"targets: [{name}]"
    )


def test_a_target_may_be_trained_on_a_union(tmp_path):
    jobs = table(tmp_path, own_task(tmp_path, "nli", trains_on="anli_plus"))
    unit = next(job.units[0] for job in jobs if job.place == "target/tiny/none/anli_plus/s1")
    assert unit.spec["tasks"][0]["datasets"] == ["anli", "mnli", "snli"]


def test_a_target_in_no_language_of_the_hub_is_a_mistake(tmp_path):
    text = own_task(tmp_path, "nli", trains_on="mnli", languages="[bg, th]").replace(
        "\nlanguages: [en, de]", "\nlanguages: all"
    )
    with pytest.raises(
        UsageError, match=r"nli has none of the study's languages that the hub offers\. It has bg, th"
    ):
        table(tmp_path, text)


def test_a_training_set_needs_english_data(tmp_path):
    source = "[{hub: facebook/xnli, config: de, splits: {train: train, test: test}}]"
    text = own_task(tmp_path, "nli", languages="[de]", sources=source)
    text = text.replace("eval_examples: 60", "eval_examples: 60, select: last").replace(
        "[en, de]\nseeds", "[de]\nseeds"
    )
    with pytest.raises(UsageError, match="nli has no English data to train on"):
        table(tmp_path, text)


def test_an_oracle_reads_the_development_examples_of_the_languages_to_transfer_to(tmp_path):
    oracle = MICRO.replace("target: {steps: 200,", "target: {select: oracle_dev, steps: 200,")
    jobs = table(tmp_path, oracle)
    (unit,) = next(job for job in jobs if job.place == "target/tiny/none/mnli/s1").units
    assert unit.spec["target_dev"] == [
        {"task": "xnli", **load_study(tmp_path / "study.yaml").tasks["xnli"].form, "languages": ["de"]}
    ]
    assert [role for role in unit.parents if role.startswith("tokens/xnli")] == ["tokens/xnli/de"]
    report = jobs[-1].units[0].spec["notes"]
    assert any("XNLI (tiny)" in note and "not zero-shot" in note for note in report)
    plain = table(tmp_path)
    assert not any("zero-shot" in note for note in plain[-1].units[0].spec["notes"])
    # Nothing before the targets knows of it.
    before, after = keys(plain), keys(jobs)
    changed = {place.split("/")[0] for place in before if before[place] != after[place]}
    assert changed == {"target", "predictions", "scores", "tabulate", "report"}


def test_an_oracle_needs_development_examples(tmp_path):
    text = MICRO.replace("targets: [xnli]", "targets: [tydiqa, xnli]").replace(
        "target: {steps: 200,", "target: {select: oracle_dev, steps: 200,"
    )
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(UsageError, match="tydiqa"):
        expand(load_study(tmp_path / "study.yaml"), Babel())


def test_an_encoders_own_precision_reaches_all_that_it_computes(tmp_path):
    own = MICRO.replace("  tiny:\n", "  tiny:\n    recipe: {precision: bf16}\n")
    for job in table(tmp_path, own):
        for unit in job.units:
            if unit.stage in ("train", "predict") and job.rule != "pretrain_encoder":
                assert unit.spec["recipe"]["precision"] == "bf16"


def trained(jobs: list[module.Job], place: str) -> module.Unit:
    return next(job.units[0] for job in jobs if job.place == place)


def of_an_arm(
    tmp_path: Path, task: str, languages: str = "[en, de]"
) -> tuple[list[module.Job], dict[str, str]]:
    text = MICRO.replace("  mnli: mnli\n", f"  mnli: mnli\n  other: {task}\n")
    text = text.replace("\nlanguages: [en, de]", f"\nlanguages: {languages}")
    (tmp_path / "study.yaml").write_text(text)
    return expand(load_study(tmp_path / "study.yaml"), Babel())


def test_an_arm_may_train_on_japanese(tmp_path):
    jobs, lacking = of_an_arm(tmp_path, "pawsx_ja")
    unit = trained(jobs, "intermediate/tiny/other/s1")
    assert unit.spec["tasks"][0]["languages"] == ["ja"]
    assert {role for role in unit.parents if role != "parent"} == {"tokens/pawsx_ja/ja"}
    fetched = next(job for job in jobs if job.place == "data/pawsx_ja").units
    assert [unit.spec["splits"] for unit in fetched] == [{"train": "train", "dev": "validation"}]
    assert set(lacking) <= {unit.key for unit in fetched}


def test_translations_are_one_intermediate_task_in_all_languages_of_the_study(tmp_path):
    jobs, _ = of_an_arm(tmp_path, "mnli_translated", "[en, sw, de]")
    unit = trained(jobs, "intermediate/tiny/other/s1")
    assert [(task["task"], task["languages"]) for task in unit.spec["tasks"]] == [
        ("mnli_translated", ["de", "sw"])
    ]
    assert {role for role in unit.parents if role != "parent"} == {
        f"tokens/mnli_translated/{language}" for language in ("de", "sw")
    }


def test_what_a_task_is_trained_in_changes_no_other_key(tmp_path):
    before, (after, _) = table(tmp_path), of_an_arm(tmp_path, "jnli")
    changed = {place for place, key in keys(before).items() if keys(after)[place] != key}
    assert changed == {"preflight", "audit", "tabulate", "report"}


def test_a_dataset_that_the_hub_does_not_have_is_said_to_be_lacking(tmp_path, monkeypatch):
    monkeypatch.setattr(Babel, "offers", lambda _, hub_id, *place: hub_id != "SkelterLabsInc/JaQuAD")
    _, lacking = of_an_arm(tmp_path, "jaquad")
    assert list(lacking.values()) == ["jaquad in ja: tried SkelterLabsInc/JaQuAD default (train, validation)"]


def test_all_that_trains_is_held_against_every_test_split(tmp_path):
    text = MICRO.replace("targets: [xnli]", "targets: [panx, xquad, tatoeba]")
    text = text.replace("  mnli: mnli\n", "  more: {mix: [anli_plus, squad]}\n")
    audit = next(job for job in table(tmp_path, text) if job.place == "audit").units[0]
    everywhere = {"pre-training": None}, {"intermediate": None}
    assert {entry["training"]: (entry["languages"], entry["roles"]) for entry in audit.spec["trainings"]} == {
        "wikipedia": (["de", "en"], everywhere[0]),
        "ccmatrix": (["de"], everywhere[0]),
        "anli": (["en"], everywhere[1]),
        "mnli": (["en"], everywhere[1]),
        "snli": (["en"], everywhere[1]),
        "squad": (["en"], {"intermediate": None, "target": ["xquad"]}),
        "panx": (["en"], {"target": ["panx"]}),
    }
    assert audit.spec["tests"] == {"panx": ["de", "en"], "xquad": ["de", "en"], "tatoeba": ["de"]}
    splits = {role: unit.spec["split"] for role, unit in audit.parents.items()}
    assert {splits["train/panx/en"], splits["train/ccmatrix/de"]} == {"train"}
    assert {splits["test/panx/en"], splits["test/tatoeba/de"]} == {"test"} and len(splits) == 13


def test_a_new_arm_takes_the_fingerprint_of_its_data_alone(tmp_path):
    more = MICRO.replace("  mnli: mnli\n", "  mnli: mnli\n  squad: squad\n")
    before, after = (keys(table(tmp_path, text)) for text in (MICRO, more))
    new = {place for place in after if after[place] != before.get(place)}
    assert {place for place in new if place.startswith("fingerprints")} == {"fingerprints/squad"}
    assert "audit" in new


def test_nothing_waits_for_the_audit_but_the_report(tmp_path):
    def stages(job):
        return {maker.place for maker in job.makers}

    waiting = {job.place for job in table(tmp_path) if "audit" in stages(job)}
    assert waiting == {"report"}
    assert not [
        job.place
        for job in table(tmp_path)
        for place in stages(job)
        if place.startswith("fingerprints") and job.place != "audit"
    ]


def preflight(jobs: list[module.Job]) -> module.Job:
    return next(job for job in jobs if job.place == "preflight")


def test_every_training_comes_after_the_checks_and_nothing_else_does(tmp_path):
    jobs = table(tmp_path)
    after = {job.place for job in jobs if job.after}
    assert after == {job.place for job in jobs if job.stage == "train"}
    assert all(job.after == (preflight(jobs),) for job in jobs if job.after)
    assert {maker.rule for maker in preflight(jobs).makers} == {"fetch_dataset"}


def test_the_checks_are_no_part_of_any_other_key(tmp_path, monkeypatch):
    before = keys(table(tmp_path))
    monkeypatch.setitem(module.STAGES, "check", "isthmus.check.findings")
    module._closure.cache_clear()
    after = keys(table(tmp_path))
    assert {place for place in before if before[place] != after[place]} == {"preflight"}
