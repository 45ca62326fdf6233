"""The pages: complete, self-contained, honest about whose pictures they show; README's answer; deviations."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from matplotlib.figure import Figure
from matplotlib.text import Text
from report_trees import ARMS, PAPER, edit, results_of, write_arms
from test_report_pictures import FLOW, write_samples
from test_report_tables import write_third_arm

from l2sp_suite.report import build_report, deviations, update_readme, write_deviations
from l2sp_suite.utils.errors import UserError

ENTRIES = [
    {
        "id": "a",
        "scales": ["mini", "paper"],
        "tasks": ["dstl"],
        "text": "Less | more",
        "choice": "`b`.",
        "keys": ["x.y"],
    },
    {
        "id": "c",
        "scales": ["paper"],
        "tasks": ["encnet"],
        "text": "Crop",
        "reason": "Why",
        "where": "code",
        "points": [3],
    },
    {"id": "d", "scales": ["mini"], "studies": ["sources"], "experiments": ["e1"], "text": "Few", "keys": ["k"]},
]


class Parsed(HTMLParser):
    """Elements of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def pages_of(results: Path, scale: str = "mini", **asked: bool) -> tuple[str, str]:
    """report.html and docs/results/<scale>.md, the latter beside the folder of results as in the repository."""
    docs = results / "docs" / "results"
    build_report(results, scale, PAPER, ARMS, docs=docs, **asked)
    return (results / scale / "report.html").read_text(encoding="utf-8"), (docs / f"{scale}.md").read_text(
        encoding="utf-8"
    )


def test_pages_are_whole_and_html_needs_nothing_else(tree: Path) -> None:
    html, markdown = pages_of(tree)
    parsed = Parsed(html)
    assert not parsed.open and "<script" not in html
    assert not re.search(r"""(src|href|url|action)\s*[=(]\s*["']?(https?:|//|file:)""", html)
    assert all(str(image["src"]).startswith("data:image/") and image["alt"] for image in parsed.all("img"))
    figures = {path.name for path in (tree / "mini" / "figures").iterdir()}
    assert len(parsed.all("img")) == len(figures) > 4
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids)) and {str(a["href"]).removeprefix("#") for a in parsed.all("a")} <= set(ids)
    tables = {path.stem for path in (tree / "mini" / "tables").glob("*.md")}
    assert tables <= set(ids) and all(head.get("scope") == "col" for head in parsed.all("th"))
    linked = set(re.findall(r"\]\(\.\./\.\./results/mini/figures/(\S+)\)", markdown))
    assert linked == figures
    for path in (tree / "mini" / "tables").glob("*.md"):
        heading, body = path.read_text().split("\n\n")[:2]
        assert f"##{heading}\n\n{body}" in markdown, path.name
    assert markdown.index("**L2-SP can be told apart from L2 in") < markdown.index("## Table 3")


