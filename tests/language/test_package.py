from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import lmprog
from lmprog import errors


def test_all_is_true() -> None:
    listed = set(lmprog.__all__)

    assert listed == {name for name in listed if getattr(lmprog, name) is not None}
    assert listed == set(lmprog._HOME)
    assert listed <= set(dir(lmprog))


def test_all_is_typed() -> None:
    source = Path(lmprog.__file__).read_text(encoding="utf-8")

    assert {name for name in lmprog.__all__ if f"import {name} as {name}\n" not in source} == set()


def test_no_name_is_also_a_module() -> None:
    modules = {found.name for found in pkgutil.iter_modules(lmprog.__path__)}

    assert modules & set(lmprog.__all__) == set()


def test_every_error_has_the_one_root() -> None:
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), lmprog.LmprogError), name
        assert name in errors.__doc__, f"{name} is missing in the tree"


def test_import_is_light() -> None:
    code = (
        "import sys, lmprog; from lmprog import gen, program, select; gen(int); "
        "heavy = {'torch', 'transformers', 'rich'} & set(sys.modules); assert not heavy, heavy; "
        "assert 'grammars' not in sys.modules and 'runtime' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_api_reference_has_every_name(tmp_path: Path) -> None:
    import pdoc

    pdoc.pdoc("lmprog", "lmprog.grammars", output_directory=tmp_path)
    page = (tmp_path / "lmprog.html").read_text()

    assert [] == [name for name in lmprog.__all__ if not getattr(lmprog, name).__doc__]
    assert [] == [name for name in lmprog.__all__ if f'id="{name}"' not in page]
