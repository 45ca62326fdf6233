"""One file from the network: resumed where it stopped, tried at each mirror, and whole when it has its name."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pooch
import requests
import urllib3
from tqdm import tqdm

from l2sp_suite.download.files import check_free_space, format_size
from l2sp_suite.download.registry import Archive
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.files import write_atomically

__all__ = ["RetryPolicy", "Unreachable", "check_file", "download"]

_log = logging.getLogger(__name__)
_CHUNK = 1 << 20
_UNREACHED = (requests.ConnectionError, requests.Timeout)
_BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError)


@dataclass(frozen=True)
class RetryPolicy:
    """How long a mirror is tried."""

    timeout: float  # seconds to wait for a byte; for the connection 10 at most
    tries: int  # attempts in a row, >= 1, that add nothing
    pause: float  # seconds between attempts


class Unreachable(UserError):
    """Not one of the mirrors answered; `hosts` are theirs."""

    def __init__(self, message: str, hosts: tuple[str, ...]) -> None:
        super().__init__(message)
        self.hosts = hosts


class _Refused(Exception):
    """A mirror's answer is of no use; asking again will not help."""


class _Interrupted(Exception):
    """A mirror's answer is of no use now; asking again may help."""


def download(archive: Archive, folder: Path, retry: RetryPolicy) -> Path:
    """Fetch an archive into `folder`, which exists, unless it is there already.

    Size and checksum are checked.
    An interrupted download stays as `<file>.part`, with its origin in `<file>.part.json`; the next call resumes it.

    Raises:
        Unreachable: no mirror answered.
        UserError: every mirror failed, and why; a file that was there is not the published one; no room for it.
    """
    target = folder / archive.file
    if target.exists():
        fault = check_file(archive, target)
        if fault:
            raise UserError(f"{target}: {fault}: delete it, and the same command fetches it again")
        return target
    part = folder / f"{archive.file}.part"
    errors: dict[str, Exception] = {}
    for url in archive.mirrors:
        try:
            _fetch_checked(archive, url, part, retry)
        except (_Refused, _Interrupted, *_BROKEN) as error:
            errors[url] = error
            continue
        part.replace(target)
        _note(part).unlink(missing_ok=True)
        return target
    reasons = "; ".join(f"{url}: {_cause(error)}" for url, error in errors.items())
    if all(isinstance(error, _UNREACHED) for error in errors.values()):
        hosts = tuple(dict.fromkeys(urlsplit(url).netloc for url in errors))
        raise Unreachable(f"{target}: could not be fetched ({reasons}): is there a network?", hosts)
    raise UserError(f"{target}: could not be fetched ({reasons}): try later, or put the file there by hand")


def check_file(archive: Archive, path: Path) -> str | None:
    """How a file differs from the published one by size or checksum, or None.

    Where no checksum is published, logs the file's own.
    """
    size = path.stat().st_size
    if archive.size is not None and size != archive.size:
        return f"has {size:,} bytes, expected {archive.size:,}"
    if archive.checksum is None:
        _log.info("%s: no published checksum: sha256 of what came is %s", archive.file, pooch.file_hash(str(path)))
        return None
    algorithm, expected = archive.checksum.split(":")
    checksum = pooch.file_hash(str(path), alg=algorithm)
    return None if checksum == expected else f"has {algorithm} {checksum}, expected {expected}"


def _fetch_checked(archive: Archive, url: str, part: Path, retry: RetryPolicy) -> None:
    """Complete `part` from one mirror and check it; where an earlier call's bytes may be at fault, twice."""
    for resumed in (_size(part) > 0, False):
        _fetch(archive, url, part, retry)
        fault = check_file(archive, part)
        if fault is None:
            return
        _remove(part)
        if not resumed:
            raise _Refused(f"{fault}; removed")


def _fetch(archive: Archive, url: str, part: Path, retry: RetryPolicy) -> None:
    """Complete `part` from one mirror, request after request; a host that never answered is asked once."""
    left, best, answered = retry.tries, _size(part), False
    while True:
        try:
            return _request(archive, url, part, retry.timeout)
        except (_Interrupted, *_BROKEN) as error:
            left = retry.tries if _size(part) > best else left - 1
            best = max(best, _size(part))
            answered = answered or not isinstance(error, _UNREACHED)
            if not answered or left < 1:
                raise
        time.sleep(retry.pause)


