import pytest

from isthmus import families
from isthmus.errors import UsageError
from isthmus.tasks import files


def test_families_load_by_name_and_have_the_whole_interface() -> None:
    parts = (
        "ONE_CORPUS canonical encode read usable subset epoch everything collate head loss outputs predictions positions originals identifiers score "
        "collapsed"
    )
    for name in files.families():
        assert [part for part in parts.split() if not hasattr(families.load(name), part)] == []


def test_an_unknown_family_is_named() -> None:
    with pytest.raises(UsageError, match="'parse'"):
        families.load("parse")
