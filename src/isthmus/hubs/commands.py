"""The commands about downloads: fetch, pin, bundle, unbundle."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from isthmus.errors import DataError, HubError, UsageError
from isthmus.expand import expand
from isthmus.hubs.huggingface import HuggingFace
from isthmus.plan import Plan, sources_of

Spec = Mapping[str, Any]


def fetch(study: Path) -> None:
    """Download everything that a study reads, and pin it. What cannot be had is listed at the end, all of it; what can is
    pinned all the same.

    Raises:
        HubError: something cannot be had.
        DataError: a file does not have its format.
    """
    plan, hub = _planned(study)
    hub.refuse_missing(sources_of(plan.jobs))

    def bring(spec: Spec) -> None:
        hub.supply([spec])
        hub.pin(spec)

    try:
        _settle(plan, hub, bring)
    finally:
        hub.write_lock()
    print(f"All that {study} reads is in {hub.cache}, and pinned in {hub.lock_path}.")


def pin(study: Path, update: bool) -> None:
    """Fill the lock; say which repositories have moved on since it was written.

    Raises:
        HubError: something cannot be had.
        DataError: a file does not have its format.
    """
    plan, hub = _planned(study)
    if update:
        hub.forget_absent()

    def note(spec: Spec) -> None:
        if update:
            hub.update(spec)
        hub.pin(spec)

    specs = _settle(plan, hub, note)
    hub.write_lock()
    lines = {f"{spec['source']['id']:<48} {hub.revision(spec)}": None for spec in specs}
    print("\n".join((*lines, f"Pinned in {hub.lock_path}.")))
    for line in () if update else hub.moved(specs):
        print(line)


def bundle(study: Path, file: Path) -> None:
    """Write a study's downloads to a file."""
    from isthmus.hubs.bundle import bundle

    plan, hub = _planned(study)
    size = bundle(hub, sources_of(plan.jobs), file)
    print(f"{file}: {size:,} bytes. On the other machine: isthmus unbundle {study} {file}")


def unbundle(study: Path, file: Path) -> None:
    """Bring a bundle's files into the cache, and its lock beside the study."""
    from isthmus.hubs.bundle import unbundle

    _, hub = _planned(study)
    if not file.is_file():
        raise UsageError(f"There is no file {file}.")
    count, size = unbundle(file, hub)
    print(f"{count} files, {size:,} bytes, are in {hub.cache} now.")


def _settle(plan: Plan, hub: HuggingFace, act: Callable[[Spec], None]) -> list[Spec]:
    """Do something for all that a study reads. Where the hub does not have a task's source, its next one is taken.

    Raises:
        HubError: something cannot be had from any source; the message names all of it.
        DataError: the same, and something that was had does not have its format.
    """
    from isthmus.hubs.transfer import Absent, Unreachable

    done: dict[str, None] = {}
    problems: dict[str, HubError | DataError] = {}
    passed: list[Spec] = []
    specs = sources_of(expand(plan.study, hub)[0])
    while True:
        hub.archives.expect(specs)
        absent = []
        for spec in specs:
            if (name := repr(spec)) in done or name in problems:
                continue
            try:
                act(spec)
                done[name] = None
            except Unreachable:
                raise
            except (HubError, DataError) as error:
                problems[name] = error
                absent += [spec] if isinstance(error, Absent) and "splits" in spec else []
        hub.note_absent(absent)
        passed += absent
        before, specs = specs, sources_of(expand(plan.study, hub)[0])
        if specs == before:
            break
    left = [spec for spec in specs if repr(spec) in problems]
    if left:
        # Where no source serves, the next time has to begin with the first again.
        places = {_place(spec) for spec in left}
        hub.note_unsure(spec for spec in passed if _place(spec) in places)
        raise _together([problems[repr(spec)] for spec in left])
    return specs


def _place(spec: Spec) -> tuple[str | None, str | None]:
    """The task and language that a spec is read for, whatever its source."""
    return spec.get("task"), spec.get("language")


def _together(errors: Sequence[HubError | DataError]) -> HubError | DataError:
    """One error of several; what was had and cannot be read weighs more than what was not had."""
    kind = HubError if all(isinstance(error, HubError) for error in errors) else DataError
    return kind("\n".join(dict.fromkeys(map(str, errors))))


def _planned(study: Path) -> tuple[Plan, HuggingFace]:
    """A study's plan and its hub.

    Raises:
        UsageError: the study reads another hub.
    """
    plan = Plan.of(study)
    if not isinstance(plan.hub, HuggingFace):
        raise UsageError(
            f"{study} does not read the Hugging Face hub (hub: {plan.study.hub}): there is nothing to download."
        )
    return plan, plan.hub
