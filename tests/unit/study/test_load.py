import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from isthmus.presets import PRESETS
from isthmus.recipe import elide
from isthmus.study.load import Arm, HubEncoder, Link, PretrainedEncoder, Study, load_study
from isthmus.study.recipes import RecipeOptions

REPOSITORY = Path(__file__).parents[3]
BASE = (REPOSITORY / "tests" / "studies" / "bad" / "base.yaml").read_text(encoding="utf-8")


def study(folder: Path, *changes: tuple[str, str]) -> Study:
    text = BASE
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return load_study(path)


def test_the_default_study() -> None:
    found = load_study(REPOSITORY / "config.yaml")
    assert (found.name, found.hub, found.targets, found.languages, found.seeds) == (
        "first",
        "babel",
        ("xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc", "tatoeba"),
        "all",
        (1,),
    )
    tiny = found.encoders["tiny"]
    assert isinstance(tiny, PretrainedEncoder)
    assert tiny.data == ("wikipedia", "ccmatrix")
    assert list(found.arms) == ["none", "mnli", "squad", "hellaswag", "all-mixed"]
    assert found.arms["none"] == Arm("none", (), {}, "none")
    assert found.arms["squad"] == Arm("squad", (Link(("squad",)),), {}, "squad")
    (mixture,) = found.arms["all-mixed"].links
    assert len(mixture.tasks) == 9 and mixture.cap == 2**17
    spec = elide(found.recipe_for("tiny", "pretrain", tiny.data))
    assert spec["select"] == "last"
    assert spec["learning_rate"] == 3e-3


def test_the_first_study_on_real_data() -> None:
    found = load_study(REPOSITORY / "studies" / "real-first.yaml")
    assert found.hub == "mirror"
    assert found.targets == ("xnli", "pawsx-disjoint")
    assert {"bible", "mlm-text", "pawsx-disjoint"} <= set(found.tasks)
    assert len(found.tasks["xnli"].codes) == 15


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("studies/**/*.yaml")), ids=lambda path: path.name)
def test_every_study_file_is_a_study(path: Path) -> None:
    if path.parent.name == "studies" or path.parent.name == "babel":
        assert load_study(path).name


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from isthmus.study.load import load_study; load_study(sys.argv[1]);"
        "print({name.split('.')[0] for name in sys.modules} & set(sys.argv[2:]))"
    )
    heavy = ["torch", "transformers", "pandas", "pyarrow", "datasets", "numpy", "snakemake", "tokenizers"]
    command = [sys.executable, "-c", code, str(REPOSITORY / "config.yaml"), *heavy]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == "set()"


def test_norwegian_is_a_language(tmp_path: Path) -> None:
    found = study(tmp_path, ("      width: 64", "      languages: [en, no]"))
    tiny = found.encoders["tiny"]
    assert isinstance(tiny, PretrainedEncoder)
    assert tiny.languages == ("en", "no")


def test_the_feed_forward_size_follows_the_width(tmp_path: Path) -> None:
    tiny = study(tmp_path, ("width: 64", "width: 32")).encoders["tiny"]
    assert isinstance(tiny, PretrainedEncoder)
    assert tiny.feed_forward == 128


def test_an_encoder_of_the_hub(tmp_path: Path) -> None:
    old = BASE[BASE.index("  tiny:") : BASE.index("arms:")]
    new = '  base: {from: FacebookAI/xlm-roberta-base, revision: "12345678"}\n'
    assert study(tmp_path, (old, new)).encoders == {
        "base": HubEncoder("base", "FacebookAI/xlm-roberta-base", "12345678")
    }


def test_the_kinds_of_arms(tmp_path: Path) -> None:
    arms = """  mnli: mnli
  twice: [mnli, pawsx]
  mixed: {mix: [mnli, pawsx], cap: 100}
  then: [pawsx, {mix: [mnli, pawsx]}, {task: mnli, recipe: {warmup: 0}}]
  fast: {task: mnli, recipe: {learning_rate: 2e-4}}
  m-n{examples}-lr{learning_rate}: {task: mnli, grid: {examples: [100, 1e3], learning_rate: [2e-5, "1e-4"]}}
"""
    found = study(tmp_path, ("  mnli: mnli\n", arms)).arms
    assert list(found)[:6] == ["none", "mnli", "twice", "mixed", "then", "fast"]
    assert found["twice"].links == (Link(("mnli",)), Link(("pawsx",)))
    assert found["mixed"].links == (Link(("mnli", "pawsx"), cap=100),)
    assert found["then"].links == (
        Link(("pawsx",)),
        Link(("mnli", "pawsx"), cap=2**17),
        Link(("mnli",), recipe={"warmup": 0.0}),
    )
    assert found["fast"].links[0].recipe == {"learning_rate": 2e-4}
    assert list(found)[6:] == [f"m-n{n}-lr{rate}" for n in (100, 1000) for rate in ("2e-5", "0.0001")]
    assert found["m-n1000-lr2e-5"].factors == {"examples": 1000, "learning_rate": 2e-5}
    assert found["m-n1000-lr2e-5"].links == (
        Link(("mnli",), recipe={"examples": 1000, "learning_rate": 2e-5}),
    )


