"""What users may import: the door and its names, the packages of the wheel, and that all of it is documented."""

from __future__ import annotations

import ast
import doctest
import fnmatch
import importlib
import importlib.util
import inspect
import json
import pkgutil
import re
import subprocess
import sys
import tomllib
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grimp
import networkx
import pytest

import orchestra
import orchestra_evals

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "orchestra": ROOT / "orchestra",
    "orchestra_agents": ROOT / "agents" / "orchestra_agents",
    "orchestra_topologies": ROOT / "topologies" / "orchestra_topologies",
    "orchestra_evals": ROOT / "evals" / "orchestra_evals",
}
HEAVY = ("langgraph", "networkx", "httpx", "pydantic", "typer", "rich", "numpy", "scipy", "matplotlib")
DOORS = [orchestra, orchestra_evals]
MODULES = [path for folder in PACKAGES.values() for path in sorted(folder.rglob("*.py"))]


def run_python(code: str) -> Any:
    """Return the JSON that a program prints in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("door", DOORS)
def test_a_door_names_at_most_forty_things_in_order(door: types.ModuleType) -> None:
    """`__all__` is sorted, without repeats, at most 40 names, and each of them can be imported."""
    names = door.__all__
    assert names == sorted(set(names))
    assert len(names) <= 40
    assert [name for name in names if getattr(door, name, None) is None] == []
    assert dir(door) == names


@pytest.mark.parametrize("door", DOORS)
def test_a_door_tells_type_checkers_what_it_tells_python(door: types.ModuleType) -> None:
    """The lazy table, the imports for type checkers and `__all__` say the same."""
    checked = {
        (node.module, alias.asname or alias.name)
        for node in ast.walk(ast.parse((PACKAGES[door.__name__] / "__init__.py").read_text()))
        if isinstance(node, ast.ImportFrom) and node.module not in ("__future__", "typing")
        for alias in node.names
    }
    assert checked == {(home, name) for name, home in door._HOME_OF.items()}
    assert sorted(name for _, name in checked) == door.__all__


@pytest.mark.parametrize("door", DOORS)
def test_an_unknown_name_is_an_attribute_error(door: types.ModuleType) -> None:
    """What a door does not name is refused like any missing attribute, so that hasattr works."""
    assert not hasattr(door, "swarm")


@pytest.mark.parametrize("door", DOORS)
def test_importing_a_door_is_light(door: types.ModuleType) -> None:
    """A door imported in a fresh interpreter loads no third-party package but what a name that is used needs."""
    code = f"import json, sys, {door.__name__}; print(json.dumps([name.split('.')[0] for name in sys.modules]))"
    assert set(run_python(code)) & set(HEAVY) == set()


def test_a_chain_of_steps_needs_no_langgraph() -> None:
    """What one step needs, every module of orchestra_agents, is imported without LangGraph."""
    code = """if True:
        import importlib, json, pkgutil, sys, orchestra_agents
        for found in pkgutil.walk_packages(orchestra_agents.__path__, "orchestra_agents."):
            importlib.import_module(found.name)
        print(json.dumps([name.split(".")[0] for name in sys.modules]))"""
    loaded = run_python(code)
    assert "orchestra_agents" in loaded
    assert "langgraph" not in loaded


@pytest.mark.parametrize("door", DOORS)
def test_submodules_do_not_hide_the_names_of_a_door(door: types.ModuleType) -> None:
    """After importing every submodule `orchestra.plan` still is the function, and so with every other name."""
    submodules = {found.name for found in pkgutil.iter_modules(door.__path__) if not found.name.startswith("_")}
    for name in submodules:
        importlib.import_module(f"{door.__name__}.{name}")
    for name, home in door._HOME_OF.items():
        value = getattr(door, name)
        assert value is getattr(importlib.import_module(home), name)
        assert not isinstance(value, types.ModuleType)
    assert isinstance(orchestra.plan, types.FunctionType)
    assert submodules & set(door.__all__) == set()


def test_imports_go_in_no_circle() -> None:
    """No module needs itself, also counting what is imported within functions."""
    modules = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    needs = [(one, other) for one in modules.modules for other in modules.find_modules_directly_imported_by(one)]
    assert len(needs) > len(PACKAGES)
    assert [
        circle for circle in networkx.strongly_connected_components(networkx.DiGraph(needs)) if len(circle) > 1
    ] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_that_it_is_typed(package: str) -> None:
    """Each package holds py.typed, so that users' type checkers read its annotations."""
    assert (PACKAGES[package] / "py.typed").is_file()


