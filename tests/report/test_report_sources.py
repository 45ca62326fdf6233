"""The study of sources: what goes with similarity, in closed form, and the tables and figures that say it."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from report_trees import ARMS, PAPER, results_of, write_run

from l2sp_suite.report import build_report, scales_with_results
from l2sp_suite.report.sources import Study, correlation, read_sources, read_study, sources_table
from l2sp_suite.report.statistics import Comparison
from l2sp_suite.utils.errors import UserError

SOURCES = {"least": 0.7, "random": 0.75, "whole": 0.8, "selected": 0.9}
TARGETS = ("cub200", "food101")


def digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def start_of(source: str) -> dict[str, object]:
    """What env.json says of a start that was pre-trained on a list, or on all classes."""
    run = {"experiment": f"source/{source}"} | ({} if source == "whole" else {"list": digest(source)})
    return {"pretrained_runs": {"weights": run}}


def write_choice(results: Path) -> Path:
    folder = results / "mini" / "source"
    folder.mkdir(parents=True)
    near = [
        f"{kind},{name},{target},20,1200,10,{value}"
        for kind, named in (("list", SOURCES), ("family", {"bird": 0.95, "car": 0.6}))
        for name, value in named.items()
        for target in TARGETS
    ]
    chosen = [
        f"{target},{rank},00{rank}.bird,bird {rank},bird,{1 - rank / 10},60" for target in TARGETS for rank in (1, 2)
    ]
    heads = ("kind,source,target,classes,images,emd,similarity", "target,rank,source,label,family,similarity,images")
    texts = ("\n".join([head, *lines, ""]) for head, lines in zip(heads, (near, chosen), strict=True))
    records = dict(zip(("similarity.csv", "selected.csv"), texts, strict=True))
    for name, text in records.items():
        (folder / name).write_text(text)
    origin = {
        "files": {name: digest(text) for name, text in records.items()},
        "choice": {"name": "selected", "gamma": 0.02},
        "network": {"name": "net", "weights": "file", "input_size": 80},
        "lists": {name: {"sha256": digest(name)} for name in SOURCES if name != "whole"},
    }
    (folder / "origin.json").write_text(json.dumps(origin))
    return folder


def write_study(
    results: Path, gains: dict[str, float], seeds: Iterable[int] = range(3), targets: Iterable[str] = TARGETS
) -> None:
    """L2's accuracy rises with similarity, from another level for each target; `gains` of L2-SP by source."""
    for target in targets:
        for place, source in enumerate(SOURCES):
            for seed in seeds:
                study = f"source/optim.steps=70,source={source}"
                value = (0.3 if target == "cub200" else 0.1) + 0.1 * place + seed / 1000
                given = {"study": study, "start": source * 8, "env": start_of(source)}
                write_run(results, f"dstl_{target}", "l2", seed, value, **given)
                write_run(results, f"dstl_{target}", "l2_sp", seed, value + gains[source], **given)


def study_of(results: Path) -> Study:
    return read_study(results_of(results))


GAIN = "what L2-SP gains over L2"


def test_rank_correlations_are_those_of_the_ranks(tmp_path: Path) -> None:
    write_choice(tmp_path)
    write_study(tmp_path, {"least": 0.03, "random": 0.02, "whole": 0.01, "selected": 0.0})
    study = study_of(tmp_path)
    assert [(p.experiment, p.near.source) for p in study.points[:4]] == [("dstl_cub200", source) for source in SOURCES]
    rho = [correlation(study.points, get) for get in study.measures.values()]
    assert [round(c.mean, 9) for c in rho] == [1, 1, -1] and all(c.n == 3 and c.low == c.high for c in rho)


def test_a_partial_order_has_its_spearman_coefficient(tmp_path: Path) -> None:
    write_choice(tmp_path)
    write_study(tmp_path, {"least": 0.01, "random": 0.0, "whole": 0.02, "selected": 0.03}, seeds=[0])
    study = study_of(tmp_path)
    c = correlation(study.points, study.measures[GAIN])
    assert c.mean == pytest.approx(1 - 6 * 2 / (4 * 15)) and c.n == 1 and c.low != c.low


