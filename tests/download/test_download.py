"""Downloads from a server on this machine that is slow, wrong, moved, forgetful or not there."""

import hashlib
import json
import logging
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from web import HASTY, Page, Web

from l2sp_suite.download.download import Unreachable, download
from l2sp_suite.download.files import format_size
from l2sp_suite.utils.errors import UserError

CONTENT = bytes(range(256)) * 40
SILENT = "http://127.0.0.1:1"  # nobody listens there


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def part(folder: Path, content: bytes, url: str, validator: str | None = None) -> None:
    (folder / "a.bin.part").write_bytes(content)
    (folder / "a.bin.part.json").write_text(json.dumps({"url": url} | ({"validator": validator} if validator else {})))


def test_a_file_comes_whole_and_alone(site: Web, tmp_path: Path) -> None:
    for algorithm in ("md5", "sha1", "sha256"):
        folder = tmp_path / algorithm
        folder.mkdir()
        found = download(site.archive("a.bin", CONTENT, checksum=algorithm), folder, HASTY)
        assert found.read_bytes() == CONTENT and names(folder) == {"a.bin"}


def test_what_is_there_is_not_fetched(site: Web, tmp_path: Path) -> None:
    archive = site.archive("a.bin", CONTENT)
    (tmp_path / "a.bin").write_bytes(CONTENT)
    assert download(archive, tmp_path, HASTY).read_bytes() == CONTENT
    (tmp_path / "a.bin").write_bytes(CONTENT[::-1])
    with pytest.raises(UserError, match=r"a\.bin: has md5 \w+, expected \w+: delete it"):
        download(archive, tmp_path, HASTY)
    (tmp_path / "a.bin").write_bytes(b"short")
    with pytest.raises(UserError, match=r"a\.bin: has 5 bytes, expected 10,240: delete it"):
        download(archive, tmp_path, HASTY)
    assert site.asked == []


def test_from_an_encrypted_connection_to_a_bare_one_only_with_a_checksum(
    site: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = requests.get

    def redirected(url: str, **options: object) -> requests.Response:
        answer = real(url.replace("https:", "http:"), **options)  # type: ignore[arg-type]
        answer.history = [SimpleNamespace(url=url)]  # type: ignore[list-item]
        return answer

    monkeypatch.setattr(requests, "get", redirected)
    archive = site.archive("a.bin", CONTENT)
    secret = replace(archive, mirrors=tuple(url.replace("http:", "https:") for url in archive.mirrors))
    with pytest.raises(UserError, match=r"leads to http://.*/a\.bin, unencrypted, and has no published checksum"):
        download(replace(secret, checksum=None), tmp_path, HASTY)
    assert names(tmp_path) == set()
    assert download(secret, tmp_path, HASTY).read_bytes() == CONTENT


def test_wrong_checksums_everywhere_name_file_and_sums_and_leave_nothing(site: Web, tmp_path: Path) -> None:
    archive = site.archive("a.bin", CONTENT)
    site.pages["/a.bin"].content = CONTENT[::-1]
    with pytest.raises(UserError) as caught:
        download(archive, tmp_path, HASTY)
    found = hashlib.md5(CONTENT[::-1]).hexdigest()
    assert f"has md5 {found}, expected {archive.checksum[4:]}; removed" in str(caught.value)
    assert str(tmp_path / "a.bin") in str(caught.value) and "by hand" in str(caught.value)
    assert "\n" not in str(caught.value) and names(tmp_path) == set()


def test_a_file_of_another_size_is_not_even_begun(site: Web, tmp_path: Path) -> None:
    archive = site.archive("a.bin", CONTENT)
    site.pages["/a.bin"].content = b"<html>please log in</html>"
    with pytest.raises(UserError, match="offers 26 bytes, expected 10,240"):
        download(archive, tmp_path, HASTY)
    assert names(tmp_path) == set()


@pytest.mark.parametrize("checksum", ["md5", None])
def test_a_file_of_untold_length_is_whole_when_its_last_chunk_has_come(
    site: Web, tmp_path: Path, checksum: str | None
) -> None:
    archive = site.archive("a.bin", CONTENT, checksum=checksum, chunked=True, cuts=[3000])
    assert download(archive, tmp_path, HASTY).read_bytes() == CONTENT
    assert len(site.asked) == 2 and names(tmp_path) == {"a.bin"}


@pytest.mark.parametrize(
    ("page", "requests"),
    [
        ({"cuts": [1000, 3000, 5000]}, [None, "bytes=1000-", "bytes=3000-", "bytes=5000-"]),  # taken up where lost
        ({"cuts": [1000], "ranges": False}, [None, "bytes=1000-"]),  # the server begins anew
        ({"cuts": [4000], "checksum": None}, [None, "bytes=4000-"]),
        ({"cuts": [4000], "checksum": None, "tag": None}, [None, None]),  # nothing tells whether bytes fit
        ({"cuts": [4000], "checksum": None, "tag": 'W/"weak"'}, [None, None]),
    ],
)
def test_a_lost_connection(page: dict[str, Any], requests: list[str | None], site: Web, tmp_path: Path) -> None:
    archive = site.archive("a.bin", CONTENT, **page)
    assert download(archive, tmp_path, HASTY).read_bytes() == CONTENT
    assert site.asked == [("/a.bin", start) for start in requests] and names(tmp_path) == {"a.bin"}


def test_a_server_that_always_breaks_off_is_left_for_the_next_which_goes_on(site: Web, tmp_path: Path) -> None:
    archive = site.archive("a.bin", CONTENT, "/weak", "/good")
    site.pages["/weak"].cuts = [1000] * 9
    assert download(archive, tmp_path, HASTY).read_bytes() == CONTENT
    asked = [("/weak", None), *[("/weak", "bytes=1000-")] * 3, ("/good", "bytes=1000-")]
    assert site.asked == asked


@pytest.mark.parametrize("checksum", ["md5", None])
def test_what_an_interrupted_call_left_is_gone_on_with(site: Web, tmp_path: Path, checksum: str | None) -> None:
    archive = site.archive("a.bin", CONTENT, checksum=checksum, cuts=[4000] * 4)
    with pytest.raises(UserError, match="could not be fetched"):
        download(archive, tmp_path, HASTY)
    assert names(tmp_path) == {"a.bin.part", "a.bin.part.json"}
    site.asked.clear()
    assert download(archive, tmp_path, HASTY).read_bytes() == CONTENT
    assert site.asked == [("/a.bin", "bytes=4000-")] and names(tmp_path) == {"a.bin"}


HERE = "{site}/a.bin"


@pytest.mark.parametrize(
    ("left", "origin", "validator", "checksum", "requests"),
    [
        (b"older" * 10, HERE, '"zero"', None, ["bytes=50-"]),  # If-Range: so the answer is the whole changed file
        (b"other", "http://elsewhere/a.bin", None, None, [None]),  # dropped where no checksum would tell
        (b"other", "http://elsewhere/a.bin", '"one"', None, [None]),  # even if its version is called the same
        (CONTENT[:99], "http://elsewhere/a.bin", None, "md5", ["bytes=99-"]),  # another mirror's
        (b"x" * 100, HERE, '"one"', "md5", ["bytes=100-", None]),  # spoilt: costs one more download
        (CONTENT, HERE, '"one"', "md5", [f"bytes={len(CONTENT)}-"]),  # nothing to add
        (CONTENT + b"!", HERE, '"one"', "md5", [f"bytes={len(CONTENT) + 1}-", None]),
    ],
)
def test_what_an_earlier_call_left(
    left: bytes, origin: str, validator: str | None, checksum: str | None, requests: list[str | None],
    site: Web, tmp_path: Path,
) -> None:  # fmt: skip
    archive = site.archive("a.bin", CONTENT, checksum=checksum)
    part(tmp_path, left, origin.format(site=site.url), validator)
    assert download(archive, tmp_path, HASTY).read_bytes() == CONTENT
    assert site.asked == [("/a.bin", start) for start in requests] and names(tmp_path) == {"a.bin"}


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_damaged_note_is_no_note(text: str, site: Web, tmp_path: Path) -> None:
    archive = site.archive("a.bin", CONTENT)
    part(tmp_path, CONTENT[:100], archive.mirrors[0])
    (tmp_path / "a.bin.part.json").write_text(text)
    assert download(archive, tmp_path, HASTY).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("page", "asked"),
    [
        (Page(status=302, location="/good"), ["/first", "/good"]),
        (Page(b"", status=404), ["/first", "/good"]),  # at once
        (Page(b"", status=503), ["/first", "/first", "/first", "/good"]),  # is asked again
        (Page(CONTENT[::-1]), ["/first", "/good"]),  # a wrong checksum: removed
        (Page(b"<html>please log in</html>"), ["/first", "/good"]),  # another size: not even begun
    ],
)
def test_what_one_mirror_does_not_give_the_next_does(page: Page, asked: list[str], site: Web, tmp_path: Path) -> None:
    archive = site.archive("a.bin", CONTENT, "/first", "/good")
    site.pages["/first"] = page
    assert download(archive, tmp_path, HASTY).read_bytes() == CONTENT
    assert [path for path, _ in site.asked] == asked and names(tmp_path) == {"a.bin"}


