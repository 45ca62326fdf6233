"""docs/deviations.yaml: every entry is complete, and every ambiguity of the protocols is decided."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
ENTRIES = yaml.safe_load((ROOT / "docs" / "deviations.yaml").read_text(encoding="utf-8"))
FIELDS = {"id", "points", "scales", "experiments", "text", "choice", "reason", "keys", "where"}
CONCERNS = {"tasks", "studies", "presets"}
EXPERIMENTS = {path.stem for path in (ROOT / "configs" / "experiment").glob("*.yaml")}
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
