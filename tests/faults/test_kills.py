"""Whenever a training is killed, and however often: the run that goes on ends with the bytes of the one never killed."""

import random
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from isthmus.errors import StorageError
from tests.faults.lives import BETWEEN, START, End, Life, Lives
from tests.faults.test_stopping import document, stage

# Two tasks, dropout, micro-batches, a compacted embedding whose other rows decay, the best of several assessments.
MIXTURE = "  mixed:\n    mix: [mnli, pawsx]\n"
RECIPE = (
    "intermediate: {steps: 24, learning_rate: 2e-2, eval_every: 7, batch_size: 16, micro_batch: 6, dropout: 0.2, "
    "weight_decay: 0.1, examples: 300, eval_examples: 200}"
)
LIVES_OF_A_RUN = 9
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)
EVERY_STEP = -1.0
# Files that a kill can leave half written.
WRITES = ("save_file", "write_text")
SAVES_LOOKED_AT = 2


@dataclass
class Tally:
    """What a test did: lives, and the phases in which they ended, by how they ended."""

    lives: int = 0
    ends: dict[str, Counter] = field(default_factory=dict)
    after_the_end: int = 0

    def add(self, end: End | None, life: Life) -> None:
        self.lives += 1
        if end is None:
            return
        if life.code == 0:
            self.after_the_end += 1
        else:
            kind = signal.Signals(end.number).name
            self.ends.setdefault(kind, Counter())[life.phase] += 1

    def __str__(self) -> str:
        lines = [
            f"{self.lives} lives, {self.after_the_end} of them done before they were to end; 0 differing bytes"
        ]
        for kind, phases in sorted(self.ends.items()):
            parts = ", ".join(f"{phase} {count}" for phase, count in phases.most_common())
            lines.append(f"  {kind} {phases.total()}: {parts}")
        return "\n".join(lines)


@pytest.fixture(scope="module")
def lives(finished, tmp_path_factory) -> Lives:
    folder = finished.copy(tmp_path_factory.mktemp("lives") / "work")
    folder.edit("  mnli: mnli\n", MIXTURE)
    folder.edit("intermediate: {steps: 100, learning_rate: 2e-3}", RECIPE)
    for rule, name in (("fetch_dataset", "fetch"), ("tokenize_dataset", "tokenize")):
        process = stage(folder, name, rule)
        assert process.wait(120) == 0, process.stdout.read()
    return Lives(folder, *document(folder, "train_intermediate"))


@dataclass
class Whole:
    """The life that nobody ended: what it made, and how it was when it saved at every step."""

    result: dict[str, str]
    life: Life


@pytest.fixture(scope="module")
def whole(lives) -> Whole:
    lives.anew()
    rare = lives.live(save_every_s=1000.0)
    assert rare.code == 0, lives.log()
    made = lives.result()
    assert {"model.safetensors", "heads.safetensors"} <= made.keys()
    lives.anew()
    life = lives.live()
    assert life.code == 0 and lives.result() == made, "saving changes the result"
    assert len(life.spans["save of state"]) == 24 + 1  # of every step, and when all are done
    assert len(life.spans["assessment"]) == 4
    return Whole(made, life)


def live(lives: Lives, end: End | None, tally: Tally, save_every_s: float = EVERY_STEP) -> Life:
    """One life that ends as it should: by its end, or well."""
    life = lives.live(end, save_every_s)
    tally.add(end, life)
    expected = {0}
    if end is not None:
        expected |= {-signal.SIGKILL} if end.number == signal.SIGKILL else {75}
    assert life.code in expected, f"{end} gave {life.code} in {life.phase}: {lives.log()}"
    return life


def draw(seed: int, whole: Life) -> tuple[float, list[End]]:
    """How often the lives of a run save, and how each of them ends. The times are of a machine at this speed."""
    chance = random.Random(f"kills {seed}")
    ends = []
    for _ in range(LIVES_OF_A_RUN - 1):
        number = signal.SIGKILL if chance.random() < 0.85 else chance.choice(SIGNALS)
        if chance.random() < 0.5:
            ends.append(End(number, after=chance.uniform(0, whole.seconds)))
        else:
            phase = chance.choice(sorted(whole.spans))
            span = max(whole.spans[phase])
            nth = chance.randint(1, min(len(whole.spans[phase]), 4))
            ends.append(End(number, after=chance.uniform(0, 1.2 * span), phase=phase, nth=nth))
    return chance.choice([EVERY_STEP, 0.05, 0.15]), ends


