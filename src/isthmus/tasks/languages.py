"""What is known of languages: ISO codes, script, family, and how much of each XLM-R was pre-trained on.

`catalogue/languages.csv` holds those of the catalogue's tasks; a study's folder of tasks may hold a `languages.csv` with
more. Columns:

- `code`: as tasks name it (ISO 639-1, or 639-3 where there is none); `iso639_3`: its three letters, those of the
  macrolanguage for az ar et fa and the like.
- `script`: ISO 15924, the one of Wikipedia and of XTREME's data; ko is written Hang here, as in XTREME.
- `family`, and within Indo-European the `branch`: as XTREME's and XTREME-R's papers have them for their 50 languages (Hu et
  al. 2020; Ruder et al. 2021), else the common classification.
- `xlm_r` and `xlm_r_gib`: whether XLM-R's CC-100 has it, and how much, in GiB before sampling: Conneau et al. 2020, table 6.
  Where that has two rows for one language (zh in two scripts, my in two encodings) it is their sum; romanised text (hi ur
  bn te ta) is not counted.

The rest is typology, from URIEL as lang2vec 1.1.2 carries it (Littell et al. 2017; CC BY-SA 4.0, as are these columns).
URIEL has every language of the packaged file under its `iso639_3`. All values are from 0 to 1, with two decimals; a tilde
before one says that it was predicted from near languages and not observed, for a distance that less than half of what it is
made of was observed. Predictions can be wrong.

- `d_…`: distance from English. That version carries no distances; these were computed from its vectors by URIEL's
  definitions: `d_genetic` one minus the cosine of the nodes of Glottolog's tree above the language (1 = none shared; so for
  isolates), `d_geographic` along the earth's surface, 1 = the other end of it, and one minus the cosine of the predicted
  vectors of syntax, phonology and phoneme inventory.
- `svo` to `gender_mark`: URIEL's syntactic features of these names (WALS, SSWL, Ethnologue), 1 = has it; where sources
  disagree their mean. For how much is said by affixes: case by suffix or by enclitic, plural, tense and aspect, possessor.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from isthmus.errors import UsageError
from isthmus.study.problems import did_you_mean, relative, shown

FILE = "languages.csv"
PACKAGED = Path(__file__).parent / "catalogue" / FILE
REQUIRED = ("code", "name", "script", "family")
DISTANCES = ("d_genetic", "d_geographic", "d_syntactic", "d_phonological", "d_inventory")
FEATURES = (
    "svo",
    "sov",
    "case_mark",
    "case_suffix",
    "case_enclitic",
    "tend_suffix",
    "tend_prefix",
    "plural_suffix",
    "tam_suffix",
    "possessive_suffix",
    "gender_mark",
)
COLUMNS = (
    *("code", "iso639_3", "name", "script", "family", "branch", "xlm_r", "xlm_r_gib"),
    *DISTANCES,
    *FEATURES,
)
PREDICTED = "~"

_FORMS = {
    "code": (re.compile(r"[a-z]{2,3}([-_][a-z0-9]{1,8})*\Z"), "a language code such as en, or en_latn"),
    "iso639_3": (re.compile(r"([a-z]{3})?\Z"), "an ISO 639-3 code such as eng"),
    "name": (re.compile(r"\S(.*\S)?\Z"), "a name"),
    "script": (re.compile(r"[A-Z][a-z]{3}\Z"), "an ISO 15924 code such as Latn"),
    "family": (re.compile(r"\S(.*\S)?\Z"), "a family such as Turkic"),
    "xlm_r": (re.compile(r"(yes|no)?\Z"), "yes or no"),
    "xlm_r_gib": (re.compile(r"([0-9]+(\.[0-9]+)?)?\Z"), "a number of GiB such as 1.6"),
    **dict.fromkeys(
        (*DISTANCES, *FEATURES),
        (
            re.compile(r"(~?(0(\.[0-9]+)?|1(\.0+)?))?\Z"),
            "a number from 0 to 1 such as 0.25, or ~0.25 where predicted",
        ),
    ),
}


@dataclass(frozen=True)
class Language:
    """One language; what is not known is empty, or None. `xlm_r_gib` is in GiB of text. `typology` holds the distances from
    English and the features that are given, 0 to 1, by column; `predicted` those of them that nobody observed.
    """

    code: str
    name: str
    script: str
    family: str
    iso639_3: str = ""
    branch: str = ""
    xlm_r: bool | None = None
    xlm_r_gib: float | None = None
    typology: Mapping[str, float] = field(default_factory=dict)
    predicted: frozenset[str] = frozenset()


def languages(extra_folder: Path | None = None) -> dict[str, Language]:
    """The packaged languages and those of one more folder, by code.

    Raises:
        UsageError: a file is wrong, or brings a language that is packaged; one line for each problem.
    """
    found, problems = read_languages(PACKAGED)
    if extra_folder is not None and (extra_folder / FILE).is_file():
        more, lines = read_languages(extra_folder / FILE, found)
        found, problems = found | more, problems + lines
    if problems:
        raise UsageError("\n".join(problems))
    return found


def read_languages(
    path: Path, known: Mapping[str, Language] | None = None
) -> tuple[dict[str, Language], list[str]]:
    """One file: its languages by code, and a line for each problem. Languages that are `known` may not come again."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        return {}, [f"{relative(path)}: cannot be read as UTF-8 ({error})."]
    rows = csv.DictReader(text.splitlines())
    problems = [f"{relative(path)}:1: {line}" for line in _header_faults(rows.fieldnames or ())]
    found: dict[str, Language] = {}
    for row in () if problems else rows:
        place = f"{relative(path)}:{rows.line_num}"
        faults = _faults(row, {**(known or {}), **found})
        problems += [f"{place}: {fault}" for fault in faults]
        if not faults:
            found[row["code"]] = _language(row)
    return found, problems


def _header_faults(header: Sequence[str]) -> list[str]:
    missing = [name for name in REQUIRED if name not in header]
    faults = [f"the column {name} is missing: the first line names the columns." for name in missing]
    strange = [name for name in header if name not in COLUMNS]
    return faults + [f"there is no column {shown(name)}.{did_you_mean(name, COLUMNS)}" for name in strange]


def _faults(row: Mapping[str, str | None], taken: Mapping[str, Language]) -> list[str]:
    """What is wrong with a line; one with too few or too many cells has no other faults."""
    if None in row or None in row.values():
        return ["has not as many cells as the first line."]
    faults = [
        f"{name}: {shown(row[name])} is not {form}."
        for name, (pattern, form) in _FORMS.items()
        if name in row and not pattern.match(row[name] or "")
    ]
    if row["code"] in taken:
        faults.append(f"code: {shown(row['code'])} is there already: each language has one line.")
    if row.get("xlm_r_gib") and row.get("xlm_r") != "yes":
        faults.append("xlm_r_gib: is given for a language that XLM-R was not pre-trained on.")
    return faults


def _language(row: Mapping[str, str]) -> Language:
    amount = row.get("xlm_r_gib")
    given = {name: row[name] for name in (*DISTANCES, *FEATURES) if row.get(name)}
    return Language(
        code=row["code"],
        name=row["name"],
        script=row["script"],
        family=row["family"],
        iso639_3=row.get("iso639_3", ""),
        branch=row.get("branch", ""),
        xlm_r={"yes": True, "no": False}.get(row.get("xlm_r", "")),
        xlm_r_gib=float(amount) if amount else None,
        typology={name: float(value.removeprefix(PREDICTED)) for name, value in given.items()},
        predicted=frozenset(name for name, value in given.items() if value.startswith(PREDICTED)),
    )