def test_a_404_everywhere_is_one_line_with_each_reason(site: Web, tmp_path: Path) -> None:
    archive = replace(site.archive("a.bin", CONTENT), mirrors=(f"{site.url}/x", f"{site.url}/y"))
    with pytest.raises(UserError, match=r"/x: HTTP 404 Not Found; .*/y: HTTP 404 Not Found") as caught:
        download(archive, tmp_path, HASTY)
    assert not isinstance(caught.value, Unreachable) and names(tmp_path) == set()


def test_no_server_is_one_line_and_loses_nothing(site: Web, tmp_path: Path) -> None:
    archive = replace(site.archive("a.bin", CONTENT), mirrors=(f"{SILENT}/a.bin",))
    part(tmp_path, CONTENT[:100], f"{SILENT}/a.bin")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(Unreachable, match=r"refused.*network") as caught:
        download(archive, tmp_path, HASTY)
    assert caught.value.hosts == ("127.0.0.1:1",)
    assert "\n" not in str(caught.value) and "object at" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_no_checksum_is_said_with_the_sum_of_what_came(
    site: Web, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        download(site.archive("a.bin", CONTENT, checksum=None), tmp_path, HASTY)
    assert f"no published checksum: sha256 of what came is {hashlib.sha256(CONTENT).hexdigest()}" in caplog.text


def test_a_disk_without_room_for_archive_and_content_is_said_first(
    site: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 2 * len(CONTENT) - 1))
    with pytest.raises(UserError, match=r"a\.bin needs 20\.48 kB or more, 20\.48 kB are free"):
        download(site.archive("a.bin", CONTENT), tmp_path, HASTY)
    assert names(tmp_path) == set()


def test_sizes_format_size() -> None:
    sizes = {0: "0 bytes", 999: "999 bytes", 1000: "1 kB", 1_150_585_339: "1.151 GB", 10**15: "1000 TB"}
    assert {size: format_size(size) for size in sizes} == sizes