def _request(archive: Archive, url: str, part: Path, timeout: float) -> None:
    """One request for what `part` lacks, which is whole after it."""
    origin = _origin(part)
    validator = origin.get("validator") if origin.get("url") == url else None
    if archive.checksum is None and validator is None:
        _remove(part)  # nothing would tell whether its bytes and those to come are of one file
    have = _size(part)
    headers = {"Accept-Encoding": "identity"}  # a .tgz must not come unpacked
    if have:
        headers |= {"Range": f"bytes={have}-"} | ({"If-Range": validator} if validator else {})
    with requests.get(url, headers=headers, stream=True, timeout=(min(10, timeout), timeout)) as answer:
        _check_encrypted(archive, [url, *(hop.url for hop in answer.history), answer.url])
        start, total = _span(answer, part)
        if total is not None and archive.size not in (None, total):
            raise _Refused(f"offers {total:,} bytes, expected {archive.size:,}")
        if total is not None and start < total:  # what it unpacks to is hardly less than the archive
            check_free_space(part.parent, 2 * total - start, archive.file)
        if not start:
            _remove(part)
            tag = _validator(answer)
            write_atomically(_note(part), json.dumps({"url": url} | ({"validator": tag} if tag else {})))
        if not start or start != total:
            _receive(archive, answer, part, start, total)
    if total is not None and _size(part) != total:
        raise _Interrupted(f"ended after {_size(part):,} of {total:,} bytes")


def _check_encrypted(archive: Archive, hops: Sequence[str]) -> None:
    """Without a checksum an encrypted connection is all that tells whose bytes come."""
    encrypted = [urlsplit(hop).scheme == "https" for hop in hops]
    if archive.checksum is None and encrypted[0] and not all(encrypted):
        bare = hops[encrypted.index(False)]
        raise _Refused(f"leads to {bare}, unencrypted, and has no published checksum; refused")


def _span(answer: requests.Response, part: Path) -> tuple[int, int | None]:
    """Where the answer's body starts in the file and how long the file is, both in bytes; None if it is not said.

    A part that the server has nothing to add to (416) starts at its own end; one that is no beginning of what the
    server has is removed.
    """
    code, have = answer.status_code, _size(part)
    if code == 200:
        length = answer.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    content_range = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+)", answer.headers.get("Content-Range", ""))
    if code in (206, 416):
        # 416 gives no start: the part is whole if it ends where the file does.
        if content_range and have == int(content_range[1] or content_range[2]):
            return have, int(content_range[2])
        _remove(part)
        raise _Interrupted("cannot go on from what is there; begins anew")
    message = f"HTTP {code} {answer.reason}"
    raise _Interrupted(message) if code >= 500 or code in (408, 429) else _Refused(message)


def _receive(archive: Archive, answer: requests.Response, part: Path, start: int, total: int | None) -> None:
    """Append the answer's body to `part`."""
    whole = "a file of unknown size" if total is None else format_size(total)
    resumed = f"going on at {format_size(start)} of " if start else ""
    _log.info("%s: %s%s from %s", archive.file, resumed, whole, urlsplit(answer.url).netloc)
    options: dict[str, Any] = {
        "unit": "B",
        "unit_scale": True,
        "unit_divisor": 1000,
        "disable": None,
    }
    with part.open("ab") as file, tqdm(desc=archive.file, initial=start, total=total, **options) as bar:
        for chunk in answer.raw.stream(_CHUNK, decode_content=False):
            file.write(chunk)
            bar.update(len(chunk))


def _validator(answer: requests.Response) -> str | None:
    """What names this version of the file for If-Range, which takes no weak tag."""
    tag = answer.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")


def _cause(error: BaseException) -> str:
    """The innermost reason in one line: the libraries' outer ones repeat it with the addresses of objects."""
    text = str(getattr(error.args[0], "reason", error) if error.args else error)
    return " ".join(re.sub(r"<[^>]*>:? ?|HTTPS?Connection\([^)]*\):? ?", "", text).split()) or type(error).__name__


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _origin(part: Path) -> dict[str, str]:
    """Where a part came from, {"url": .., "validator": ..}; empty where its note is lost or damaged."""
    try:
        content = json.loads(_note(part).read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _remove(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)
