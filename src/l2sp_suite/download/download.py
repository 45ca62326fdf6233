"""One file from the network: resumed where it stopped, tried at each mirror, and whole when it has its name."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import requests
import urllib3
from tqdm import tqdm

from l2sp_suite.download.disk import check_room, in_words
from l2sp_suite.download.registry import Archive
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.files import write_atomically

__all__ = ["Patience", "Unreachable", "check_file", "download"]

_log = logging.getLogger(__name__)
_CHUNK = 1 << 20


class Unreachable(UserError):
    """Not one of the mirrors answered; `hosts` are theirs."""

    def __init__(self, message: str, hosts: tuple[str, ...]) -> None:
        super().__init__(message)
        self.hosts = hosts


@dataclass(frozen=True)
class Patience:
    """`timeout`: seconds to wait for a byte, for a host at all 10 at most; `tries`: attempts in a row, >= 1, that add
    nothing; `pause`: seconds."""

    timeout: float
    tries: int
    pause: float


class _Failed(Exception):
    """An attempt failed; `answered`: the host was there; `again`: the same may work a moment later."""

    def __init__(self, reason: str, answered: bool, again: bool) -> None:
        super().__init__(" ".join(reason.split()))
        self.answered = answered
        self.again = again


@dataclass(frozen=True)
class _Part:
    """A download that is not whole yet, and beside it where it came from: {"url": .., "validator": ..}."""

    path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    def origin(self) -> dict[str, str]:
        """The note, or nothing where it is lost: then its bytes are of unknown origin."""
        try:
            content = json.loads(self.note.read_bytes())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def download(archive: Archive, folder: Path, patience: Patience) -> Path:
    """The archive's file in `folder`, which exists: fetched unless it is there already; size and checksum are checked.

    An interrupted download stays as `<file>.part` and is gone on with by the next call.

    Raises:
        Unreachable: no mirror answered.
        UserError: every mirror failed, and why; a file that was there is not the published one; no room for it.
    """
    target = folder / archive.file
    if target.exists():
        wrong = check_file(archive, target)
        if wrong:
            raise UserError(f"{target}: {wrong}: delete it, and the same command fetches it again")
        return target
    part = _Part(folder / f"{archive.file}.part")
    failures: dict[str, _Failed] = {}
    for url in archive.mirrors:
        try:
            _fetch(archive, url, part, patience)
        except _Failed as failed:
            failures[url] = failed
            continue
        part.path.replace(target)
        part.note.unlink(missing_ok=True)
        return target
    raise _all_failed(target, failures)


def _all_failed(target: Path, failures: dict[str, _Failed]) -> UserError:
    reasons = "; ".join(f"{url}: {failed}" for url, failed in failures.items())
    if any(failed.answered for failed in failures.values()):
        return UserError(f"{target}: could not be fetched ({reasons}): try later, or put the file there by hand")
    hosts = tuple(dict.fromkeys(urlsplit(url).netloc for url in failures))
    return Unreachable(f"{target}: could not be fetched ({reasons}): is there a network?", hosts)


def check_file(archive: Archive, path: Path) -> str | None:
    """How a file differs from the published one by size or checksum (with the expected and the found one), or None.

    Where no checksum is published, logs the file's own.
    """
    size = path.stat().st_size
    if archive.size is not None and size != archive.size:
        return f"has {size:,} bytes, expected {archive.size:,}"
    if archive.checksum is None:
        _log.info("%s: no published checksum: sha256 of what came is %s", archive.file, pooch.file_hash(str(path)))
        return None
    algorithm, expected = archive.checksum.split(":")
    found = pooch.file_hash(str(path), alg=algorithm)
    return None if found == expected else f"has {algorithm} {found}, expected {expected}"


def _fetch(archive: Archive, url: str, part: _Part, patience: Patience) -> None:
    """Fills `part` from one mirror, attempt after attempt, until it is whole and right; raises _Failed."""
    if archive.checksum is None and part.origin().get("url") != url:
        part.remove()  # bytes of two origins, and nothing to tell whether they fit
    resumed = best = part.size
    left, reached = patience.tries, False
    while True:
        try:
            _attempt(archive, url, part, patience.timeout)
            break
        except _Failed as failed:
            left = patience.tries if part.size > best else left - 1
            best = max(best, part.size)
            reached = reached or failed.answered
            if not (failed.again and reached) or left < 1:  # who never answered hardly will in a moment
                raise
        time.sleep(patience.pause)
    wrong = check_file(archive, part.path)
    if wrong:
        part.remove()
        if not resumed:
            raise _Failed(f"{wrong}; removed", True, False)
        _fetch(archive, url, part, patience)  # what an earlier call left may be at fault, not this mirror


def _attempt(archive: Archive, url: str, part: _Part, timeout: float) -> None:
    """One request for what `part` lacks; raises _Failed unless it is whole after it."""
    validator = part.origin().get("validator") if part.origin().get("url") == url else None
    if archive.checksum is None and validator is None:
        part.remove()  # nothing would tell whether what comes is of the same version
    have = part.size
    # identity: a .tgz must not come unpacked
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-"} | ({"If-Range": validator} if validator else {})
    try:
        with requests.get(url, headers=headers, stream=True, timeout=(min(10, timeout), timeout)) as answer:
            _check_secrecy(archive, [url, *(hop.url for hop in answer.history), answer.url])
            _receive(archive, url, part, answer)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _Failed(_cause(error), False, True) from None
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _Failed(_cause(error), True, True) from None


def _check_secrecy(archive: Archive, hops: Sequence[str]) -> None:
    """Without a checksum an encrypted connection is all that tells whose bytes come."""
    secret = [urlsplit(hop).scheme == "https" for hop in hops]
    if archive.checksum is None and secret[0] and not all(secret):
        bare = hops[secret.index(False)]
        raise _Failed(f"leads to {bare}, unencrypted, and has no published checksum; refused", True, False)


def _cause(error: BaseException) -> str:
    """The innermost reason: the outer ones of these libraries repeat it with the addresses of objects."""
    text = str(getattr(error.args[0], "reason", error) if error.args else error)
    return re.sub(r"<[^>]*>:? ?|HTTPS?Connection\([^)]*\):? ?", "", text) or type(error).__name__


def _receive(archive: Archive, url: str, part: _Part, answer: requests.Response) -> None:
    start, total = _span(answer, part)
    if total is not None and archive.size not in (None, total):
        raise _Failed(f"offers {total:,} bytes, expected {archive.size:,}", True, False)
    if total is None or start < total:
        if total is not None:  # what it unpacks to is hardly less than the archive
            check_room(part.path.parent, 2 * total - start, archive.file)
        if not start:
            part.remove()
            validator = _validator(answer)
            write_atomically(part.note, json.dumps({"url": url} | ({"validator": validator} if validator else {})))
        _log.info("%s: %s from %s", archive.file, _amount(start, total), urlsplit(answer.url).netloc)
        _write(archive.file, answer, part.path, start, total)
    if total is not None and part.size != total:
        raise _Failed(f"ended after {part.size:,} of {total:,} bytes", True, True)


def _amount(start: int, total: int | None) -> str:
    whole = "a file of unknown size" if total is None else in_words(total)
    return f"going on at {in_words(start)} of {whole}" if start else whole


def _validator(answer: requests.Response) -> str | None:
    """What names this version of the file for If-Range, which takes no weak tag."""
    tag = answer.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")


def _span(answer: requests.Response, part: _Part) -> tuple[int, int | None]:
    """Where the body starts in the file and how long that is, both in bytes, None if untold; raises _Failed.

    A part that the server has nothing to add to (416) starts at its own end; one that is no beginning of what the
    server has is removed.
    """
    code, have = answer.status_code, part.size
    if code == 200:
        length = answer.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    told = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+)", answer.headers.get("Content-Range", ""))
    if code in (206, 416):
        # 416 gives no start: the part is whole if it ends where the file does.
        if told and have == int(told[1] or told[2]):
            return have, int(told[2])
        part.remove()
        raise _Failed("cannot go on from what is there; begins anew", True, True)
    raise _Failed(f"HTTP {code} {answer.reason}", True, code >= 500 or code in (408, 429))


def _write(name: str, answer: requests.Response, path: Path, start: int, total: int | None) -> None:
    with (
        path.open("ab") as file,
        # disable=None: only a terminal shows it, with the time left
        tqdm(desc=name, initial=start, total=total, unit="B", unit_scale=True, unit_divisor=1000, disable=None) as bar,
    ):
        for chunk in answer.raw.stream(_CHUNK, decode_content=False):
            file.write(chunk)
            bar.update(len(chunk))
