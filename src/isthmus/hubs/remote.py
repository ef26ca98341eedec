"""Talking to the Hugging Face hub: listings and single files, by its own client library, with patience that ends.

The library waits as long as a server asks it to, keeps no partial file, and asks twice for each file. So it makes the
requests here (its session, addresses, headers, errors), and this module decides when to ask again: in one place,
after `Retry-After` or longer and longer with jitter, until the patience of ISTHMUS_HUB_PATIENCE is used up.
"""

import contextlib
import contextvars
import email.utils
import itertools
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from huggingface_hub import HfApi, constants, get_session, hf_hub_url, hf_raise_for_status, set_client_factory
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers, parse_ratelimit_headers  # type: ignore[attr-defined]

from isthmus import settings
from isthmus.errors import HubError
from isthmus.hubs.checked import Entry, Received, stranger
from isthmus.hubs.pinned import Repository
from isthmus.log import say

T = TypeVar("T")
BUSY = frozenset((408, 425, 429, 500, 502, 503, 504))
SLOWEST = 20_000
"""Bytes per second below which a transfer counts as stalled; what a file may take beyond the patience follows."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
_DEADLINE: contextvars.ContextVar[float] = contextvars.ContextVar("deadline")


class Unreachable(HubError):
    """The hub cannot be talked to: what failed for one dataset fails for the next."""


class Absent(HubError):
    """The hub has no such repository, revision or file."""


class Passing(Exception):
    """Something that may be over soon; `after` is how many seconds the server asks to wait."""

    def __init__(self, what: str, after: float | None = None) -> None:
        super().__init__(what)
        self.after = after


class _Client(httpx2.Client):
    """The library's session: every request has a time limit, and what may be over soon is said in one way."""

    def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        stall_s = float(constants.HF_HUB_DOWNLOAD_TIMEOUT)
        request.extensions["timeout"] = httpx2.Timeout(stall_s).as_dict()
        with _passing():
            response = super().send(request, stream=True, **options)
            try:
                if response.status_code in BUSY:
                    response.close()
                    raise Passing(f"it answers {response.status_code}", _asked_to_wait(response))
                if not stream:
                    _read(response)
            except BaseException:
                response.close()
                raise
        return response


def _read(response: httpx2.Response) -> None:
    """Read an answer that is no file. Drops that come one by one would otherwise take for ever."""
    assert isinstance(response.stream, httpx2.SyncByteStream)
    response.stream = _Bounded(response.stream)
    response.read()