def test_precedence_of_options(tmp_path: Path) -> None:
    found = study(
        tmp_path,
        ("  all: {batch_size: 32}", "  all: {batch_size: 8, warmup: 0.2, clip: 2, patience: 5}"),
        (
            "{learning_rate: 2e-5}",
            "{warmup: 0.3, clip: 3, patience: 6, tasks: {mnli: {clip: 4, patience: 7}}}",
        ),
    )
    expected = {"batch_size": 8, "warmup": 0.3, "clip": 4.0, "patience": 9}
    assert elide(found.recipe_for("tiny", "intermediate", "mnli", {"patience": 9})) == expected
    mixture = elide(found.recipe_for("tiny", "intermediate", ["mnli", "pawsx"]))
    assert mixture == {"batch_size": 8, "warmup": 0.3, "clip": 3.0, "patience": 6}
    assert elide(found.recipe_for("tiny", "target", "mnli")) == {
        "batch_size": 8,
        "epochs": 2.0,
        "warmup": 0.2,
        "clip": 2.0,
        "patience": 5,
    }


def test_an_encoders_own_options_win_over_the_stages_and_lose_to_the_arms(tmp_path: Path) -> None:
    found = study(
        tmp_path,
        ("  tiny:\n", "  tiny:\n    recipe: {preset: one-card-lora, lora_rank: 4, batch_size: 4}\n"),
        ("{learning_rate: 2e-5}", "{learning_rate: 2e-5, tasks: {mnli: {batch_size: 64}}}"),
    )
    lora = {"precision": "bf16_states", "gradient_checkpointing": True, "lora_rank": 4, "learning_rate": 2e-4}
    assert elide(found.recipe_for("tiny", "intermediate", "mnli")) == {**lora, "batch_size": 4}
    assert elide(found.recipe_for("tiny", "intermediate", "mnli", {"batch_size": 2}))["batch_size"] == 2


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_its_options_and_what_stands_beside_it_wins(tmp_path: Path, name: str) -> None:
    found = study(tmp_path, ("{epochs: 2}", f"{{preset: {name}, epochs: 2}}"))
    spec = elide(found.recipe_for("tiny", "target", "mnli"))
    assert spec == {**PRESETS[name], "epochs": 2.0} and "preset" not in spec
    found = study(tmp_path, ("{epochs: 2}", f"{{preset: {name}, precision: fp32}}"))
    assert found.recipe_for("tiny", "target", "mnli")["precision"] == "fp32"
    # The reference page says what a preset is: all of it.
    described = RecipeOptions.model_fields["preset"].description or ""
    assert all(option in described for option in PRESETS[name])


def test_text_in_a_mixture_reads_the_text_options(tmp_path: Path) -> None:
    found = study(tmp_path, ("  all: {batch_size: 32}", "  all: {mask_rate: 0.3}"))
    assert "mask_rate" not in elide(found.recipe_for("tiny", "intermediate", "mnli"))
    assert elide(found.recipe_for("tiny", "intermediate", ("mnli", "wikipedia")))["mask_rate"] == 0.3


@pytest.mark.parametrize("hub", ["./hub", "../hub", "some/hub", "/srv/hub"])
def test_a_hub_that_is_a_folder_is_relative_to_the_file(tmp_path: Path, hub: str) -> None:
    assert study(tmp_path, ("hub: babel", f"hub: {hub}")).hub == str((tmp_path / hub).resolve())


def test_a_study_does_not_change(tmp_path: Path) -> None:
    found = study(tmp_path)
    with pytest.raises(FrozenInstanceError):
        found.name = "other"  # type: ignore[misc]
