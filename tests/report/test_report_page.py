"""The page: complete, self-contained, honest about whose pictures it shows; and in a browser."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_trees import PAPER, write_run
from test_report_pictures import FLOW, MASKS, write_samples

from l2sp_suite.report import build_report
from l2sp_suite.report.deviations import read_deviations
from l2sp_suite.report.page import DEVIATIONS, _sort_key

GOLDEN = Path(__file__).parent / "golden" / "report.html"
TABLES = 19  # of the tree: seven of the paper, seven of studies and five of deviations


class Parsed(HTMLParser):
    """Elements of a page with their attributes, and the texts of its cells."""

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


def page_of(results: Path, scale: str = "mini", **asked: bool) -> str:
    build_report(results, scale, PAPER, **asked)
    return (results / scale / "report.html").read_text(encoding="utf-8")


def test_golden_page(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No pictures, style or script; with deviations of its own, so that words of the document change nothing."""
    document = tmp_path / "deviations.md"
    table = "| what | why | key |\n|---|---|---|\n| **a** | b | `c` |\n"
    document.write_text(f"## Drawn\n<!-- for: mini dstl -->\n{table}")
    monkeypatch.setattr("l2sp_suite.report.page.DEVIATIONS", document)
    text = re.sub(r"(data:image/\w+;base64,)[\w+/=]+", r"\1", page_of(tree))
    text = re.sub(r"<(style|script)>.*?</\1>", r"<\1></\1>", text, flags=re.DOTALL)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_page_is_self_contained_and_every_part_is_there(tree: Path) -> None:
    text = page_of(tree)
    parsed = Parsed(text)
    assert not parsed.open and len(text) < 10e6
    assert not re.search(r"""(src|href|url|action)\s*[=(]\s*["']?(https?:|//|file:)""", text)
    assert all(str(image["src"]).startswith("data:image/") and image["alt"] for image in parsed.all("img"))
    files = {path.name for path in (tree / "mini" / "figures").iterdir()}
    assert len(parsed.all("img")) == len(files) > 4
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {str(link["href"]).removeprefix("#") for link in parsed.all("a")} <= set(ids)
    assert {path.stem for path in (tree / "mini" / "tables").glob("*.md")} <= set(ids)
    assert len(parsed.all("table")) == TABLES
    assert all(head.get("scope") == "col" for head in parsed.all("th"))


def test_rows_say_how_to_make_them_and_what_differs(tree: Path) -> None:
    text = page_of(tree)
    command = "python experiments/train.py -m experiment=dstl_cub200 scale=mini reg=l2,l2_sp seed=0,1,2"
    assert f"<code>{command}</code>" in text
    own = next(part for part in read_deviations(DEVIATIONS) if (part.scale, part.approach) == ("mini", "dstl"))
    assert len(own.entries) > 5 and text.count("RMSProp at 5e-4") == 7  # beside six rows, and among all
    assert text.count('<tr class="more">') == 12


def test_what_runs_say_of_themselves_is_escaped(tmp_path: Path) -> None:
    row = {"approach": "<script>alert(1)</script>", "target": "a & b"}
    for reg in ("l2", "l2_sp"):
        write_run(tmp_path, "own_set", reg, 0, 0.5, row=row)
    text = page_of(tmp_path)
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text and "a &amp; b" in text


def test_pictures_of_data_sets_are_shown_where_asked_only(tmp_path: Path) -> None:
    write_samples(tmp_path, FLOW)
    drawn = page_of(tmp_path)
    assert drawn.count("data:image/gif") == 1
    (tmp_path / "mini").rename(tmp_path / "pocket")
    for config in (tmp_path / "pocket").rglob("config.yaml"):
        config.write_text(config.read_text().replace("name: mini", "name: pocket"))
    (tmp_path / "pocket" / "rows.csv").unlink()
    held, asked = page_of(tmp_path, "pocket"), page_of(tmp_path, "pocket", all_pictures=True)
    assert "data:image/gif" not in held and "results/pocket/figures/predictions_segflow_monkaa_final.png" in held
    assert "data:image/gif" in asked


def test_without_runs_the_page_says_so(tmp_path: Path) -> None:
    text = page_of(tmp_path)
    assert "Nothing is compared yet" in text and text.count("data:image/png") == 2  # of the theory


def test_rows_that_say_nothing_are_no_ties(tmp_path: Path) -> None:
    for seed in range(2):
        write_run(tmp_path, "dstl_cub200", "l2", seed, 0.5 + seed / 10)
        write_run(tmp_path, "dstl_cub200", "l2_sp", seed, 0.6 - seed / 10)
        write_run(tmp_path, "dstl_food101", "l2", seed, 0.5)
        write_run(tmp_path, "dstl_food101", "l2_sp", seed, float("nan"))
    for reg in ("l2", "l2_sp"):
        write_run(tmp_path, "dstl_aircraft", reg, 0, 0.5)
    text = page_of(tmp_path)
    assert "In none of 1 rows can L2-SP be told apart" in text and "2 more rows have one seed, or a run that" in text