class _Bounded(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            _refuse_lateness()
            yield chunk

    def close(self) -> None:
        self._stream.close()


def _refuse_lateness() -> None:
    if time.monotonic() > _DEADLINE.get(float("inf")):
        raise Passing("its answers come too slowly")


@contextlib.contextmanager
def _passing() -> Iterator[None]:
    try:
        yield
    except httpx2.TimeoutException as error:
        raise Passing(f"nothing came for {constants.HF_HUB_DOWNLOAD_TIMEOUT} s") from error
    except httpx2.ProxyError as error:
        raise Passing(f"the proxy refuses ({error})") from error
    except (httpx2.TransportError, httpx2.DecodingError) as error:
        raise Passing(str(error) or type(error).__name__) from error


def _asked_to_wait(response: httpx2.Response) -> float | None:
    """Seconds that a server asks to wait: as a number, as a date, or by the hub's own header."""
    limit = parse_ratelimit_headers(response.headers)
    if response.status_code == 429 and limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    value = response.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


class Remote:
    """The hub at HF_ENDPOINT. Every method raises HubError with what, where and how to mend it."""

    def __init__(self) -> None:
        self.endpoint = constants.ENDPOINT
        self._patience_s = settings.hub_patience_s()
        self._api = HfApi()
        set_client_factory(lambda: _Client(follow_redirects=True))

    def revision(self, repository: Repository, asked: str | None) -> str:
        """The commit that a branch, tag or (short) commit stands for; None asks for the newest."""
        what = f"{repository} at {asked or 'its newest revision'}"
        info = self._ask(
            what, lambda: self._api.repo_info(repository.id, repo_type=repository.kind, revision=asked)
        )
        if not info.sha:
            raise HubError(f"{self.endpoint} does not say which commit {what} is.")
        return str(info.sha)

    def tree(self, repository: Repository, revision: str) -> dict[str, Entry]:
        """Every file of a revision by its path."""

        def ask() -> dict[str, Entry]:
            found = self._api.list_repo_tree(
                repository.id, recursive=True, revision=revision, repo_type=repository.kind
            )
            files = (item for item in found if isinstance(item, RepoFile))
            return {
                file.path: Entry(file.size, file.blob_id, file.lfs.sha256 if file.lfs is not None else None)
                for file in files
            }

        return self._ask(f"the files of {repository} at {revision}", ask)

    def download(self, repository: Repository, revision: str, path: str, entry: Entry, part: Path) -> str:
        """Bring a file to `part`, going on where an earlier attempt ended; give its SHA-256.

        Nothing but a file whose size and hash are right is left there by a return; what is wrong is removed.
        """
        what = f"{path} of {repository} at {revision}"
        url = hf_hub_url(repository.id, path, repo_type=repository.kind, revision=revision)
        patience_s = self._patience_s + entry.size / SLOWEST
        for final in (False, True):
            self._ask(what, lambda: self._receive(url, revision, Received(part, entry, what)), patience_s)
            sha256 = Received(part, entry, what).verified()
            if sha256 is not None:
                return sha256
            part.unlink()
            if not final:
                say(f"{what} has the right length and wrong bytes: once more from its beginning.")
        raise HubError(
            f"{what} came from {self.endpoint} with the right length ({entry.size:,} bytes) and wrong bytes, twice: its "
            "hash is not the one that the hub's listing has. Nothing was kept. Look for a proxy or a mirror of the hub "
            "in between (HF_ENDPOINT), or try again later."
        )

    def _receive(self, url: str, revision: str, received: Received) -> None:
        if received.size == received.entry.size:
            return
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if received.size:
            headers["Range"] = f"bytes={received.size}-"
        with get_session().stream("GET", url, headers=headers) as response, _passing():
            if response.status_code == 416:
                received.restart()
                raise Passing("it does not have the rest of the file")
            if response.status_code >= 400:
                _read(response)
            hf_raise_for_status(response)
            self._refuse_strangers(response, revision, received.what)
            begins = response.headers.get("Content-Range", "").startswith(f"bytes {received.size}-")
            if received.size and not (response.status_code == 206 and begins):
                received.restart()  # the server sends the whole file, whatever part of it was asked for
            with received.open() as file:
                for chunk in response.iter_bytes():
                    _refuse_lateness()
                    received.write(file, chunk)
        if received.size != received.entry.size:
            raise Passing(f"the answer ended after {received.size:,} of {received.entry.size:,} bytes")

    def _refuse_strangers(self, response: httpx2.Response, revision: str, what: str) -> None:
        answers = (*response.history, response)
        commits = [answer.headers.get(constants.HUGGINGFACE_HEADER_X_REPO_COMMIT) for answer in answers]
        found = next(filter(None, commits), revision)
        if found != revision:
            raise HubError(
                f"{self.endpoint} was asked for {what} and answered with commit {found}. Nothing of it was kept: "
                "files of two revisions do not belong together. Look for a proxy that keeps old answers, or for a "
                "server that does not know revisions."
            )
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise HubError(stranger("web page", what))

    def _ask(self, what: str, attempt: Callable[[], T], patience_s: float | None = None) -> T:
        """Try, and try again while what hinders may pass and there is patience left."""
        patience_s = self._patience_s if patience_s is None else patience_s
        deadline = time.monotonic() + patience_s
        token = _DEADLINE.set(deadline)
        try:
            for number in itertools.count():
                try:
                    return attempt()
                except Passing as hindrance:
                    wait_s = _wait_s(number, hindrance, self._patience_s)
                    if time.monotonic() + wait_s > deadline:
                        raise Unreachable(self._no_patience(what, hindrance, patience_s)) from hindrance
                    say(f"{what}: {hindrance}. Trying again in {wait_s:.1f} s.")
                    time.sleep(wait_s)
                except HfHubHTTPError as error:
                    raise self._refusal(what, error) from error
                except HFValidationError as error:
                    raise HubError(f"{what}: that is no name on the hub ({error}). Correct it.") from error
                except (ValueError, KeyError, TypeError) as error:
                    raise Unreachable(
                        f"What {self.endpoint} answers about {what} is not what the hub says ({error!r}): a web page "
                        "perhaps, of a login or a proxy. Open that address in a browser, or set HF_ENDPOINT right."
                    ) from error
            raise AssertionError("unreachable")
        finally:
            _DEADLINE.reset(token)

    def _no_patience(self, what: str, hindrance: Passing, patience_s: float) -> str:
        asked = "" if hindrance.after is None else f" and asks to wait {hindrance.after:.0f} s"
        return (
            f"{what} could not be had from {self.endpoint} within {patience_s:.0f} s: {hindrance}{asked}. What came so "
            "far is kept: run again and it goes on from there. Check the network (a compute node may have none: run "
            "`isthmus fetch STUDY` on a login node), or have more patience: ISTHMUS_HUB_PATIENCE, in seconds."
        )

    def _refusal(self, what: str, error: HfHubHTTPError) -> HubError:
        """The hub's no, in words."""
        status, code = error.response.status_code, error.response.headers.get("X-Error-Code", "")
        if code == "GatedRepo":
            return HubError(
                f"{self.endpoint} does not give away {what} ({status}): its owner wants to be asked first. Open its page "
                "in a browser, accept the terms, and set HF_TOKEN to a token of that account."
            )
        if status == 403:
            return HubError(
                f"{self.endpoint} forbids {what} (403). Set HF_TOKEN to a token that may read it; if it is public, a "
                "firewall or a proxy in between may be what refuses."
            )
        if status == 401:
            return HubError(
                f"{self.endpoint} does not show {what} (401): there is no such repository, or it is private, or the "
                "token in HF_TOKEN is not valid. Check the id; if it is right, set HF_TOKEN to a token that may read it."
            )
        if status == 404 and code == "RevisionNotFound":
            return Absent(
                f"{self.endpoint} has no such revision: {what}. It was rewritten, or the revision is misspelt. Name "
                "another one, or take the newest: isthmus pin STUDY --update."
            )
        if status in (404, 410):
            return Absent(
                f"{self.endpoint} does not have {what} ({status}). Check the id: a repository can be renamed or removed. If "
                "the task has other sources, `isthmus fetch STUDY` finds the one to read; else name one in its YAML."
            )
        return HubError(f"{self.endpoint} refuses {what} with the status {status}.")


def _wait_s(number: int, hindrance: Passing, patience_s: float) -> float:
    """Seconds before the next attempt. Jitter keeps jobs apart that were turned away together."""
    first_s = min(FIRST_WAIT, patience_s / 20)
    if hindrance.after is not None:
        return hindrance.after + random.uniform(0, first_s)
    return min(LONGEST_WAIT, first_s * 2.0**number) * random.uniform(0.5, 1.5)
