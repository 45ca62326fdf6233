"""Build the miniature world on disk, once, whole or not at all; recognise it and check it later."""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from l2sp.data.miniature.catalogue import Sample, draw_sample, groups
from l2sp.data.miniature.layouts import Plan, annotate, plan
from l2sp.data.miniature.recipe import Recipe, named_recipe
from l2sp.errors import UserError
from l2sp.machine import cores

__all__ = ["build_world", "check_world", "ensure_world"]

_FEW = 400
_CHUNK = 40

Box = tuple[int, int, int, int]


def ensure_world(artifacts: Path, name: str) -> Path:
    """The world of a named recipe (`scale.world`) in its place under `artifacts`, built there if it is not.

    Raises UserError for an unknown name, and as `build_world` does.
    """
    recipe = named_recipe(name)
    return build_world(artifacts / "world" / recipe.digest(), recipe)


def build_world(root: Path, recipe: Recipe | None = None, workers: int | None = None, verify: bool = False) -> Path:
    """Write the world of ``recipe`` (default: ``Recipe()``) at ``root`` unless it is there; returns ``root``.

    It is built in a sibling folder and renamed at the end, so ``root`` is whole or absent, and of several
    processes that build at once one wins and the others use its result. A world already there is checked
    (:func:`check_world`). ``workers``: processes (default: the cores this process may use); the result does
    not depend on it.

    Raises :class:`~l2sp.errors.UserError` if something else, or a damaged world, lies at ``root``.
    """
    root, recipe = Path(root), recipe or Recipe()
    if _occupied(root):
        check_world(root, recipe, verify=verify)
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    draft = root.parent / f".{root.name}.building-{os.getpid()}-{uuid.uuid4().hex[:12]}"
    _sweep(root)
    draft.mkdir()
    try:
        _write(draft, recipe, workers)
        _publish(draft, root, recipe)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return root


def _sweep(root: Path) -> None:
    """Removes the drafts of processes that were killed."""
    for draft in root.parent.glob(f".{root.name}.building-*-*"):
        try:
            os.kill(int(draft.name.split("-")[-2]), 0)
        except ProcessLookupError:
            shutil.rmtree(draft, ignore_errors=True)
        except (PermissionError, ValueError):
            pass  # somebody else's, or not one of ours


def check_world(root: Path, recipe: Recipe | None = None, *, verify: bool = False) -> None:
    """Check the world at ``root``: recipe (if given), and every file present with its size, no image more.

    ``verify`` reads every file and compares its sha256.

    Raises :class:`~l2sp.errors.UserError` on any difference.
    """
    facts = _read_facts(root)
    if recipe is not None and facts.get("digest") != recipe.digest():
        raise UserError(f"{root}: holds a miniature world of another recipe; delete the folder or choose another path")
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
    images = sum(name.endswith(".jpg") for _, _, names in os.walk(root) for name in names)
    if images != sum(name.endswith(".jpg") for _, name in rows):
        raise UserError(f"{root}: images were added to the miniature world; delete the folder and build it again")


def _intact(path: Path, size: int, digest: str | None) -> bool:
    try:
        if path.stat().st_size != size:
            return False
        return digest is None or hashlib.sha256(path.read_bytes()).hexdigest() == digest
    except OSError:
        return False


def _damaged(root: Path, name: str) -> UserError:
    return UserError(
        f"{root}: the miniature world is damaged ({name} is missing or changed); delete the folder and build it again"
    )


def _read_facts(root: Path) -> dict[str, Any]:
    path = root / "world.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(
            f"{root}: is there already but is no whole miniature world (no readable world.json); "
            "delete the folder or choose another path"
        ) from None
    return facts if isinstance(facts, dict) else {}


def _occupied(root: Path) -> bool:
    """Whether anything but an empty folder lies at ``root``."""
    if not root.is_dir():
        return root.exists() or root.is_symlink()
    return any(root.iterdir())


def _publish(draft: Path, root: Path, recipe: Recipe) -> None:
    """Rename the finished draft; if another process was faster, use its world."""
    try:
        draft.rename(root)
    except OSError:
        if not _occupied(root):
            raise
        check_world(root, recipe)


def _write(draft: Path, recipe: Recipe, workers: int | None) -> None:
    plans = {group: plan(recipe, group) for group in groups(recipe)}
    paths: Plan = {sample: path for part in plans.values() for sample, path in part.items()}
    for folder in sorted({Path(path).parent for path in paths.values()}):
        (draft / folder).mkdir(parents=True, exist_ok=True)
    boxes: dict[Sample, Box] = {}
    sums: dict[str, tuple[str, int]] = {}
    for sample, box, digest, size in _render_all(draft, recipe, paths, workers):
        boxes[sample] = box
        sums[paths[sample]] = (digest, size)
    for group, part in plans.items():
        for name in annotate(recipe, group, draft, part, boxes):
            content = (draft / name).read_bytes()
            sums[name] = (hashlib.sha256(content).hexdigest(), len(content))
    _seal(draft, recipe, sums)


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


Rendered = tuple[Sample, Box, str, int]


def _render_all(draft: Path, recipe: Recipe, paths: Plan, workers: int | None) -> Iterator[Rendered]:
    """Draw and write every image; yields sample, box, sha256 and size in the order of ``paths``."""
    jobs = list(paths.items())
    count = workers if workers is not None else cores()
    chunks = [jobs[k : k + _CHUNK] for k in range(0, len(jobs), _CHUNK)]
    work = partial(_render_chunk, draft, recipe)
    with tqdm(total=len(jobs), desc="miniature world", unit="image", disable=None) as bar:
        for part in _each(work, chunks, 1 if workers is None and len(jobs) < _FEW else count):
            bar.update(len(part))
            yield from part


def _each(
    work: partial[list[Rendered]], chunks: list[list[tuple[Sample, str]]], workers: int
) -> Iterable[list[Rendered]]:
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


def _render_chunk(draft: Path, recipe: Recipe, jobs: list[tuple[Sample, str]]) -> list[Rendered]:
    return [_render(draft, recipe, sample, path) for sample, path in jobs]


def _render(draft: Path, recipe: Recipe, sample: Sample, path: str) -> Rendered:
    photo = draw_sample(recipe, sample)
    buffer = io.BytesIO()
    Image.fromarray(photo.image).save(buffer, "JPEG", quality=recipe.quality, subsampling=0)
    content = buffer.getvalue()
    (draft / path).write_bytes(content)
    return sample, photo.box, hashlib.sha256(content).hexdigest(), len(content)
