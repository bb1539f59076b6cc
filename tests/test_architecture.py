"""Imports point one way; heavy packages are known only where docs/architecture.md says so."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "alphadia_tl"

# From top to bottom: a room imports only rooms further down, or itself. The package's own face is above them all.
ORDER = [
    "alphadia_tl",
    "cli",
    "startup",
    "commands",
    "workflow",
    "search",
    "simulate",
    "step",
    "report",
    "comparison",
    "exchange",
    "speclib",
    "entrapment",
    "models",
    "tasks",
    "training",
    "library",
    "host",
    "bundle",
    "settings",
    "files",
    "errors",
]
KNOWN_ONLY_TO = {
    "alphadia": {"host", "cli"},
    "peptdeep": {"host", "tasks", "models", "speclib", "simulate"},
    "torch": {"step", "training", "tasks", "models", "simulate"},
}


def _name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def _room(module: str) -> str:
    return (module.split(".") + module.split("."))[1]


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {_name(p): p for p in FILES}
# What is taken from the package itself is its version, which is no import of what it offers.
GRAPH = {m: {x for x in _imports(p) if x in MODULES and x not in (m, "alphadia_tl")} for m, p in MODULES.items()}


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down_only(module):
    at = ORDER.index(_room(module))
    above = sorted(x for x in GRAPH[module] if ORDER.index(_room(x)) < at)
    assert above == [], f"{module} imports from above"


def test_nothing_but_the_version_is_taken_from_the_package_itself():
    taken = {x for p in FILES for x in _imports(p) if x.startswith("alphadia_tl.") and x.count(".") == 1}
    rooms = {f"alphadia_tl.{r}" for r in ORDER}
    assert taken - rooms == {"alphadia_tl.__version__"}


def test_modules_of_a_room_import_each_other_one_way():
    order = list(TopologicalSorter(GRAPH).static_order())  # raises CycleError, which names the circle
    assert set(order) == set(MODULES)


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_heavy_packages_stay_in_their_rooms(path):
    top_level = {name.split(".")[0] for name in _imports(path)}
    for package, rooms in KNOWN_ONLY_TO.items():
        if package in top_level:
            assert _room(_name(path)) in rooms, f"{_name(path)} must not know {package}"


def test_the_house_stays_small():
    lines = sum(p.read_text().count("\n") for p in FILES)
    rooms = {p.parent for p in FILES}
    assert len(FILES) <= 117
    assert lines <= 20_866
    assert len(rooms) <= 22
    assert len([p for p in PACKAGE.iterdir() if p.is_file()]) <= 10


TESTS = Path(__file__).parent
ABOVE_ROOMS = {"e2e", "regression", "benchmarks", "cluster"}


@pytest.mark.parametrize("room", sorted({p.parent.name for p in TESTS.glob("*/test_*.py")} - ABOVE_ROOMS))
def test_tests_are_named_after_the_module_that_they_test(room):
    modules = [re.escape(p.stem) for p in (PACKAGE / room).glob("*.py") if p.stem != "__init__"]
    named = re.compile(f"test_({'|'.join(modules)})(_.+)?")
    assert [p.name for p in (TESTS / room).glob("test_*.py") if not named.fullmatch(p.stem)] == []


RUNS_CODE = {"eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "pickle.load", "pickle.loads"}
RUNS_CODE |= {"pd.read_pickle", "joblib.load"}
SAFE_WITH = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}


def unsafe_calls(source: str) -> list[str]:
    """Return the calls that would run code out of a file."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    found = []
    for call in calls:
        name = ast.unparse(call.func)
        given = {k.arg: k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)}
        key, value = SAFE_WITH.get(name, ("", None))
        if name in RUNS_CODE or (key and given.get(key, "absent") is not value):
            found.append(ast.unparse(call))
    return found


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_nothing_that_is_read_can_run_code(path):
    assert unsafe_calls(path.read_text()) == []


def test_calls_that_run_code_are_seen():
    unsafe = ["yaml.unsafe_load(f)", "torch.load(f)", "torch.load(f, weights_only=False)", "np.load(f)", "eval(f)"]
    safe = ["yaml.safe_load(f)", "torch.load(f, weights_only=True)", "np.load(f, allow_pickle=False)"]
    assert unsafe_calls("\n".join(unsafe + safe)) == unsafe
