"""The house keeps its arrows: who imports whom, and what an import loads."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import lstm_forecasters

ROOT = Path(lstm_forecasters.__file__).parent
STANDARD = sys.stdlib_module_names


def modules():
    """Yield the name of each module of the package, and the names it imports."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = ("lstm_forecasters", *path.relative_to(ROOT).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        imported = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module)
        yield name, imported


MODULES = dict(modules())


def foreign(name):
    """Return the third-party libraries that a module names."""
    tops = {imported.split(".")[0] for imported in MODULES[name]}
    return tops - STANDARD - {"lstm_forecasters"}


def test_imports_have_no_cycle():
    inner = {
        name: {one for one in imported if one in MODULES and one != name}
        for name, imported in MODULES.items()
    }
    assert len(list(graphlib.TopologicalSorter(inner).static_order())) == len(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_each_module_imports_only_what_its_room_may(name):
    room = name.split(".")[1] if "." in name else "lstm_forecasters"
    inner = {one for one in MODULES[name] if one.startswith("lstm_forecasters.")}
    rooms = {one.split(".")[1] for one in inner}
    if room in ("lstm_forecasters", "errors", "seasons", "specs"):
        assert not foreign(name)
        assert rooms <= {"errors"}
    elif room == "backend":
        assert foreign(name) <= {"numpy", "torch", "scipy", "safetensors", "tqdm"}
        assert rooms <= {"backend", "specs", "errors"}
    elif room == "sktime":
        assert "darts" not in foreign(name) | rooms
    elif room == "darts":
        assert "sktime" not in foreign(name) | rooms
    else:
        pytest.fail(f"{name} stands in a room that the house does not have")


LOADED = """
import sys
import {module}
unwanted = {unwanted!r}
print(*[name for name in unwanted if name in sys.modules])
"""


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("lstm_forecasters", ["numpy", "torch", "pandas", "sktime", "darts"]),
        ("lstm_forecasters.specs", ["numpy", "torch", "pandas", "sktime", "darts"]),
        ("lstm_forecasters.backend.files", ["pandas", "sktime", "darts", "lightning"]),
        ("lstm_forecasters.sktime", ["darts", "pytorch_lightning", "skpro"]),
        ("lstm_forecasters.darts", ["sktime", "skpro"]),
    ],
)
def test_what_an_import_loads(module, unwanted):
    library = module.split(".")[-1]
    if library in ("sktime", "darts"):
        pytest.importorskip(library, reason="each side is tested without the other too")
    code = LOADED.format(module=module, unwanted=unwanted)
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == []


@pytest.mark.parametrize(
    ("missing", "side"),
    [("sktime", "sktime"), ("darts", "darts"), ("pytorch_lightning", "darts")],
)
def test_a_missing_extra_names_the_command(missing, side):
    code = (
        f"import sys\nsys.modules[{missing!r}] = None\n"
        f"try:\n    import lstm_forecasters.{side}\n"
        "except ImportError as error:\n    print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert f"pip install 'lstm_forecasters[{side}]'" in result.stdout
