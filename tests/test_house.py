"""The tree itself: packaging, import names, layers."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HOMES = {"grammars": "lmprog.grammars", "runtime": "lmprog.runtime", "lmprog": "lmprog"}
# What the packages import where they need it.
EXTRAS = ("demo", "jobs", "monitors", "plots", "ray", "remote", "repl", "serve", "tune")
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())


def folders() -> set[str]:
    """The packages that the tree holds, links not followed."""
    found = set()
    for top, name in HOMES.items():
        for init in (ROOT / top).rglob("__init__.py"):
            below = init.parent.relative_to(ROOT / top).parts
            if not (top == "lmprog" and below[:1] in {("grammars",), ("runtime",)}):
                found.add(".".join([name, *below]))
    return found


def test_every_folder_with_code_is_packaged() -> None:
    expected = set(CONFIG["tool"]["setuptools"]["packages"])

    assert expected == folders()


def test_every_import_is_declared() -> None:
    """What the packages import is a dependency by itself, not by way of another one; extras are imported by name."""
    project = CONFIG["project"]
    declared = {
        re.split(r"[<>=\[]", d)[0].replace("-", "_")
        for d in [*project["dependencies"], *(d for extra in EXTRAS for d in project["optional-dependencies"][extra])]
    }
    declared |= {"pydantic_core"}  # comes with exactly one version of pydantic
    declared |= {"pytest"}  # imports its plugin itself
    declared |= {"bs4", "yaml"}  # beautifulsoup4, pyyaml
    imported = {
        name.split(".")[0].lower()
        for top in HOMES
        for path in (ROOT / top).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in absolute_imports(node)
    }

    assert set() == imported - declared - set(sys.stdlib_module_names)


def absolute_imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []


def test_bare_names_stay_free(tmp_path: Path) -> None:
    code = "import lmprog.grammars, lmprog.runtime, sys; print(sorted({'grammars', 'runtime'} & sys.modules.keys()))"
    code += "; from importlib.util import find_spec; print(find_spec('grammars'), find_spec('runtime'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert done.stdout == "[]\nNone None\n"


def test_importing_lmprog_is_cheap(tmp_path: Path) -> None:
    code = "import lmprog, lmprog.cli, sys; print({'torch', 'transformers', 'numpy', 'pydantic'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


@pytest.mark.parametrize(("folder", "allowed"), [("grammars", set()), ("runtime", {"grammars"})])
def test_layers_import_downwards(folder: str, allowed: set[str]) -> None:
    """import-linter checks the layers among the packages; this one, that nothing below imports the language."""
    for path in (ROOT / folder).rglob("*.py"):
        depth = len(path.relative_to(ROOT / folder).parts)
        for node in ast.walk(ast.parse(path.read_text())):
            assert not {name.split(".")[0] for name in absolute_imports(node)} & HOMES.keys(), path
            if isinstance(node, ast.ImportFrom) and node.level > depth:
                assert (node.module or "").split(".")[0] in allowed, f"{path}:{node.lineno}"


@pytest.mark.slow
def test_wheel_holds_every_package_once(tmp_path: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    tree = tmp_path / "tree"
    for name in filter(None, listed.stdout.split("\0")):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name, follow_symlinks=False)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", "dist", "."]
    subprocess.run(command, cwd=tree, check=True, stdin=subprocess.DEVNULL)
    (wheel,) = (tree / "dist").glob("*.whl")
    names = [Path(name) for name in zipfile.ZipFile(wheel).namelist()]
    packages = sorted(".".join(name.parent.parts) for name in names if name.name == "__init__.py")

    assert sorted(folders()) == packages
    assert Path("lmprog/py.typed") in names
    assert {path.name for path in (ROOT / "lmprog" / "pages").iterdir()} == {
        n.name for n in names if "pages" in n.parts
    }
    for extension in CONFIG["tool"]["setuptools"]["ext-modules"]:
        stem = extension["name"].replace(".", "/")
        assert any(str(name).startswith(f"{stem}.") for name in names), extension["name"]
