"""Whether the rows of a scale can start on this machine: their data, weights and disk, and what they cost on a GPU."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from l2sp_suite.config.compose import override
from l2sp_suite.config.schema import DataConfig, TrainConfig
from l2sp_suite.download import OFFICIAL, Archive, OfficialSet, State, Status, inspect, lacking, load
from l2sp_suite.preflight.cost import EFFICIENCY, LAUNCH, Cost, Device, measure
from l2sp_suite.pretrained.status import WeightsStatus, weights_status
from l2sp_suite.sweeps.plan import table3
from l2sp_suite.tasks.registry import outline, sets_of

__all__ = ["Checked", "check_rows", "describe_rows", "room"]


_TO_DO = "  to do: "


@dataclass(frozen=True)
class SetState:
    """A data set of a run: what is on disk, and where it comes from if it was released (else None)."""

    config: DataConfig
    root: Path
    state: State
    source: OfficialSet | None

    @property
    def whole(self) -> bool:
        """Whether it is the official release."""
        return self.state.status is Status.COMPLETE

    def ready(self, official: bool) -> bool:
        """Whether a run can be made on it that needs the official release, or (else) anything that can be read."""
        return self.whole if official else bool(self.state.counts)

    def needed(self, official: bool) -> tuple[Archive, ...]:
        """The archives that must be fetched: what lacks; all, where what is there is not the release."""
        if self.ready(official) or self.source is None:
            return ()
        return lacking(self.source, self.root) or self.source.archives


@dataclass(frozen=True)
class Checked:
    """What was found of one experiment. `sets` has none that the miniature draws."""

    cfg: TrainConfig
    sets: Mapping[str, SetState]
    starts: Sequence[WeightsStatus]
    cost: Cost
    free: int

    @property
    def lacking(self) -> list[str]:
        """What keeps the row from starting: some of data, weights, disk."""
        official = self.cfg.scale.require_official
        data = all(one.ready(official) for one in self.sets.values())
        weights = all(start.ready for start in self.starts)
        return [
            name for name, well in (("data", data), ("weights", weights), ("disk", self.disk < self.free)) if not well
        ]

    @property
    def needed(self) -> list[Archive]:
        """The archives that must be fetched, each once."""
        official = self.cfg.scale.require_official
        return list({a.file: a for one in self.sets.values() for a in one.needed(official)}.values())

    @property
    def disk(self) -> int:
        """Bytes that must be free: archives whose sizes are published, and as much unpacked; two checkpoints."""
        archives = sum(archive.size or 0 for archive in self.needed)
        return 2 * archives + 2 * 12 * self.cost.parameters

    @property
    def tested(self) -> int:
        """Items of the test part that the run is for: the official release's, or those found; 0 where nobody knows."""
        found = self.sets["data"].state.counts if "data" in self.sets else {}
        official = self.cfg.data.official or {}
        known = {**(self.cfg.data.at_least or {}), **official}
        return (known if self.cfg.scale.require_official else found).get("test", 0)


def check_rows(scale: str, data: Path, only: Sequence[str] = ()) -> Iterator[Checked]:
    """Checks the rows of Table 3 at a scale, one after the other; nothing is fetched, trained or changed.

    Args:
        scale: mini, pocket or paper.
        data: folder of the data sets' folders.
        only: names of experiments; all where it is empty.

    Raises:
        UserError: an unknown scale or experiment.
    """
    planned = table3(scale, only, [override("paths.data", str(data))])
    known: dict[str, SetState] = {}
    for cfg in {item.cfg.experiment: item.cfg for item in planned}.values():
        yield _check(cfg, data, known)


def _check(cfg: TrainConfig, data: Path, known: dict[str, SetState]) -> Checked:
    """`known`: the data sets that were looked at before, by reader; some are in several rows."""
    found = outline(cfg)
    sets = {key: sets_of(cfg)[key] for key in found.sets} if cfg.scale.world is None else {}
    for one in sets.values():
        if one.reader not in known:
            known[one.reader] = _look(one, data)
    read = {key: known[one.reader] for key, one in sets.items()}
    starts = weights_status(cfg, found.starts, data)
    there = next(folder for folder in (data, *data.absolute().parents) if folder.exists())
    return Checked(cfg, read, starts, measure(cfg, found), shutil.disk_usage(there).free)


def _look(config: DataConfig, data: Path) -> SetState:
    source = _sources().get(config.reader)
    return SetState(config, data, inspect(config, data, source.expected_files if source else ()), source)


@cache
def _sources() -> dict[str, OfficialSet]:
    """The official sets by the names of their readers, which is what a run's configuration has of them."""
    return {load(name).reader: source for name, source in OFFICIAL.items()}


