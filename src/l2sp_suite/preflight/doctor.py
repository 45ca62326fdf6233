"""Whether the rows of a scale can start on this machine: their data, weights and disk, and what they cost on a GPU."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from l2sp_suite.config import DataConfig, TrainConfig, override
from l2sp_suite.download import OFFICIAL, Archive, OfficialSet, State, Status, inspect, lacking, load
from l2sp_suite.preflight.cost import EFFICIENCY, LAUNCH, Cost, Device, measure
from l2sp_suite.pretrained import WeightsStatus, weights_status
from l2sp_suite.sweeps import table3
from l2sp_suite.tasks import task_class

__all__ = ["RowCheck", "check_rows", "describe_rows", "fits_on_disk"]

_TO_DO = "  to do: "


@dataclass(frozen=True)
class DataCheck:
    """A data set of a run: what is on disk, and where it comes from if it was released (else None)."""

    config: DataConfig
    root: Path
    state: State
    source: OfficialSet | None

    def ready(self, official: bool) -> bool:
        """Whether a run can be made on it that needs the official release, or (else) anything that can be read."""
        return self.state.status is Status.COMPLETE if official else bool(self.state.counts)

    def to_fetch(self, official: bool) -> tuple[Archive, ...]:
        """The archives that are missing; all of them, where what is there is not the release."""
        if self.ready(official) or self.source is None:
            return ()
        return lacking(self.source, self.root) or self.source.archives


@dataclass(frozen=True)
class RowCheck:
    """What an experiment needs and has here."""

    cfg: TrainConfig  # the experiment with the baseline arm
    data: Mapping[str, DataCheck]  # its data sets by key; none where they are synthetic
    weights: Sequence[WeightsStatus]  # its pre-trained weights
    cost: Cost  # of one arm and seed
    free: int  # bytes free on the disk of the data

    @property
    def lacking(self) -> list[str]:
        """What keeps the row from starting: some of data, weights, disk."""
        official = self.cfg.scale.require_official
        fine = {
            "data": all(data.ready(official) for data in self.data.values()),
            "weights": all(weights.ready for weights in self.weights),
            "disk": self.disk < self.free,
        }
        return [name for name, ready in fine.items() if not ready]

    @property
    def to_fetch(self) -> list[Archive]:
        """The archives that must be fetched, each once."""
        official = self.cfg.scale.require_official
        return _each_once(archive for data in self.data.values() for archive in data.to_fetch(official))

    @property
    def disk(self) -> int:
        """Bytes that must be free: archives whose sizes are published, and as much unpacked; two checkpoints."""
        return _unpacked_size(self.to_fetch) + 2 * 12 * self.cost.parameters

    @property
    def test_items(self) -> int:
        """Items of the test part: the official release's, or those on disk; 0 where nobody knows."""
        if self.cfg.scale.require_official:
            return {**(self.cfg.data.at_least or {}), **(self.cfg.data.official or {})}.get("test", 0)
        return self.data["data"].state.counts.get("test", 0) if "data" in self.data else 0


def check_rows(scale: str, data: Path, only: Sequence[str] = ()) -> Iterator[RowCheck]:
    """Checks the rows of Table 3 at a scale, one after the other; nothing is fetched, trained or changed.

    Args:
        scale: mini, small or paper.
        data: folder of the data sets' folders.
        only: names of experiments; all where it is empty.

    Raises:
        UserError: an unknown scale or experiment.
    """
    checked: dict[str, DataCheck] = {}  # by reader; some data sets are in several rows
    for cfg in table3(scale, only, [override("paths.data", str(data))]):
        summary = task_class(cfg).summary(cfg)
        sets = {key: cfg.data_sets()[key] for key in summary.data_sets} if cfg.scale.world is None else {}
        for config in sets.values():
            if config.reader not in checked:
                checked[config.reader] = _check_data(config, data)
        by_key = {key: checked[config.reader] for key, config in sets.items()}
        weights = weights_status(cfg, summary.parts, data)
        folder = next(folder for folder in (data, *data.absolute().parents) if folder.exists())
        yield RowCheck(cfg, by_key, weights, measure(cfg, summary), shutil.disk_usage(folder).free)


def _check_data(config: DataConfig, data: Path) -> DataCheck:
    source = _sources().get(config.reader)
    return DataCheck(config, data, inspect(config, data, source.expected_files if source else ()), source)


@cache
def _sources() -> dict[str, OfficialSet]:
    """The official sets by the names of their readers, which is what a run's configuration has of them."""
    return {load(name).reader: source for name, source in OFFICIAL.items()}


def _each_once(archives: Iterable[Archive]) -> list[Archive]:
    return list({archive.file: archive for archive in archives}.values())


def _unpacked_size(archives: Iterable[Archive]) -> int:
    """Bytes of archives and of what is in them, about as much; those of unknown size count nothing."""
    return sum(2 * (archive.size or 0) for archive in archives)


