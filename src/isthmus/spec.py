"""Identity: canonical JSON, the key a result has before it is made, the digest it is stored under.

A unit of work is identified twice. Its *key* is a hash over its spec, its code and its parents' keys: known
before anything runs, it names the receipt. Its *digest* puts the content of the input artifacts in the place
of the parents' keys: it names the artifact in the store, so a parent that is remade to the same bytes
changes nothing below it.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

KEY_LENGTH = 16
DIGEST_LENGTH = 32


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no blanks, no NaN, characters as they are.

    Raises:
        TypeError, ValueError: the value is not plain JSON (sets, paths, NaN, keys that are not text).
    """
    _refuse_keys_that_are_not_text(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _refuse_keys_that_are_not_text(value: Any) -> None:
    # json.dumps would write {1: ..} and {"1": ..} alike: two specs, one identity.
    if isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(name, str):
                raise TypeError(f"a spec's keys must be text, not {name!r}")
            _refuse_keys_that_are_not_text(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_keys_that_are_not_text(item)


def fingerprint(value: Any, length: int = DIGEST_LENGTH) -> str:
    """The first `length` hexadecimal digits of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:length]


def key(stage: str, spec: Mapping[str, Any], code: str, parents: Mapping[str, str]) -> str:
    """The identity of a result before it is made; `parents` maps each role to the parent's key."""
    return fingerprint({"stage": stage, "spec": spec, "code": code, "parents": parents}, KEY_LENGTH)


def digest(stage: str, spec: Mapping[str, Any], code: str, inputs: Mapping[str, str]) -> str:
    """The identity of a result in the store; `inputs` maps each role to the input's content hash."""
    return fingerprint({"stage": stage, "spec": spec, "code": code, "inputs": inputs})