def describe_rows(rows: Sequence[Checked], device: Device, seeds: int) -> Iterator[str]:
    """What was found, for people: some lines a row, with the arithmetic of the estimates, and one for all."""
    total, told = 0.0, set[str]()
    for row in rows:
        verdict = f"lacks {', '.join(row.lacking)}" if row.lacking else "can start"
        paper = row.cfg.row
        number = f"row {paper.number} of Table {paper.table}, " if paper and paper.number else ""
        yield f"{row.cfg.experiment} ({number}scale={row.cfg.scale.name}): {verdict}"
        for label, texts in _facts(row, device):
            for text in texts:
                known = text.startswith(_TO_DO) and text in told
                yield f"  {label:8} {f'{_TO_DO}as above' if known else text}"
                told.add(text)
                label = ""
        total += row.cost.hours(device, row.tested)
    ready = sum(not row.lacking for row in rows)
    yield _all_disk(rows)
    yield (
        f"{ready} of {len(rows)} rows can start; both arms with {seeds} seeds would take about "
        f"{2 * seeds * total:.1f} hours of {device.name} for these rows alone, without testing parts of unknown size "
        "and the training parts"
    )


def _needed(rows: Sequence[Checked]) -> list[Archive]:
    """The archives of all rows, each once: some rows share their data."""
    return list({archive.file: archive for row in rows for archive in row.needed}.values())


def room(rows: Sequence[Checked]) -> bool:
    """Whether the data of all rows together fits on the disk."""
    return all(sum(2 * (archive.size or 0) for archive in _needed(rows)) < row.free for row in rows)


def _all_disk(rows: Sequence[Checked]) -> str:
    archives = _needed(rows)
    needed = sum(2 * (archive.size or 0) for archive in archives)
    unknown = sum(archive.size is None for archive in archives)
    more = f", and {unknown} archives whose size is not published" if unknown else ""
    less = "" if room(rows) else "; that is not free"
    return f"disk for all of them: {needed / 1e9:.1f} GB for what must be fetched{more}{less}"


def _facts(row: Checked, device: Device) -> Iterator[tuple[str, list[str]]]:
    official = row.cfg.scale.require_official
    of_sets = [line for one in row.sets.values() for line in _of_set(one, official)]
    yield "data", of_sets or ["drawn here, by the first run"]
    yield "weights", [line for start in row.starts for line in _of_start(start)]
    yield "disk", [_disk(row)]
    yield "memory", list(_memory(row.cost, device))
    yield "time", [_time(row, device)]


def _of_set(one: SetState, official: bool) -> Iterator[str]:
    yield f"{one.config.reader}: {one.state.status}: {one.state.message}"
    if one.ready(official):
        return
    stuck = one.state.folder and one.source and not lacking(one.source, one.root)
    away = f"move {one.state.folder} away, then " if stuck else ""
    source = one.source
    fetch = f"make data SETS={source.name} DATA='{one.root}' fetches it; or " if source and source.linked else ""
    yield f"{_TO_DO}{away}{fetch}{one.config.remedy}"


def _disk(row: Checked) -> str:
    unknown = [archive.file for archive in row.needed if archive.size is None]
    more = f", and {', '.join(unknown)}, whose size is not published," if unknown else ""
    return (
        f"{row.disk / 1e9:.1f} GB for what must be fetched{more} and for checkpoints; {row.free / 1e9:.0f} GB are free"
    )


def _of_start(start: WeightsStatus) -> Iterator[str]:
    yield f"{start.key}: {start.found}"
    if start.remedy:
        yield f"{_TO_DO}{start.remedy}"


def _memory(cost: Cost, device: Device) -> Iterator[str]:
    weights = f"{cost.parameters / 1e6:.1f} million parameters x 16 bytes (weight, gradient, momentum, w0)"
    items = f"{cost.batch} items x {cost.item_bytes / 1e6:.0f} MB of activations"
    yield f"{cost.memory:.1f} GB = {weights} + {items} + 1 GB; {device.name} has {device.memory:g} GB"
    if cost.memory > device.memory:
        yield f"{_TO_DO}it hardly fits: take a device with more memory (the batch size is the protocol's)"


def _time(row: Checked, device: Device) -> str:
    cost = row.cost
    single = f"{device.single / 1e12:g} TFLOP/s of TF32 x {EFFICIENCY:g}"
    rate = f"{device.bf16 / 1e12:g} TFLOP/s of bfloat16 x {EFFICIENCY:g}" if cost.bf16 else single
    step = f"{cost.batch} items x {cost.train_flops / 1e9:,.0f} GFLOP"
    floor = f"{cost.launches:,.0f} launches x {LAUNCH * 1e6:g} us"
    test = (
        f"{row.tested:,} tested x {cost.test_flops / 1e9:,.0f} GFLOP" if row.tested else "a test part of unknown size"
    )
    return (
        f"{cost.hours(device, row.tested):.2f} h an arm and seed = {cost.steps:,} steps of {step} at {rate} "
        f"(or {floor}, if more) + {test} at {single}"
    )