def test_equal_gains_and_too_few_sources_have_no_correlation(tmp_path: Path) -> None:
    write_choice(tmp_path)
    write_study(tmp_path, dict.fromkeys(SOURCES, 0.0))
    study = study_of(tmp_path)
    assert correlation(study.points, study.measures[GAIN]).n == 0
    assert correlation(study.points[:2], study.measures["the accuracy of L2"]).n == 0


def test_runs_of_two_settings_are_not_pooled(tmp_path: Path) -> None:
    write_choice(tmp_path)
    write_study(tmp_path, dict.fromkeys(SOURCES, 0.01))
    study = "source/optim.steps=70,source=whole"
    write_run(
        tmp_path, "dstl_cub200", "l2_sp", 0, 0.9, study=study, alpha=0.1, start="whole" * 8, env=start_of("whole")
    )
    with pytest.raises(UserError, match="L2-SP has several settings"):
        study_of(tmp_path)


def test_tables_figures_and_page_tell_the_study(tmp_path: Path, drawn: None) -> None:
    write_choice(tmp_path)
    write_study(tmp_path, {"least": 0.0, "random": 0.01, "whole": 0.02, "selected": 0.03})
    root = tmp_path / "mini"
    (root / "figures").mkdir()
    (root / "figures/classes.png").write_bytes(b"\x89PNG, by scripts/select_source.py")
    build_report(tmp_path, "mini", PAPER, ARMS)
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
    study = study_of(tmp_path)
    assert {point.near.source for point in study.points} == SOURCES.keys() - {"random"}
    assert [problem.path.endswith("source=random") for problem in study.problems] == [True]
    assert study.problems[0].kind == "stale"
    assert study.problems[0].reason.startswith(f"{2 * 2 * 3} runs pre-trained on another list of classes")
    table = sources_table(results_of(tmp_path), study)
    assert table is not None and table.summary[0].startswith("12 runs of the study are not shown")
    shutil.rmtree(tmp_path / "mini/studies")  # a clone knows it by provenance.csv
    clone = study_of(tmp_path)
    assert [(p.experiment, p.near) for p in clone.points] == [(p.experiment, p.near) for p in study.points]
    assert clone.withheld == study.withheld == 12


def test_the_least_similar_source_may_carry_a_correlation_alone(tmp_path: Path) -> None:
    write_choice(tmp_path)
    write_study(tmp_path, {"least": -0.02, "random": 0.02, "whole": 0.01, "selected": 0.0})
    build_report(tmp_path, "mini", PAPER, ARMS, figures=False)
    text = (tmp_path / "mini/tables/sources.md").read_text()
    assert "+0.20 [+0.20, +0.20] (3); without the least similar source −1.00 [−1.00, −1.00] (3)." in text


def gain_of(results: Path) -> Comparison:
    study = study_of(results)
    return correlation(study.points, study.measures[GAIN])


def test_the_correlation_is_the_mean_of_those_of_the_targets(tmp_path: Path) -> None:
    write_choice(tmp_path)
    write_study(tmp_path, {"least": 0.0, "random": 0.01, "whole": 0.02, "selected": 0.03}, targets=("cub200",))
    write_study(tmp_path, {"least": 0.01, "random": 0.0, "whole": 0.02, "selected": 0.03}, targets=("food101",))
    assert gain_of(tmp_path).mean == pytest.approx((1 + 0.8) / 2)


def test_its_interval_stays_within_what_a_correlation_can_be(tmp_path: Path) -> None:
    write_choice(tmp_path)
    for seed, gains in enumerate(((0, 1, 2, 3), (0, 1, 2, 3), (3, 0, 1, 2))):
        write_study(tmp_path, {name: g / 100 for name, g in zip(SOURCES, gains, strict=True)}, seeds=(seed,))
    c = gain_of(tmp_path)
    assert c.n == 3 and c.mean == pytest.approx((1 + 1 - 0.2) / 3) and (c.low, c.high) == (-1, 1)


