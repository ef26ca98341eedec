"""The closure: what decides a result changes it, and nothing else does."""

import subprocess
import sys

import pytest

from isthmus import closure as module
from isthmus.closure import INFRASTRUCTURE, MissingModule, closure, is_infrastructure, modules
from isthmus.jobs import STAGES

SOURCE = '''
"""What it is."""

from isthmus.b import helper
import isthmus.store


def run(works, rate=2e-5):
    """Do it."""
    # carefully
    return helper(works, rate)
'''


@pytest.fixture
def package(tmp_path):
    root = tmp_path / "isthmus"
    (root / "sub").mkdir(parents=True)
    files = {
        "__init__.py": '"""Package."""\n',
        "a.py": SOURCE,
        "b.py": "from .sub import deep\n\n\ndef helper(x, y):\n    return deep.f(x) * y\n",
        "sub/__init__.py": "",
        "sub/deep.py": "def f(x):\n    return x\n",
        "sub/deep.html": "<p>",
        "store.py": "x = 1\n",
        "unrelated.py": "x = 1\n",
    }
    for name, text in files.items():
        (root / name).write_text(text)
    return root


def test_it_reaches_what_is_imported_and_stops_at_infrastructure(package):
    names = list(modules(["isthmus.a"], package))
    assert names == [
        "isthmus",
        "isthmus.a",
        "isthmus.b",
        "isthmus.sub",
        "isthmus.sub.deep",
        "isthmus.sub.deep:deep.html",
    ]


EQUAL = {
    "comment": ("# carefully", "# with care, at length"),
    "docstring": ('"""Do it."""', '"""Do it well."""'),
    "no docstring": ('    """Do it."""\n', ""),
    "blank lines": ("\n\n\ndef run", "\n\n\n\n\ndef run"),
    "layout": ("run(works, rate=2e-5)", "run(\n    works,\n    rate=0.00002,\n)"),
    "quotes": ('"""What it is."""', "'What it is.'"),
}
DIFFERENT = {
    "value": ("2e-5", "3e-5"),
    "type": ("rate=2e-5", "rate=2"),
    "name": ("works", "jobs"),
    "order": ("(works, rate)\n", "(rate, works)\n"),
    "none": ("rate=2e-5", "rate=None"),
    "no default": ("rate=2e-5", "rate"),
    "decorator": ("def run", "@print\ndef run"),
    "import": ("from isthmus.b import helper", "from isthmus.b import helper as helper"),
}


@pytest.mark.parametrize("edit", EQUAL.values(), ids=EQUAL)
def test_what_decides_nothing_changes_nothing(package, edit):
    before = closure(["isthmus.a"], package)
    path = package / "a.py"
    assert edit[0] in path.read_text()
    path.write_text(path.read_text().replace(*edit))
    assert closure(["isthmus.a"], package) == before


@pytest.mark.parametrize("edit", [DIFFERENT[name] for name in DIFFERENT if name != "import"])
def test_what_decides_changes_the_hash(package, edit):
    before = closure(["isthmus.a"], package)
    path = package / "a.py"
    assert edit[0] in path.read_text()
    path.write_text(path.read_text().replace(*edit))
    assert closure(["isthmus.a"], package) != before


@pytest.mark.parametrize(
    ("file", "changes"), [("sub/deep.py", True), ("b.py", True), ("store.py", False), ("unrelated.py", False)]
)
def test_only_reached_modules_count(package, file, changes):
    before = closure(["isthmus.a"], package)
    (package / file).write_text((package / file).read_text() + "\ny = 2\n")
    assert (closure(["isthmus.a"], package) != before) is changes


def test_a_file_of_a_modules_own_name_counts_byte_by_byte(package):
    before = closure(["isthmus.a"], package)
    (package / "sub" / "deep.html").write_text("<p >")
    assert closure(["isthmus.a"], package) != before


@pytest.mark.parametrize("entry", ["isthmus.nowhere", "isthmus.sub.gone"])
def test_a_missing_entry_is_refused(package, entry):
    with pytest.raises(MissingModule, match=entry):
        closure([entry], package)


def test_an_equivalent_module_stands_for_the_old_one(package):
    old = modules(["isthmus.a"], package)
    (package / "b.py").write_text("from .sub import deep\n\n\ndef helper(x, y):\n    return y * deep.f(x)\n")
    new = modules(["isthmus.a"], package)
    assert new["isthmus.b"] != old["isthmus.b"]
    (package / "equivalents.csv").write_text(
        "module,hash,stands_for,date,golden_test\n"
        f"isthmus.b,{new['isthmus.b']},{old['isthmus.b']},2026-01-01,tests/golden/test_b.py\n"
    )
    module._equivalents.cache_clear()
    assert modules(["isthmus.a"], package) == old


def test_the_hash_is_the_same_on_every_python():
    # Golden, over constructs whose syntax trees gained fields in 3.12 and 3.13.
    source = b"def f[T](x): pass\n" if sys.version_info >= (3, 12) else b""
    plain = b'"""d"""\nclass A(B, k=1):\n    x: int = 0\n    def f(self, *a, b=None, **c):\n        return f"{a!r:>{b}} {c}"\n'
    assert module._examine("isthmus.x", False, plain)[0] == "abe0116c425cea1bf8cebf6cb029fa3d"
    if source:
        assert (
            module._examine("isthmus.x", False, source)[0]
            != module._examine("isthmus.x", False, b"def f(x): pass\n")[0]
        )


IMPORTED = """
import sys
import importlib
for entry in sys.argv[1:]:
    importlib.import_module(entry)
print(*sorted(name for name in sys.modules if name.partition(".")[0] == "isthmus"))
"""


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_nothing_outside_its_closure(stage):
    entry = STAGES[stage]
    run = subprocess.run([sys.executable, "-c", IMPORTED, entry], capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) <= set(modules([entry])) | INFRASTRUCTURE


def test_infrastructure_names_modules_that_exist():
    assert [name for name in INFRASTRUCTURE if module._source(name, module.ROOT) is None] == []


def test_what_is_in_a_package_of_infrastructure_is_infrastructure():
    assert is_infrastructure("isthmus.hubs.formats.conllu") and is_infrastructure("isthmus.hubs.formats")
    assert not is_infrastructure("isthmus.hubs.mirror") and not is_infrastructure("isthmus.hubs")
