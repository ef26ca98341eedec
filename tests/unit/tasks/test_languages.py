"""languages.csv: every language of the catalogue, once, in valid codes; and a study's own beside them."""

from pathlib import Path

import pytest

from isthmus.errors import UsageError
from isthmus.tasks.files import catalogue, collect
from isthmus.tasks.languages import COLUMNS, DISTANCES, FEATURES, PACKAGED, languages

# ISO 15924, those of the packaged languages.
SCRIPTS = (
    "Arab Armn Beng Cyrl Deva Ethi Geor Grek Gujr Guru Hang Hans Hebr Jpan Khmr Knda Laoo Latn Mlym Mymr Orya Sinh "
    "Taml Telu Thai"
)

# Of their syntax URIEL knows less than half.
THIN = "af be eo fy gl gu hr ht jv kk ky la mk ml or sa sd si sk sr yi"


def own(folder: Path, text: str) -> Path:
    (folder / "languages.csv").write_text(text, encoding="utf-8")
    return folder


def test_every_language_of_the_catalogue_is_there_once() -> None:
    lines = PACKAGED.read_text(encoding="utf-8").splitlines()
    assert lines[0] == ",".join(COLUMNS)
    codes = [line.split(",")[0] for line in lines[1:]]
    assert codes == sorted(set(codes)) == list(languages())
    assert {code for task in catalogue().values() for code in task.codes} == set(codes)


def test_codes_are_valid_and_of_one_language_each() -> None:
    found = languages().values()
    assert " ".join(sorted({language.script for language in found})) == SCRIPTS
    assert (
        len({language.iso639_3 for language in found})
        == len({language.name for language in found})
        == len(found)
    )
    assert all(len(language.iso639_3) == 3 for language in found)
    branches = {language.branch for language in found if language.family != "Indo-European"}
    assert branches == {""}
    assert all(language.branch for language in found if language.family == "Indo-European")


def test_published_facts() -> None:
    """XTREME counts 12 families and two isolates in its 40 languages; XLM-R's table 6."""
    found = languages()
    xtreme = [found[code] for code in catalogue()["panx"].codes]
    families = {language.family for language in xtreme}
    assert len(families) == 14 and {"Isolate", "Koreanic"} <= families
    assert {code for code, language in found.items() if not language.xlm_r} == {"ht", "qu", "wo", "yo"}
    amounts = {code: found[code].xlm_r_gib for code in ("en", "ja", "sw", "yo", "zh", "my")}
    assert amounts == {"en": 300.8, "ja": 69.3, "sw": 1.6, "yo": None, "zh": 63.5, "my": 2.0}
    total = sum(language.xlm_r_gib or 0 for language in found.values())
    assert 2.4 * 1024 < total < 2.5 * 1024  # the paper says 2.5 TB


def test_typology_is_whole_and_says_what_was_predicted() -> None:
    found = languages()
    for language in found.values():
        assert list(language.typology) == [*DISTANCES, *FEATURES]
        assert all(0 <= value <= 1 for value in language.typology.values())
    assert {name: found["en"].typology[name] for name in DISTANCES} == dict.fromkeys(DISTANCES, 0.0)
    assert not found["en"].predicted
    finnish, japanese, swahili = (found[code] for code in ("fi", "ja", "sw"))
    assert [finnish.typology[name] for name in ("case_suffix", "plural_suffix", "tend_prefix", "sov")] == [
        1,
        1,
        0,
        0,
    ]
    assert [japanese.typology[name] for name in ("case_suffix", "case_enclitic", "sov")] == [0, 1, 1]
    assert (swahili.typology["tend_prefix"], swahili.typology["case_mark"]) == (1, 1)
    assert "case_mark" in swahili.predicted and "tend_prefix" not in swahili.predicted
    # Nearer relatives and neighbours are nearer; what shares no node of the tree is at 1.
    near, far = ("nl", "de", "sv"), ("eu", "fi", "ja")
    assert max(found[code].typology["d_genetic"] for code in near) < 1
    assert {found[code].typology["d_genetic"] for code in far} == {1.0}
    assert found["nl"].typology["d_geographic"] < found["hi"].typology["d_geographic"] < 0.5
    assert " ".join(code for code, language in found.items() if "d_syntactic" in language.predicted) == THIN


def test_a_study_brings_languages_of_its_own(tmp_path: Path) -> None:
    own(tmp_path, "code,name,script,family\nluo,Luo,Latn,Nilo-Saharan\n")
    found = languages(tmp_path)
    assert len(found) == len(languages()) + 1
    assert found["luo"].name == "Luo" and found["luo"].xlm_r is None and not found["luo"].typology
    assert collect([PACKAGED.parent, tmp_path]).languages == found


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("code,name,script\n", "languages.csv:1: the column family is missing"),
        ("code,name,script,family,speakers\n", 'languages.csv:1: there is no column "speakers".'),
        (
            "code,name,script,family\nLUO,Luo,Latn,Nilo-Saharan\n",
            'languages.csv:2: code: "LUO" is not a language code',
        ),
        (
            "code,name,script,family\nluo,Luo,latin,Nilo-Saharan\n",
            'languages.csv:2: script: "latin" is not an ISO 15924 code',
        ),
        ("code,name,script,family\nluo,,Latn,Nilo-Saharan\n", 'languages.csv:2: name: "" is not a name.'),
        ("code,name,script,family\nluo,Luo,Latn\n", "languages.csv:2: has not as many cells"),
        ("code,name,script,family\nluo,Luo,Latn,Nilo-Saharan,x\n", "languages.csv:2: has not as many cells"),
        ("code,name,script,family\nsw,Swahili,Latn,Bantu\n", 'languages.csv:2: code: "sw" is there already'),
        (
            "code,name,script,family\nluo,B,Latn,Nilo-Saharan\nluo,B,Latn,Nilo-Saharan\n",
            'languages.csv:3: code: "luo" is there already',
        ),
        (
            "code,name,script,family,d_genetic\nluo,B,Latn,Nilo-Saharan,1.5\n",
            'languages.csv:2: d_genetic: "1.5" is not a number from 0 to 1',
        ),
        (
            "code,name,script,family,case_mark\nluo,B,Latn,Nilo-Saharan,yes\n",
            'languages.csv:2: case_mark: "yes" is not a number from 0 to 1 such as 0.25, or ~0.25 where predicted',
        ),
        (
            "code,name,script,family,xlm_r,xlm_r_gib\nluo,B,Latn,Nilo-Saharan,no,1\n",
            "languages.csv:2: xlm_r_gib: is given for a language that XLM-R was not",
        ),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, line: str) -> None:
    own(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        languages(tmp_path)
    assert line in str(caught.value)
    assert any(line in found for found in collect([PACKAGED.parent, tmp_path]).problems)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "languages.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"languages\.csv: cannot be read as UTF-8"):
        languages(tmp_path)
