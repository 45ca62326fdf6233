"""The study of sources: what goes with similarity, in closed form, and the tables and figures that say it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from report_trees import PAPER, write_run

from l2sp.errors import UserError
from l2sp.report import build_report
from l2sp.report.paper import read_paper
from l2sp.report.records import format_records
from l2sp.report.sources import MEASURES, Nearest, Similarity, correlation, points, read_sources
from l2sp.report.store import gather

SOURCES = {"least": 0.7, "random": 0.75, "whole": 0.8, "selected": 0.9}
TARGETS = ("cub200", "food101")


def digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def start_of(source: str) -> dict[str, object]:
    """What env.json says of a start that was pre-trained on a list, or on all classes."""
    told = {"experiment": f"source/{source}"} | ({} if source == "whole" else {"list": digest(source)})
    return {"sources": {"weights": told}}


def write_choice(results: Path) -> Path:
    folder = results / "mini" / "source"
    folder.mkdir(parents=True)
    near = [
        Similarity(kind, name, target, 20, 1200, 10.0, value)
        for kind, named in (("list", SOURCES), ("family", {"bird": 0.95, "car": 0.6}))
        for name, value in named.items()
        for target in TARGETS
    ]
    chosen = [
        Nearest(target, rank, f"00{rank}.bird", f"bird {rank}", "bird", 1 - rank / 10, 60)
        for target in TARGETS
        for rank in (1, 2)
    ]
    (folder / "similarity.csv").write_text(format_records(Similarity, near))
    (folder / "selected.csv").write_text(format_records(Nearest, chosen))
    origin = {
        "choice": {"name": "selected", "gamma": 0.02},
        "network": {"name": "net", "weights": "file", "input_size": 80},
        "lists": {name: {"sha256": digest(name)} for name in SOURCES if name != "whole"},
    }
    (folder / "origin.json").write_text(json.dumps(origin))
    return folder


def write_study(results: Path, gains: dict[str, float], seeds: int = 3) -> None:
    """L2's accuracy rises with similarity; `gains` of L2-SP by source."""
    for target in TARGETS:
        for place, source in enumerate(SOURCES):
            for seed in range(seeds):
                study = f"source/optim.steps=70,source={source}"
                value = 0.3 + 0.1 * place + seed / 1000
                given = {"study": study, "start": source * 8, "env": start_of(source)}
                write_run(results, f"dstl_{target}", "l2", seed, value, **given)
                write_run(results, f"dstl_{target}", "l2_sp", seed, value + gains[source], **given)


def test_rank_correlations_are_those_of_the_ranks(tmp_path: Path) -> None:
    write_choice(tmp_path)
    write_study(tmp_path, {"least": 0.03, "random": 0.02, "whole": 0.01, "selected": 0.0})
    evidence = gather(tmp_path, "mini")
    found = points(evidence.rows, evidence.logs.provenance, evidence.sources, read_paper(PAPER))
    assert [(p.experiment, p.source) for p in found[:4]] == [("dstl_cub200", source) for source in SOURCES]
    told = {name: correlation(found, get) for name, get in MEASURES.items()}
    assert [round(c.mean, 9) for c in told.values()] == [1, 1, -1]
    assert all(c.n == 3 and c.low == c.high for c in told.values())


def test_a_partial_order_has_its_spearman_coefficient(tmp_path: Path) -> None:
    write_choice(tmp_path)
    write_study(tmp_path, {"least": 0.01, "random": 0.0, "whole": 0.02, "selected": 0.03}, seeds=1)
    evidence = gather(tmp_path, "mini")
    found = points(evidence.rows, evidence.logs.provenance, evidence.sources, read_paper(PAPER))
    c = correlation(found, MEASURES["what L2-SP gains over L2"])
    assert c.mean == pytest.approx(1 - 6 * 2 / (4 * 15)) and c.n == 1 and c.low != c.low


def test_equal_gains_and_too_few_sources_have_no_correlation(tmp_path: Path) -> None:
    write_choice(tmp_path)
    write_study(tmp_path, dict.fromkeys(SOURCES, 0.0))
    evidence = gather(tmp_path, "mini")
    found = points(evidence.rows, evidence.logs.provenance, evidence.sources, read_paper(PAPER))
    assert correlation(found, MEASURES["what L2-SP gains over L2"]).n == 0
    assert correlation([p for p in found if p.source in ("least", "whole")], MEASURES["the accuracy of L2"]).n == 0