def test_the_wheel_will_hold_four_packages() -> None:
    """By pyproject's own patterns exactly the four packages are found, and no folder of storeys is a package itself."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    top = {
        folder.name
        for where in found["where"]
        for folder in (ROOT / where).iterdir()
        if folder.is_dir() and "." not in folder.name
        if any(fnmatch.fnmatch(folder.name, pattern) for pattern in found["include"])
    }
    assert top == set(PACKAGES)
    assert [path for path in ROOT.glob("*/__init__.py") if path.parent.name in ("agents", "topologies", "evals")] == []
    without_init = [
        folder
        for package in PACKAGES.values()
        for folder in package.rglob("*")
        if folder.is_dir() and list(folder.glob("*.py")) and not (folder / "__init__.py").exists()
    ]
    assert without_init == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_things_are_documented(path: Path) -> None:
    """Every module, and every public class, function and method in it, has a docstring."""
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    assert [name for name, node in public_definitions(tree) if not ast.get_docstring(node)] == []


@pytest.mark.parametrize("door", DOORS)
def test_every_name_of_a_door_is_documented(door: types.ModuleType) -> None:
    """A class or function has a docstring of its own, a type or value one below the line that defines it."""
    assert [name for name, home in door._HOME_OF.items() if not is_documented(getattr(door, name), name, home)] == []


def is_documented(value: object, name: str, home: str) -> bool:
    """Tell whether a name of a door is documented; a dataclass's own signature does not count."""
    if isinstance(value, type | types.FunctionType):
        return bool(value.__doc__) and not value.__doc__.startswith(f"{name}(")
    source = inspect.getsource(importlib.import_module(home))
    return re.search(rf'^{name}\b.*\n"""', source, re.MULTILINE) is not None


def public_definitions(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    """Yield public classes and functions with their names, and the public methods of public classes; no overloads."""
    for node in tree.body:
        if [one for one in getattr(node, "decorator_list", []) if isinstance(one, ast.Name) and one.id == "overload"]:
            continue
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node.name, node
            for inner in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and not inner.name.startswith("_"):
                    yield f"{node.name}.{inner.name}", inner


@pytest.mark.nightly
def test_the_wheel_installs_beside_openai_agents(tmp_path: Path) -> None:
    """A built wheel has four top-level names, and it and openai-agents are imported from one fresh environment."""
    source = tmp_path / "source"
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, files.stdout.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(source)], check=True)
    [wheel] = tmp_path.glob("*.whl")
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == set(PACKAGES)
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt")]
    subprocess.run([*install, str(wheel), "openai-agents"], check=True)
    code = "import agents, orchestra; print(agents.Agent, orchestra.plan); import orchestra_agents, orchestra_evals"
    subprocess.run([python, "-c", code], check=True, cwd=tmp_path)


@pytest.mark.parametrize("package", PACKAGES)
def test_examples_in_docstrings_are_true(package: str) -> None:
    """What a docstring shows as an example is what comes out."""
    home = importlib.import_module(package)
    failed = []
    for found in pkgutil.walk_packages(home.__path__, f"{package}."):
        if ".inspect_bridge." in f"{found.name}." and importlib.util.find_spec("inspect_ai") is None:
            continue  # its extra wants an environment of its own
        if found.name.rpartition(".")[2] not in ("__main__", "_llama_child"):
            result = doctest.testmod(importlib.import_module(found.name))
            failed += [found.name] * bool(result.failed)
    assert failed == []