def run(lives: Lives, whole: Whole, seed: int, tally: Tally) -> None:
    """A run through as many lives as it takes, each with a random end, the last with none."""
    lives.anew()
    save_every_s, ends = draw(seed, whole.life)
    for end in [*ends, None]:
        if live(lives, end, tally, save_every_s).code == 0:
            break
    assert lives.result() == whole.result, f"seed {seed}, lives that ended {ends}: {lives.log()}"


def points(life: Life) -> list[int]:
    """Every change to the disk of a life; of the saves of its state, that are all alike, the first and the last few."""
    saves = [place for place, name in enumerate(life.calls) if name == "save_file"][
        : len(life.spans["save of state"])
    ]
    first, last = saves[SAVES_LOOKED_AT], saves[-SAVES_LOOKED_AT]
    return [call for call in range(len(life.calls)) if call < first or call >= last]


def end_at(lives: Lives, whole: Whole, call: int, torn: bool, number: int, tally: Tally) -> None:
    """A life that ends at one change to the disk, one that is killed at its own change of that number, one more."""
    lives.anew()
    live(lives, End(number, call=call, torn=torn), tally)
    for end in (End(call=call, torn=torn), None):
        if not lives.receipt.exists():
            live(lives, end, tally)
    name = whole.life.calls[call]
    assert lives.result() == whole.result, f"{number} at call {call} ({name}, torn: {torn}): {lives.log()}"


def told(capsys: pytest.CaptureFixture, title: str, tally: Tally) -> None:
    with capsys.disabled():
        print(f"\n{title}: {tally}")


@pytest.mark.parametrize("seed", range(3))
def test_a_run_killed_at_random_ends_with_the_same_bytes(lives, whole, seed):
    run(lives, whole, seed, Tally())


def test_a_run_killed_while_it_writes_ends_with_the_same_bytes(lives, whole):
    chance = random.Random("points")
    for call in chance.sample(points(whole.life), 4):
        end_at(lives, whole, call, False, chance.choice([signal.SIGKILL, *SIGNALS]), Tally())
    written = [call for call in points(whole.life) if whole.life.calls[call] == "save_file"]
    for call in (written[1], written[-1]):  # the state, the heads
        end_at(lives, whole, call, True, signal.SIGKILL, Tally())


def test_twins_without_locks_end_with_the_same_bytes(lives, whole):
    lives.anew()
    chance = random.Random("twins")
    seen = Counter()
    with ThreadPoolExecutor(2) as pool:
        for _ in range(6):
            ends = [End(after=chance.uniform(0.3, 1.5) * whole.life.seconds) for _ in range(2)]
            twins = list(pool.map(lambda end: lives.live(end, locks=False), ends))
            seen.update(life.code for life in twins)
            if 0 in seen:
                break
    # One whose twin commits and drops the states while it saves its own fails over that, and finds the result then.
    assert set(seen) <= {0, -signal.SIGKILL, StorageError.exit_code}, lives.log()
    assert lives.live().code == 0, lives.log()
    assert lives.result() == whole.result


@pytest.mark.long
def test_two_hundred_kills_at_random_never_change_a_byte(lives, whole, capsys):
    tally, seed = Tally(), 100
    while tally.ends.get("SIGKILL", Counter()).total() < 200:
        run(lives, whole, seed, tally)
        seed += 1
    told(capsys, f"random kills in {seed - 100} runs", tally)
    reached = set().union(*tally.ends.values())
    assert {START, BETWEEN, "step", "save of state", "model load", "commit"} <= reached


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_an_end_at_every_change_to_the_disk_never_changes_a_byte(lives, whole, capsys, number):
    tally = Tally()
    for call in points(whole.life):
        end_at(lives, whole, call, False, number, tally)
        if number == signal.SIGKILL and whole.life.calls[call] in WRITES:
            end_at(lives, whole, call, True, number, tally)
    told(capsys, f"{signal.Signals(number).name} at {len(points(whole.life))} changes to the disk", tally)
