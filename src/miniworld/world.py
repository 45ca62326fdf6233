"""Build a part of the data on disk, once, whole or not at all; recognise it and check it later."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from miniworld.errors import WorldError
from miniworld.parts import PARTS, named_recipe
from miniworld.recipes import Recipe

__all__ = ["Progress", "build_world", "check_world", "ensure_world"]

Progress = Callable[[int, int], None]
"""Is told how many jobs (images, scenes or clips) are done, and of how many."""

_ITEMS = (".jpg", ".png", ".ppm", ".pfm", ".flo")
_FEW = 10
"""Fewer chunks of jobs are not worth more than one process."""


def ensure_world(artifacts: Path, name: str, part: str, progress: Progress | None = None) -> Path:
    """Return the folder of a part's named recipe under ``artifacts``; it is built if it is not there.

    Raises WorldError for an unknown name or part, and as :func:`build_world` does.
    """
    recipe = named_recipe(name, part)
    return build_world(Path(artifacts) / "world" / recipe.digest(), recipe, progress=progress)


def build_world(
    root: Path, recipe: Recipe, workers: int | None = None, verify: bool = False, progress: Progress | None = None
) -> Path:
    """Write the part of ``recipe`` at ``root`` unless it is there; return ``root``.

    It is built in a sibling folder and renamed at the end, so ``root`` is whole or absent, and of several
    processes that build at once one wins and the others use its result. A part already there is checked
    (:func:`check_world`). ``workers``: processes (default: the cores this process may use); the result does
    not depend on it.

    Raises :class:`~miniworld.errors.WorldError` if something else, or a damaged part, lies at ``root``.
    """
    root = Path(root)
    if _occupied(root):
        check_world(root, recipe, verify=verify)
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    draft = root.parent / f".{root.name}.building-{os.getpid()}-{uuid.uuid4().hex[:12]}"
    _remove_abandoned_drafts(root)
    draft.mkdir()
    try:
        _write(draft, recipe, workers, progress or (lambda done, total: None))
        _publish(draft, root, recipe)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return root


def _remove_abandoned_drafts(root: Path) -> None:
    """Removes the drafts of processes that were killed."""
    for draft in root.parent.glob(f".{root.name}.building-*-*"):
        try:
            os.kill(int(draft.name.split("-")[-2]), 0)
        except ProcessLookupError:
            shutil.rmtree(draft, ignore_errors=True)
        except (PermissionError, ValueError):
            pass  # somebody else's, or not one of ours


def check_world(root: Path, recipe: Recipe | None = None, *, verify: bool = False) -> None:
    """Check the part at ``root``: recipe (if given), and every file present with its size, no image or flow more.

    ``verify`` reads every file and compares its sha256.

    Raises :class:`~miniworld.errors.WorldError` on any difference.
    """
    facts = _read_facts(root)
    if recipe is not None and facts.get("digest") != recipe.digest():
        raise WorldError(f"{root}: holds data of another recipe; delete the folder or choose another path")
    try:
        text = (root / "checksums.txt").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise _damaged(root, "checksums.txt") from None
    rows = [line.split("  ", 1) for line in text.splitlines()]
    sizes: list[int] = facts.get("sizes") or []
    if hashlib.sha256(text.encode()).hexdigest() != facts.get("checksums") or len(rows) != len(sizes):
        raise _damaged(root, "checksums.txt")
    for (digest, name), size in zip(rows, sizes, strict=True):
        if not _intact(root / name, size, digest if verify else None):
            raise _damaged(root, name)
    images = sum(name.endswith(_ITEMS) for _, _, names in os.walk(root) for name in names)
    if images != sum(name.endswith(_ITEMS) for _, name in rows):
        raise WorldError(
            f"{root}: images or flows were added to the synthetic data; delete the folder and build it again"
        )


def _intact(path: Path, size: int, digest: str | None) -> bool:
    try:
        if path.stat().st_size != size:
            return False
        return digest is None or hashlib.sha256(path.read_bytes()).hexdigest() == digest
    except OSError:
        return False


def _damaged(root: Path, name: str) -> WorldError:
    return WorldError(
        f"{root}: the synthetic data is damaged ({name} is missing or changed); delete the folder and build it again"
    )


def _read_facts(root: Path) -> dict[str, Any]:
    path = root / "world.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise WorldError(
            f"{root}: is there already but holds no whole synthetic data (no readable world.json); "
            "delete the folder or choose another path"
        ) from None
    return facts if isinstance(facts, dict) else {}


def _occupied(root: Path) -> bool:
    """Whether anything but an empty folder lies at ``root``."""
    if not root.is_dir():
        return root.exists() or root.is_symlink()
    return any(root.iterdir())


def _publish(draft: Path, root: Path, recipe: Recipe) -> None:
    """Rename the finished draft; if another process was faster, use its result."""
    try:
        draft.rename(root)
    except OSError:
        if not _occupied(root):
            raise
        check_world(root, recipe)


def _write(draft: Path, recipe: Recipe, workers: int | None, progress: Progress) -> None:
    part = PARTS[recipe.part]
    paths = part.plan(recipe)
    notes: dict[Any, Any] = {}
    sums: dict[str, tuple[str, int]] = {}
    for job, note, written in _render_all(draft, recipe, paths, workers):
        notes[job] = note
        sums |= written
        progress(len(notes), len(paths))
    sums |= _write_files(draft, part.annotate(recipe, paths, notes))
    _seal(draft, recipe, sums)


def _write_files(draft: Path, files: dict[str, bytes]) -> dict[str, tuple[str, int]]:
    """Write files by path below ``draft``; return sha256 and size of each."""
    for name, content in files.items():
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        (draft / name).write_bytes(content)
    return {name: (hashlib.sha256(content).hexdigest(), len(content)) for name, content in files.items()}


def _seal(draft: Path, recipe: Recipe, sums: dict[str, tuple[str, int]]) -> None:
    names = sorted(sums)
    text = "".join(f"{sums[name][0]}  {name}\n" for name in names)
    (draft / "checksums.txt").write_text(text, encoding="utf-8")
    facts = {
        "digest": recipe.digest(),
        "recipe": recipe.as_dict(),
        "checksums": hashlib.sha256(text.encode()).hexdigest(),
        "sizes": [sums[name][1] for name in names],
    }
    (draft / "world.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")


Jobs = list[tuple[Any, str]]
Rendered = tuple[Any, Any, dict[str, tuple[str, int]]]
"""A job, what it leaves for the annotations, and the sha256 and size of each file that it wrote."""


def _render_all(draft: Path, recipe: Recipe, paths: dict[Any, str], workers: int | None) -> Iterator[Rendered]:
    """Draw and write every image, in the order of ``paths``."""
    jobs, size = list(paths.items()), PARTS[recipe.part].chunk
    chunks = [jobs[k : k + size] for k in range(0, len(jobs), size)]
    if workers is None:
        workers = _cores() if len(chunks) >= _FEW else 1
    for chunk in _each(partial(_render_chunk, draft, recipe), chunks, workers):
        yield from chunk


def _cores() -> int:
    """Cores this process may use; fewer than the machine's in a container or batch job."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _each(work: partial[list[Rendered]], chunks: list[Jobs], workers: int) -> Iterable[list[Rendered]]:
    if workers <= 1:
        yield from map(work, chunks)
        return
    # Forked workers start at once and import nothing again; drawing uses no threads that a fork could break.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_die_with, initargs=(os.getpid(),)) as pool:
        try:
            yield from pool.map(work, chunks)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _die_with(parent: int) -> None:
    """Ends this process soon after its parent: a pool's processes would wait for a killed one for ever."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _render_chunk(draft: Path, recipe: Recipe, jobs: Jobs) -> list[Rendered]:
    rendered = []
    for job, path in jobs:
        files, note = PARTS[recipe.part].render(recipe, job, path)
        rendered.append((job, note, _write_files(draft, files)))
    return rendered