def fits_on_disk(rows: Sequence[RowCheck]) -> bool:
    """Whether the data of all rows together fits on the disk."""
    needed = _unpacked_size(_each_once(archive for row in rows for archive in row.to_fetch))
    return all(needed < row.free for row in rows)


def describe_rows(rows: Sequence[RowCheck], device: Device, arms: int, seeds: int) -> Iterator[str]:
    """What was checked, for people: some lines a row, with the arithmetic of the estimates, and one for all."""
    total, printed = 0.0, set[str]()
    for row in rows:
        verdict = f"lacks {', '.join(row.lacking)}" if row.lacking else "can start"
        paper = row.cfg.row
        number = f"row {paper.number} of Table {paper.table}, " if paper and paper.number else ""
        yield f"{row.cfg.experiment} ({number}scale={row.cfg.scale.name}): {verdict}"
        for label, texts in _facts(row, device):
            for text in texts:
                again = text.startswith(_TO_DO) and text in printed
                yield f"  {label:8} {f'{_TO_DO}as above' if again else text}"
                printed.add(text)
                label = ""
        total += row.cost.hours(device, row.test_items)
    ready = sum(not row.lacking for row in rows)
    yield _disk_of_all(rows)
    yield (
        f"{ready} of {len(rows)} rows can start; {arms} arms with {seeds} seeds each would take about "
        f"{arms * seeds * total:.1f} hours of {device.name} for these rows alone, without testing parts of unknown "
        "size and the training parts"
    )


def _disk_of_all(rows: Sequence[RowCheck]) -> str:
    archives = _each_once(archive for row in rows for archive in row.to_fetch)
    unknown = sum(archive.size is None for archive in archives)
    more = f", and {unknown} archives whose size is not published" if unknown else ""
    full = "" if fits_on_disk(rows) else "; that is not free"
    return f"disk for all of them: {_unpacked_size(archives) / 1e9:.1f} GB for what must be fetched{more}{full}"


def _facts(row: RowCheck, device: Device) -> Iterator[tuple[str, list[str]]]:
    official = row.cfg.scale.require_official
    data = [line for check in row.data.values() for line in _about_data(check, official)]
    yield "data", data or ["drawn here, by the first run"]
    yield "weights", [line for weights in row.weights for line in _about_weights(weights)]
    yield "disk", [_about_disk(row)]
    yield "memory", list(_about_memory(row.cost, device))
    yield "time", [_about_time(row, device)]


def _about_data(check: DataCheck, official: bool) -> Iterator[str]:
    yield f"{check.config.reader}: {check.state.status}: {check.state.message}"
    if check.ready(official):
        return
    source = check.source
    complete_but_wrong = check.state.folder and source and not lacking(source, check.root)
    away = f"move {check.state.folder} away, then " if complete_but_wrong else ""
    fetch = f"make data SETS={source.name} DATA='{check.root}' fetches it; or " if source and source.linked else ""
    yield f"{_TO_DO}{away}{fetch}{check.config.remedy}"


def _about_weights(weights: WeightsStatus) -> Iterator[str]:
    yield f"{weights.key}: {weights.message}"
    if weights.remedy:
        yield f"{_TO_DO}{weights.remedy}"


def _about_disk(row: RowCheck) -> str:
    unknown = [archive.file for archive in row.to_fetch if archive.size is None]
    more = f", and {', '.join(unknown)}, whose size is not published," if unknown else ""
    return (
        f"{row.disk / 1e9:.1f} GB for what must be fetched{more} and for checkpoints; {row.free / 1e9:.0f} GB are free"
    )


def _about_memory(cost: Cost, device: Device) -> Iterator[str]:
    weights = f"{cost.parameters / 1e6:.1f} million parameters x 16 bytes (weight, gradient, momentum, w0)"
    items = f"{cost.batch} items x {cost.item_bytes / 1e6:.0f} MB of activations"
    yield f"{cost.memory:.1f} GB = {weights} + {items} + 1 GB; {device.name} has {device.memory:g} GB"
    if cost.memory > device.memory:
        yield f"{_TO_DO}it hardly fits: take a device with more memory (the batch size is the protocol's)"


def _about_time(row: RowCheck, device: Device) -> str:
    cost, items = row.cost, row.test_items
    single = f"{device.single / 1e12:g} TFLOP/s of TF32 x {EFFICIENCY:g}"
    rate = f"{device.bf16 / 1e12:g} TFLOP/s of bfloat16 x {EFFICIENCY:g}" if cost.bf16 else single
    step = f"{cost.batch} items x {cost.train_flops / 1e9:,.0f} GFLOP"
    floor = f"{cost.launches:,.0f} launches x {LAUNCH * 1e6:g} us"
    test = f"{items:,} tested x {cost.test_flops / 1e9:,.0f} GFLOP" if items else "a test part of unknown size"
    return (
        f"{cost.hours(device, items):.2f} h an arm and seed = {cost.steps:,} steps of {step} at {rate} "
        f"(or {floor}, if more) + {test} at {single}"
    )
