"""The cache under kills, races, full disks and damage, with a small folder in place of a model."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lmprog.runtime.load_errors import CacheError
from lmprog.runtime.model_cache import cache_root, cached_folder, intact

SLOW_BUILD = """
import sys, time
from pathlib import Path
from lmprog.runtime.model_cache import cached_folder
def build(folder):
    print("building", flush=True)
    sys.stdin.readline()
    for i in range(20):
        (folder / f"{i}.bin").write_bytes(bytes([i]) * 10_000)
        time.sleep(0.02)
target = cached_folder(Path(sys.argv[1]), build, 1000, lambda text: print(text, flush=True))
print("sum", sum(len(p.read_bytes()) for p in target.glob("*.bin")), flush=True)
"""


def start(target: Path) -> subprocess.Popen[str]:
    """A process that prints, builds once it is sent a line (or the end of its input), and prints again."""
    command = [sys.executable, "-c", SLOW_BUILD, str(target)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def leftovers(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir() if path != target and not path.name.endswith(".lock"))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "er" / "model-1"


@pytest.fixture
def build() -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        calls.append(folder)
        (folder / "a.bin").write_bytes(b"a" * 1000)
        (folder / "b.bin").write_bytes(b"b" * 1000)

    calls: list[Path] = []
    write.calls = calls  # type: ignore[attr-defined]
    return write


def test_built_once(target: Path, build: Callable[[Path], None]) -> None:
    assert not intact(target)
    for _ in range(2):
        assert target == cached_folder(target, build, 1000)

    assert len(build.calls) == 1  # type: ignore[attr-defined]
    assert sorted(path.name for path in target.iterdir()) == ["a.bin", "b.bin", "manifest.json"]
    assert leftovers(target) == []


def damage_truncate(target: Path) -> None:
    (target / "a.bin").write_bytes(b"a" * 999)


def damage_flip(target: Path) -> None:
    with (target / "b.bin").open("r+b") as file:
        file.seek(500)
        file.write(b"x")


def damage_remove(target: Path) -> None:
    (target / "a.bin").unlink()


def damage_manifest(target: Path) -> None:
    (target / "manifest.json").write_text('{"files": ["a.bin"]}')


def damage_replace(target: Path) -> None:
    for path in target.iterdir():
        path.unlink()
    target.rmdir()
    target.write_text("not even a folder")


@pytest.mark.parametrize("damage", [damage_truncate, damage_flip, damage_remove, damage_manifest, damage_replace])
def test_damage_is_mended(target: Path, build: Callable[[Path], None], damage: Callable[[Path], None]) -> None:
    cached_folder(target, build, 1000)
    damage(target)

    assert not intact(target)
    cached_folder(target, build, 1000)

    assert intact(target)
    assert (target / "b.bin").read_bytes() == b"b" * 1000
    assert leftovers(target) == []


def test_a_copy_with_other_times_is_as_good(target: Path, build: Callable[[Path], None]) -> None:
    cached_folder(target, build, 1000)
    os.utime(target / "a.bin", (0, 0))

    assert intact(target)


def test_two_processes_build_once(target: Path) -> None:
    first = start(target)
    assert first.stdout is not None
    assert first.stdout.readline() == "building\n"
    second = start(target)
    assert second.stdout is not None
    assert second.stdout.readline() == f"waiting for another process that is making {target}\n"

    assert first.communicate(timeout=60)[0] == "sum 200000\n"
    assert second.communicate(timeout=60)[0] == "sum 200000\n"


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.25, 0.4])
def test_a_kill_leaves_nothing_that_counts(target: Path, delay: float) -> None:
    process = start(target)
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    process.stdin.write("\n")
    process.stdin.flush()
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    output = start(target).communicate(timeout=60)[0]

    assert output.endswith("sum 200000\n")
    assert intact(target)
    assert leftovers(target) == []


def test_too_little_space_is_told_before_the_work(target: Path, build: Callable[[Path], None]) -> None:
    with pytest.raises(CacheError, match=r"needs 1000000000\.00 GB in .*er, where [\d.]+ GB are free.*LMPROG_CACHE"):
        cached_folder(target, build, 10**18)

    assert build.calls == []  # type: ignore[attr-defined]
    assert leftovers(target) == []


def test_a_disk_that_fills_up_meanwhile(target: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "small.bin").write_bytes(b"s" * 10)
        (folder / "large.bin").write_bytes(b"l" * 100_000)

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(CacheError, match=r"needs 0\.10 GB in .*er, where"):
            cached_folder(target, build, 100_000_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert not target.exists()
    assert leftovers(target) == []


def test_a_place_that_cannot_be_written(tmp_path: Path, build: Callable[[Path], None]) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CacheError, match="LMPROG_CACHE"):
        cached_folder(tmp_path / "file" / "model", build, 1000)


def test_an_error_of_the_builder_is_passed_on(target: Path) -> None:
    def build(folder: Path) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        cached_folder(target, build, 1000)

    assert leftovers(target) == []


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMPROG_CACHE", "~/models")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/tmp/xdg")
    assert Path.home() / "models" == cache_root()

    monkeypatch.delenv("LMPROG_CACHE")
    assert Path("/var/tmp/xdg/lmprog") == cache_root()

    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert Path.home() / ".cache" / "lmprog" == cache_root()