def test_rows_say_how_to_make_them_what_made_them_and_what_differs(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "deviations.yaml"
    file.write_text(yaml.safe_dump(ENTRIES))
    monkeypatch.setattr(deviations, "FILE", file)
    command = "python experiments/train.py -m experiment=dstl_cub200 scale=mini reg=l2,l2_sp seed=0,1,2"
    origin = "6 runs, 12 s each, seeds 0, 1, 2; on cpu with 2 cores"  # CUB has twelve in all
    html, markdown = pages_of(tree)
    assert f"<code>{command}</code>" in html and f"`{command}`" in markdown
    assert html.count(origin) == markdown.count(origin) == 3
    assert "<td>Less | more</td><td><code>b</code>.</td><td><code>x.y</code></td>" in html
    assert "| Less \\| more | `b`. | `x.y` |" in markdown
    assert markdown.count("Crop") == 1  # paper scale's, for want of any of mini scale


def test_what_runs_say_of_themselves_is_escaped(tmp_path: Path) -> None:
    write_arms(
        tmp_path, "own_set", {"l2": (0.5,), "l2_sp": (0.5,)}, row={"approach": "<script>x</script>", "target": "a & b"}
    )
    html, markdown = pages_of(tmp_path)
    assert "<script>" not in html and "&lt;script&gt;x" in html and "a &amp; b" in html
    assert "| \\<script\\>x" in markdown


def test_pictures_of_data_sets_are_shown_where_asked_only(tmp_path: Path) -> None:
    write_samples(tmp_path, FLOW)
    assert pages_of(tmp_path)[0].count("data:image/gif") == 1
    (tmp_path / "mini").rename(tmp_path / "small")
    for config in (tmp_path / "small").rglob("config.yaml"):
        edit(config, "scale.name", "small")
    (tmp_path / "small" / "rows.csv").unlink()
    for asked in (False, True):
        html, markdown = pages_of(tmp_path, "small", all_pictures=asked)
        assert ("data:image/gif" in html) == asked
        assert "(../../results/small/figures/predictions" not in markdown  # what is not committed is not linked
        assert f"results/small/figures/predictions_{FLOW}.png`" in markdown


def test_without_runs_the_pages_say_so(tmp_path: Path) -> None:
    html, markdown = pages_of(tmp_path)
    assert html.count("data:image/png") == 2  # of the theory
    assert "nothing is compared yet" in html and "nothing is compared yet" in markdown


def test_rows_that_say_nothing_are_no_ties(tmp_path: Path) -> None:
    write_arms(tmp_path, "dstl_cub200", {"l2": (0.5, 0.6), "l2_sp": (0.6, 0.5)})
    write_arms(tmp_path, "dstl_food101", {"l2": (0.5, 0.5), "l2_sp": (float("nan"), float("nan"))})
    write_arms(tmp_path, "dstl_aircraft", {"l2": (0.5,), "l2_sp": (0.5,)})
    for text in pages_of(tmp_path):
        assert "In none of 1 rows can L2-SP be told apart from L2. 2 more rows have one seed, or a run that" in text


def test_a_third_arm_has_a_verdict_and_a_place_in_every_figure(
    tree: Path, drawn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    legends: dict[str, list[str]] = {}
    real = Figure.savefig

    def savefig(figure: Figure, *args: object, **asked: object) -> None:
        texts = [text.get_text() for text in figure.findobj(Text)]
        legends[figure.get_suptitle().partition(";")[0]] = texts
        real(figure, *args, **asked)

    monkeypatch.setattr(Figure, "savefig", savefig)
    write_third_arm(tree)
    html, markdown = pages_of(tree)
    for text in (html, markdown):
        assert "L1-SP can be told apart from L2 in" in text and "L2-SP can be told apart from L2 in" in text
    assert "reg=l2,l2_sp,l1_sp" in markdown and "mini L1-SP" in markdown
    for title in ("Training", "Each layer at the end of training", "Learning rates"):
        assert {"L2", "L2-SP", "L1-SP"} <= set(legends[title]), title
    assert any(text.startswith("L1-SP: ") for text in legends["L2-SP and L1-SP against L2, paired over seeds"])


def test_the_answer_in_the_readme_is_renewed_and_nothing_else(tree: Path) -> None:
    readme, results = tree / "README.md", results_of(tree)
    readme.write_text("before\n<!-- answer -->\nold\n<!-- end of answer -->\nafter \\1\n")
    update_readme(readme, [results])
    text = readme.read_text()
    assert text.startswith("before\n<!-- answer -->\n") and text.endswith("<!-- end of answer -->\nafter \\1\n")
    assert (
        "old" not in text and "| mini scale: procedural miniature world, not the paper's data | 3 | 2 | 0 | 1 |" in text
    )
    build_report(tree, "mini", PAPER, ARMS)
    update_readme(readme, [results])
    assert "(mini/figures/table3.png)" in readme.read_text()
    readme.write_text("no block\n")
    with pytest.raises(UserError, match="has no block"):
        update_readme(readme, [results])


def test_the_document_of_deviations_has_every_entry(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text(yaml.safe_dump(ENTRIES))
    write_deviations(tmp_path / "d.yaml", tmp_path / "d.md")
    text = (tmp_path / "d.md").read_text()
    assert "## DSTL at mini and paper scale" in text and "| - | Less \\| more | `b`. | `x.y` |" in text
    assert "## EncNet at paper scale" in text and "| 3 | Crop | Why | (code) |" in text
    assert "## The study of sources at mini scale" in text and "Few (only e1)" in text
    assert deviations.read_deviations(tmp_path / "none.yaml") == ()


def test_every_task_has_deviations_at_every_scale_and_the_document_is_theirs() -> None:
    for task in ("encnet", "segflow", "dstl"):
        entries = [deviations.deviations_of(task, scale) for scale in ("mini", "small", "paper")]
        assert all(len(part) > 10 for part in entries)