def test_a_diverged_run_leaves_no_correlation_of_the_survivors(tmp_path: Path) -> None:
    write_choice(tmp_path)
    write_study(tmp_path, {"least": 0.0, "random": 0.01, "whole": 0.02, "selected": math.nan}, targets=("cub200",))
    write_study(tmp_path, {"least": 0.0, "random": 0.01, "whole": 0.02, "selected": 0.03}, targets=("food101",))
    c = gain_of(tmp_path)
    assert (c.verdict, c.n) == ("diverged", 3) and math.isnan(c.mean)
    build_report(tmp_path, "mini", PAPER, ARMS, figures=False)
    assert "gains over L2, within targets: —, a run diverged" in (tmp_path / "mini/tables/sources.md").read_text()


def test_arms_that_began_elsewhere_gain_nothing_from_each_other(tmp_path: Path) -> None:
    write_choice(tmp_path)
    write_study(tmp_path, {"least": 0.0, "random": 0.01, "whole": 0.02, "selected": 0.03})
    assert gain_of(tmp_path).n == 3
    for path in (tmp_path / "mini/studies").rglob("l2_sp-*/seed=*/env.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"w0": "pre-trained anew"}))
    assert gain_of(tmp_path).n == 0


def test_runs_whose_similarity_is_not_known_are_said(tmp_path: Path) -> None:
    write_study(tmp_path, dict.fromkeys(SOURCES, 0.01))
    study = study_of(tmp_path)
    assert not study.points and len(study.problems) == len(SOURCES) and study.withheld == 4 * 2 * 2 * 3
    text = "12 runs of a target or a source that is not of the choice"
    assert all(problem.reason.startswith(text) for problem in study.problems)


def test_a_choice_alone_has_a_report(tmp_path: Path) -> None:
    write_choice(tmp_path)
    assert scales_with_results(tmp_path) == ["mini"]
    build_report(tmp_path, "mini", PAPER, ARMS)
    assert "Nearest source classes" in (tmp_path / "mini/report.html").read_text()


def test_files_of_two_choices_are_not_read_as_one(tmp_path: Path) -> None:
    folder = write_choice(tmp_path)
    path = folder / "selected.csv"
    path.write_text(path.read_text().replace("0.9", "0.8"))
    with pytest.raises(UserError, match=r"selected\.csv: not of the choice in origin\.json"):
        read_sources(tmp_path / "mini")


def test_birds_are_nearest_to_birds_in_the_committed_choice_on_real_images() -> None:
    sources = read_sources(PAPER.parent / "small")
    first = sources.nearest.sort_values("rank").groupby("target").family.first()
    assert first["cub200"] == "birds" and first["food101"] == "food"
    near = sources.similarity[(sources.similarity.kind == "family") & (sources.similarity.target == "cub200")]
    assert near.sort_values("similarity").source.iloc[-1] == "birds"


def test_a_choice_without_runs_gives_its_own_tables_alone(tmp_path: Path) -> None:
    write_choice(tmp_path)
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5)
    build_report(tmp_path, "mini", PAPER, ARMS, figures=False)
    tables = {path.stem for path in (tmp_path / "mini/tables").glob("*.md")}
    assert {"nearest", "similarity"} <= tables and "sources" not in tables


@pytest.mark.parametrize("damage", ["lost list", "lost origin", "no json", "bad cell"])
def test_a_damaged_choice_is_said(tmp_path: Path, damage: str) -> None:
    folder = write_choice(tmp_path)
    if damage == "lost list":
        (folder / "selected.csv").unlink()
    elif damage == "lost origin":
        (folder / "origin.json").unlink()
    elif damage == "no json":
        (folder / "origin.json").write_text("{")
    else:
        (folder / "similarity.csv").write_text((folder / "similarity.csv").read_text().replace("0.95", "near"))
    with pytest.raises(UserError, match=str(folder)):
        read_sources(tmp_path / "mini")


def test_without_a_choice_there_is_nothing(tmp_path: Path) -> None:
    assert read_sources(tmp_path).similarity.empty and study_of(tmp_path).points == []
