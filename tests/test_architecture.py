"""Imports point one way; heavy packages are known only where docs/architecture.md says so."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "alphadia_tl"

# From top to bottom: a room imports only rooms further down (or itself).
ORDER = [
    "startup",
    "cli",
    "workflow",
    "plan",
    "register_command",
    "compare_command",
    "entrapment_command",
    "finetune_command",
    "arms",
    "report_command",
    "simulate",
    "stages",
    "reuse",
    "passes",
    "step",
    "tuning_stage",
    "library_stage",
    "own_values",
    "conditions",
    "records",
    "host",
    "outcome",
    "report",
    "speclib",
    "gate",
    "start_models",
    "rt_bins",
    "rt_window",
    "finetune",
    "tasks",
    "training",
    "metrics",
    "library",
    "step_settings",
    "validate",
    "run_facts",
    "runs",
    "origin",
    "resume",
    "bundle",
    "files",
    "trained_on",
    "modifications",
    "config_template",
    "settings",
    "section",
    "processors",
    "errors",
]
KNOWN_ONLY_TO = {
    "alphadia": {"host", "plan", "cli"},
    "peptdeep": {"tasks", "finetune", "speclib", "simulate"},
    "torch": {"step", "training", "tasks", "finetune", "simulate"},
}


def _room(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


FILES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down_only(path):
    room = _room(path)
    below = set(ORDER[ORDER.index(room) :])
    rooms = {name.split(".")[1] for name in _imports(path) if name.startswith("alphadia_tl.")}
    assert (rooms & set(ORDER)) <= below, f"{room} imports from above: {sorted((rooms & set(ORDER)) - below)}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_packages_stay_in_their_rooms(path):
    top_level = {name.split(".")[0] for name in _imports(path)}
    for package, rooms in KNOWN_ONLY_TO.items():
        if package in top_level:
            assert _room(path) in rooms, f"{_room(path)} must not know {package}"


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


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_that_is_read_can_run_code(path):
    assert unsafe_calls(path.read_text()) == []


def test_calls_that_run_code_are_seen():
    unsafe = ["yaml.unsafe_load(f)", "torch.load(f)", "torch.load(f, weights_only=False)", "np.load(f)", "eval(f)"]
    safe = ["yaml.safe_load(f)", "torch.load(f, weights_only=True)", "np.load(f, allow_pickle=False)"]
    assert unsafe_calls("\n".join(unsafe + safe)) == unsafe


def test_every_room_has_its_place_in_the_order():
    rooms = {_room(p) for p in FILES}
    assert rooms <= set(ORDER)
