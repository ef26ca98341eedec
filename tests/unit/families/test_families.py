import pytest

from isthmus import families
from isthmus.errors import UsageError


def test_families_load_by_name_and_have_the_whole_interface() -> None:
    parts = (
        "ONE_CORPUS encode read usable subset epoch everything collate head loss outputs positions identifiers score "
        "collapsed"
    )
    for name in ("classify", "mlm"):
        assert [part for part in parts.split() if not hasattr(families.load(name), part)] == []


def test_an_unknown_family_is_named() -> None:
    with pytest.raises(UsageError, match="'parse'"):
        families.load("parse")
