"""Identity: canonical JSON says one thing in one way, and every part of a unit decides its key."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus import spec

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_canonical_json_round_trips(value):
    assert json.loads(spec.canonical(value)) == value


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_the_order_of_keys_says_nothing(value):
    assert spec.canonical(value) == spec.canonical(dict(reversed(value.items())))


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), float("inf"), {1: "a"}, {"a": {None: 1}}, object()])
def test_what_is_not_plain_json_is_refused(value):
    with pytest.raises((TypeError, ValueError)):
        spec.canonical(value)


def test_swapped_values_are_another_spec():
    # Snakemake compares parameters as a nameless set and would see no change here.
    one = spec.key("train", {"epochs": 3, "seed": 1}, "c", {})
    other = spec.key("train", {"epochs": 1, "seed": 3}, "c", {})
    assert one != other


BASE = {"stage": "train", "spec": {"seed": 1}, "code": "c", "parents": {"model": "k"}}


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "predict"},
        {"spec": {"seed": 2}},
        {"code": "d"},
        {"parents": {"model": "l"}},
        {"parents": {"data": "k"}},
        {"parents": {}},
    ],
)
def test_every_part_decides_the_key(change):
    assert spec.key(**BASE) != spec.key(**{**BASE, **change})


def test_keys_and_digests_never_change_between_versions():
    # Golden: a change here would orphan every artifact that anybody has.
    assert spec.key(**BASE) == "16635f3a0232d98d"
    assert spec.digest("train", {"seed": 1}, "c", {"model": "k"}) == "a9874a8c100e2b3bf605c78e399ef5b3"


def test_text_beyond_ascii_is_kept():
    assert spec.canonical({"β": "日本"}) == '{"β":"日本"}'