def test_provenance_of_a_row_is_that_of_its_own_runs(tree: Path) -> None:
    text = page_of(tree)
    assert text.count("<p>6 runs, 12 s each, seeds 0, 1, 2; on cpu with 2 cores") == 3  # CUB has twelve in all


@pytest.mark.parametrize(
    ("cell", "key"),
    [
        ("45.22 ± 2.24 (3)", "45.22"),
        ("−0.42", "-0.42"),
        ("[+0.80, +1.59] (3)", "+0.80"),
        ("1,248", "1248"),
        ("4e-5", "4e-5"),
        ("3.46×", "3.46"),
        ("—", ""),
        ("DSTL", ""),
    ],
)
def test_cells_are_sorted_by_their_first_number(cell: str, key: str) -> None:
    assert _sort_key(cell) == key


def test_deviations_are_assigned_by_marks(tmp_path: Path) -> None:
    path = tmp_path / "d.md"
    path.write_text(
        "# All\n| a | b | c |\n\n## Mine\n<!-- for: mini dstl -->\n\n| what | why | key |\n|---|---|---|\n"
        "| less \\| more | because | `k` |\n| too | few |\n\n## Other\n| x | y | z |\n"
    )
    (part,) = read_deviations(path)
    assert (part.title, part.scale, part.approach) == ("Mine", "mini", "dstl")
    assert [(e.what, e.choice, e.key) for e in part.entries] == [("less | more", "because", "`k`")]
    assert read_deviations(tmp_path / "none.md") == []


def test_every_approach_has_deviations_at_every_scale() -> None:
    found = {(part.scale, part.approach) for part in read_deviations(DEVIATIONS) if part.entries}
    assert found == {
        ("every", "approach"),
        ("mini", "sources"),  # a study of its own
        *((s, a) for s in ("mini", "pocket", "paper") for a in ("encnet", "segflow", "dstl")),
    }


def test_every_ambiguity_of_the_protocols_is_decided() -> None:
    points = re.findall(r"^\| ([0-9, ]+) \|", DEVIATIONS.read_text(encoding="utf-8"), re.MULTILINE)
    assert {int(number) for cell in points for number in cell.split(",")} == set(range(1, 36))


# In a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """The system's Chromium, without a window."""
    playwright = pytest.importorskip("playwright.sync_api")
    paths = (Path(place) for place in ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"))
    chromium = next((path for path in paths if path.exists()), None)
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_samples(tmp_path, MASKS)
    for seed in range(3):
        for reg in ("l2", "l2_sp"):
            write_run(tmp_path, "dstl_cub200", reg, seed, 0.5 + seed / 10)
            write_run(tmp_path, "dstl_food101", reg, seed, 0.3 + seed / 10)
    page_of(tmp_path)
    return tmp_path / "mini" / "report.html"


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser(browser: object, file: Path, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[attr-defined]
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    assert said == [] and [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    loaded = page.evaluate("[...document.images].map(i => i.complete && i.naturalWidth > 0)")
    assert len(loaded) > 5 and all(loaded)
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != back
    page.close()


def test_sorting_in_a_browser(browser: object, file: Path) -> None:
    page = browser.new_page()  # type: ignore[attr-defined]
    page.goto(file.as_uri())
    column = "[...document.querySelectorAll('table.rows tbody')].map(b => b.rows[0].cells[7].textContent)"
    before = page.evaluate(column)
    head = page.locator("table.rows thead button", has_text="mini L2").first
    head.click()
    rising = page.evaluate(column)
    assert rising[:3] == ["40.00 ± 10.00 (3)", "50.00 (1)", "60.00 ± 10.00 (3)"] and rising != before
    assert set(rising[3:]) == {"—"} and sorted(rising) == sorted(before)
    head.click()
    assert page.evaluate(column)[-3:] == rising[:3][::-1]
    assert page.evaluate("document.querySelectorAll('table.rows tbody tr.more').length") == 12
    page.close()


def test_on_paper_everything_is_open(browser: object, file: Path) -> None:
    page = browser.new_page()  # type: ignore[attr-defined]
    page.goto(file.as_uri())
    assert len(page.pdf(prefer_css_page_size=True)) > 10_000
    assert page.evaluate("[...document.querySelectorAll('.notes, #deviations details')].every(d => d.open)")
    page.close()
