"""docs/deviations.yaml: every entry is complete, and every ambiguity of the protocols is decided."""

import fnmatch
from pathlib import Path

import pytest
import yaml

from l2sp_suite.config import known_keys

ROOT = Path(__file__).parents[1]
ENTRIES = yaml.safe_load((ROOT / "docs" / "deviations.yaml").read_text(encoding="utf-8"))
FIELDS = {"id", "points", "scales", "experiments", "text", "choice", "reason", "keys", "where"}
CONCERNS = {"tasks", "studies", "presets"}
EXPERIMENTS = {path.stem for path in (ROOT / "configs" / "experiment").glob("*.yaml")}
GROUPS = {"source"}  # a group of configs/, no key
SCALES = {path.stem for path in (ROOT / "configs" / "scale").glob("*.yaml")}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["id"])
def test_an_entry_is_complete(entry: dict[str, object]) -> None:
    assert set(entry) <= FIELDS | CONCERNS
    assert len(set(entry) & CONCERNS) == 1
    assert entry["text"] and (entry.get("choice") or entry.get("reason"))
    assert entry["scales"] and set(entry["scales"]) <= SCALES  # type: ignore[call-overload]
    assert set(entry.get("experiments", ())) <= EXPERIMENTS  # type: ignore[call-overload]


def test_ids_are_unique() -> None:
    ids = [entry["id"] for entry in ENTRIES]
    assert sorted(ids) == sorted(set(ids))


def test_every_ambiguity_is_decided() -> None:
    assert {point for entry in ENTRIES for point in entry.get("points", ())} == set(range(1, 36))


def test_keys_and_files_of_the_entries_exist() -> None:
    keys = known_keys() | {key.rpartition(".")[0] for key in known_keys()}
    names = [name for entry in ENTRIES for name in entry.get("keys", ())]
    files = [part for name in names for part in name.split() if part.startswith("configs/")]
    assert [file for file in files if not any(ROOT.glob(file.rstrip("/")))] == []
    plain = [name for name in names if "configs/" not in name and name not in GROUPS]
    assert [name for name in plain if not fnmatch.filter(keys, name) and not name.startswith("task.penalty.")] == []
