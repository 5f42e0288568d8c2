"""Where included templates come from: a folder that cannot be left, or a dict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from jinja2 import BaseLoader, DictLoader, Environment, TemplateNotFound

from ..errors import ProgramError

Source = tuple[str, str | None, Callable[[], bool] | None]
Sources = str | Path | Mapping[str, str] | BaseLoader


class Folder(BaseLoader):
    """The files below `root`. A name that leads out of it, by `..` or by a link, is a name that does not exist."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        if not self.root.is_dir():
            raise ProgramError(f"the templates' folder {str(root)!r} does not exist")

    def get_source(self, environment: Environment, template: str) -> Source:
        path = (self.root / template).resolve()
        if template.startswith("/") or not path.is_relative_to(self.root) or not path.is_file():
            raise TemplateNotFound(template)
        changed = path.stat().st_mtime
        return path.read_text("utf-8"), str(path), lambda: path.is_file() and path.stat().st_mtime == changed

    def list_templates(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())


def loader_of(sources: Sources | None) -> BaseLoader:
    """A folder's path, {name: source}, or a loader of Jinja's own."""
    if isinstance(sources, BaseLoader):
        return sources
    if isinstance(sources, str | Path):
        return Folder(Path(sources))
    return DictLoader(sources or {})
