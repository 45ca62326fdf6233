"""Links of the documents, and of comments to them: files exist, and so do the headings that a `#anchor` names."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
COMMENTED = [
    path
    for folder in ("src", "configs", "tests", "experiments", "scripts")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".yaml"} and path != Path(__file__)
]

FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(?P<text>.*?)(?:[ \t]+#+)?[ \t]*")
CODE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)")
EXPLICIT = re.compile(r"<a\s[^>]*?(?:id|name)=[\"'](?P<id>[^\"']+)[\"']")
TARGET = r"<(?P<{0}a>[^>]*)>|(?P<{0}b>[^\s()]*(?:\([^\s()]*\)[^\s()]*)*)"
INLINE = re.compile(r"\]\(\s*(?:" + TARGET.format("i") + r")(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)")
REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s*(?:" + TARGET.format("r") + r")")
HTML = re.compile(r"<(?:a|img)\s[^>]*?(?:href|src)=[\"'](?P<h>[^\"']+)[\"']")
MENTION = re.compile(r"\bdocs/[\w./-]+\.md(?:#[\w-]+)?")
EXTERNAL = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


def slug(heading: str) -> str:
    """GitHub's anchor of a heading's Markdown: lower case, no punctuation but `-` and `_`, spaces to hyphens."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip())  # a link's or image's own text
    shown, end = "", 0
    for code in CODE.finditer(text):
        shown += without_markup(text[end : code.start()]) + code[2]
        end = code.end()
    shown += without_markup(text[end:])
    return re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")


def without_markup(text: str) -> str:
    """Text without HTML tags and emphasis by underscores; other underscores stay."""
    return re.sub(r"(?<!\w)_+(\S(?:.*?\S)?)_+(?!\w)", r"\1", re.sub(r"<[^>]+>", "", text))


def prose(text: str) -> Iterator[str]:
    """Lines of Markdown outside fenced code."""
    fence = ""
    for line in text.splitlines():
        mark = FENCE.match(line)
        if not fence and mark:
            fence = mark[1]
        elif fence:
            closes = mark and mark[1].startswith(fence) and not line.strip().strip(fence[0])
            fence = "" if closes else fence
        else:
            yield line


def anchors_of(text: str) -> set[str]:
    """Anchors of a page: of its headings, numbered where they repeat, and those given as `<a id="...">`."""
    found: set[str] = set()
    repeats: Counter[str] = Counter()
    for line in prose(text):
        found |= {match["id"] for match in EXPLICIT.finditer(CODE.sub("", line))}
        if heading := HEADING.fullmatch(line):
            base = slug(heading["text"])
            anchor = base
            while anchor in repeats:
                repeats[base] += 1
                anchor = f"{base}-{repeats[base]}"
            repeats[anchor] = 0
            found.add(anchor)
    return found


def links_of(text: str) -> Iterator[str]:
    """Targets of a page's links and images; code has none."""
    for line in prose(text):
        shown = CODE.sub("", line)
        for match in (*INLINE.finditer(shown), *REFERENCE.finditer(shown), *HTML.finditer(shown)):
            yield next((target for target in match.groupdict().values() if target), "")


@cache
def anchors_in(path: Path) -> frozenset[str]:
    """Anchors of a Markdown file."""
    return frozenset(anchors_of(path.read_text(encoding="utf-8")))


def fault(target: str, page: Path, root: Path = ROOT) -> str | None:
    """Why a link on `page` leads nowhere; None if it leads somewhere or out of the repository."""
    if EXTERNAL.match(target):
        return None
    name, _, anchor = unquote(target).partition("#")
    path = (page.parent / name).resolve() if name else page
    if not target or not path.is_relative_to(root.resolve()) or not path.exists():
        return f"{target or 'an empty link'}: no such file in the repository"
    if anchor and path.suffix == ".md" and anchor not in anchors_in(path):
        return f"{target}: no such heading"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    faults = [fault(target, page) for target in links_of(page.read_text(encoding="utf-8"))]
    assert list(filter(None, faults)) == []


def test_comments_cite_headings_that_exist() -> None:
    cited = {(path, link) for path in COMMENTED for link in MENTION.findall(path.read_text(encoding="utf-8"))}
    faults = [(str(path.relative_to(ROOT)), fault(link, ROOT / "README.md")) for path, link in sorted(cited)]
    assert [(path, why) for path, why in faults if why] == []


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Losses", "losses"),
        ("Use the penalty in your code", "use-the-penalty-in-your-code"),
        ("The text's inequality", "the-texts-inequality"),
        ("What differs from the paper, and why", "what-differs-from-the-paper-and-why"),
        ("Real images, small backbone (`scale=pocket`)", "real-images-small-backbone-scalepocket"),
        ("The recipe (`+approach/dstl/preset=icml2018`)", "the-recipe-approachdstlpreseticml2018"),
        ("L2-SP: fine-tuning that remembers", "l2-sp-fine-tuning-that-remembers"),
        ("Scene Flow & DAVIS", "scene-flow--davis"),
        ("decay_scope and `w_S`", "decay_scope-and-w_s"),
        ("_Emphasis_ and **strong**", "emphasis-and-strong"),
        ("`__init__` of `Foo<T>`<br>", "__init__-of-foot"),
        ("A [link](docs/x.md#y) here", "a-link-here"),
        ("SegFlow\\*", "segflow"),
        ("[0.1.0] - 2026-11-25", "010---2026-11-25"),
        ("Größe in 5 %", "größe-in-5-"),
    ],
)
def test_slug_is_github_s(heading: str, anchor: str) -> None:
    assert slug(heading) == anchor


def test_anchors_are_numbered_where_headings_repeat_and_code_has_none() -> None:
    page = '# Same\n## Same\n### Same ###\n## Same 1\n```sh\n# not a heading\n```\n| <a id="point-3"></a>3 |\n#none\n'
    assert anchors_of(page) == {"same", "same-1", "same-2", "same-1-1", "point-3"}


def test_links_and_images_are_found_outside_code() -> None:
    page = (
        "[a](x.md) ![b](p/q.png 'title') [![c](i.png)](z.md) `[no](no.md)`\n[r]: ref.md#h\n<img src=\"h.svg\">\n"
        "~~~\n[no](no.md)\n```\n[no](no.md)\n~~~\n[sp](<with space.md>) [paren](f_(1).md)\n"
    )
    wanted = {"x.md", "p/q.png", "i.png", "z.md", "ref.md#h", "h.svg", "with space.md", "f_(1).md"}
    assert set(links_of(page)) == wanted


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Here\n", encoding="utf-8")
    sound = ["#here", "page.md", "page.md#here", "https://example.org/x#y", "mailto:a@example.org", "."]
    assert [fault(target, page, tmp_path) for target in sound] == [None] * len(sound)
    for target in ("#gone", "gone.md", "page.md#gone", "../outside.md", ""):
        assert fault(target, page, tmp_path), target