def test_runs_of_two_settings_are_not_pooled(tmp_path: Path) -> None:
    write_choice(tmp_path)
    write_study(tmp_path, dict.fromkeys(SOURCES, 0.01))
    study = "source/optim.steps=70,source=whole"
    write_run(
        tmp_path, "dstl_cub200", "l2_sp", 0, 0.9, study=study, alpha=0.1, start="whole" * 8, env=start_of("whole")
    )
    evidence = gather(tmp_path, "mini")
    with pytest.raises(UserError, match="L2-SP has several settings"):
        points(evidence.rows, evidence.logs.provenance, evidence.sources, read_paper(PAPER))


def test_tables_figures_and_page_tell_the_study(tmp_path: Path) -> None:
    write_choice(tmp_path)
    write_study(tmp_path, {"least": 0.0, "random": 0.01, "whole": 0.02, "selected": 0.03})
    root = tmp_path / "mini"
    (root / "figures").mkdir()
    (root / "figures/classes.png").write_bytes(b"\x89PNG, by scripts/select_source.py")
    build_report(tmp_path, "mini", PAPER)
    text = (root / "tables/sources.md").read_text()
    assert "| cub200   | selected | 20        | 0.9000       | 60.10 ± 0.10 (3) | 63.10 ± 0.10 (3) | +3.00" in text
    assert "L2: α=0.001, β=0.001; L2-SP: α=0.01, β=0.001." in text
    assert "L2, within targets: +1.00 [+1.00, +1.00] (3); without the least similar source +1.00" in text
    assert "exp(−0.02 EMD)" in text
    assert "bird 1 (bird) 0.9000" in (root / "tables/nearest.md").read_text()
    assert "net with file, at 80 px" in (root / "tables/similarity.md").read_text()
    for name in ("sources", "similarity"):
        assert (root / f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")
    page = (root / "report.html").read_text()
    assert "From which source" in page and "make sweep-sources" in page and "Nearest family: " in page
    assert "cub200: bird 1, bird 2; food101: bird 1, bird 2" in page


def test_runs_of_another_list_are_said_and_not_shown(tmp_path: Path) -> None:
    folder = write_choice(tmp_path)
    write_study(tmp_path, dict.fromkeys(SOURCES, 0.01))
    origin = json.loads((folder / "origin.json").read_text())
    origin["lists"]["random"]["sha256"] = digest("drawn anew")
    (folder / "origin.json").write_text(json.dumps(origin))
    evidence = gather(tmp_path, "mini")
    found = points(evidence.rows, evidence.logs.provenance, evidence.sources, read_paper(PAPER))
    assert {point.source for point in found} == SOURCES.keys() - {"random"}
    stale = [problem for problem in evidence.problems if problem.kind == "stale"]
    assert len(stale) == 2 * 2 * 3 and all("source=random" in problem.path for problem in stale)
    shutil.rmtree(tmp_path / "mini/studies")  # a clone knows it by provenance.csv
    clone = gather(tmp_path, "mini")
    assert points(clone.rows, clone.logs.provenance, clone.sources, read_paper(PAPER)) == found


def test_the_least_similar_source_may_carry_a_correlation_alone(tmp_path: Path) -> None:
    write_choice(tmp_path)
    write_study(tmp_path, {"least": -0.02, "random": 0.02, "whole": 0.01, "selected": 0.0})
    build_report(tmp_path, "mini", PAPER, figures=False)
    text = (tmp_path / "mini/tables/sources.md").read_text()
    assert "+0.20 [+0.20, +0.20] (3); without the least similar source −1.00 [−1.00, −1.00] (3)." in text


def test_a_choice_without_runs_gives_its_own_tables_alone(tmp_path: Path) -> None:
    write_choice(tmp_path)
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5)
    build_report(tmp_path, "mini", PAPER, figures=False)
    tables = {path.stem for path in (tmp_path / "mini/tables").glob("*.md")}
    assert {"nearest", "similarity"} <= tables and "sources" not in tables


@pytest.mark.parametrize("damage", ["lost list", "no json", "bad cell"])
def test_a_damaged_choice_is_said(tmp_path: Path, damage: str) -> None:
    folder = write_choice(tmp_path)
    if damage == "lost list":
        (folder / "selected.csv").unlink()
    elif damage == "no json":
        (folder / "origin.json").write_text("{")
    else:
        (folder / "similarity.csv").write_text((folder / "similarity.csv").read_text().replace("0.95", "near"))
    with pytest.raises(UserError, match=str(folder)):
        read_sources(tmp_path / "mini")


def test_without_a_choice_there_is_nothing(tmp_path: Path) -> None:
    assert read_sources(tmp_path).similarities == ()
