"""Asking a server, with patience that ends: the Hugging Face hub's library makes the requests, this module decides when to
ask again.

The library waits as long as a server asks it to, keeps no partial file, and asks twice for each file. So its session,
headers and errors are used, and attempts are made here, in one place: after `Retry-After`, or longer and longer with
jitter, until the patience of ISTHMUS_HUB_PATIENCE is used up.
"""

import contextlib
import contextvars
import email.utils
import itertools
import os
import random
import re
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import constants, get_session, hf_raise_for_status, set_client_factory
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

from isthmus import settings
from isthmus.errors import HubError
from isthmus.hubs.checked import Entry, Received, stranger
from isthmus.log import say

T = TypeVar("T")
Check = Callable[[httpx2.Response], None]
BUSY = frozenset((408, 425, 429, 500, 502, 503, 504))
SLOWEST = 20_000
"""Bytes per second below which a transfer counts as stalled; what a file may take beyond the patience follows."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
_DEADLINE: contextvars.ContextVar[float] = contextvars.ContextVar("deadline")


class Unreachable(HubError):
    """The hub cannot be talked to: what failed for one dataset fails for the next."""


class Absent(HubError):
    """The server has no such repository, revision or file."""


class Passing(Exception):
    """Something that may be over soon; `after` is how many seconds the server asks to wait."""

    def __init__(self, what: str, after: float | None = None) -> None:
        super().__init__(what)
        self.after = after


class Untrusted(Exception):
    """A server's certificate is not believed. Asking again does not help."""


@dataclass
class _Grace:
    """What a file may take beyond the patience, in seconds: by the first size that is told of it, and not once more for each
    attempt. None = nobody told a size.
    """

    seconds: float | None

    @classmethod
    def of(cls, size: int | None) -> "_Grace":
        return cls(None if size is None else size / SLOWEST)

    def grant(self, size: int | None) -> None:
        """Lengthen the time of the attempts that are under way, if that was not done yet."""
        if self.seconds is None and size is not None:
            self.seconds = size / SLOWEST
            _DEADLINE.set(_DEADLINE.get(float("inf")) + self.seconds)


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
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
            raise Untrusted(str(error)) from error
        raise Passing(str(error) or type(error).__name__) from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


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


class Server:
    """One server, by the `name` that messages have for it. What it raises is a HubError: what, where, how to mend it."""

    gives_up: type[HubError] = Unreachable
    """What is raised when the patience is used up."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.patience_s = settings.hub_patience_s()
        set_client_factory(lambda: _Client(follow_redirects=True))

    # What its kinds say in their own words ---------------------------------------------------------------------

    def refusal(self, what: str, error: HfHubHTTPError) -> HubError:
        """Its no, in words."""
        raise NotImplementedError

    # Asking ----------------------------------------------------------------------------------------------------

    def bring(
        self,
        url: str,
        part: Path,
        entry: Entry,
        what: str,
        headers: Mapping[str, str],
        check: Check,
        wrong: Callable[[str], HubError],
    ) -> str:
        """Bring a file to `part`, going on where an earlier attempt ended; give its SHA-256. `check` refuses an answer
        that cannot be of the file; `wrong` says that bytes with another hash came, twice.

        Nothing but a file whose size and hash are right is left there by a return; what is wrong is removed.
        """
        received = Received(part, entry, what)
        grace = _Grace.of(entry.size)
        for final in (False, True):
            patience_s = self.patience_s + (grace.seconds or 0)
            self.ask(what, lambda: self._receive(url, received, headers, check, grace), patience_s)
            sha256 = received.verified()
            if sha256 is not None:
                received.forget_origin()
                return sha256
            received.restart()
            if not final:
                say(f"{what} has the right length and wrong bytes: once more from its beginning.")
        raise wrong(received.found)

    def _receive(
        self, url: str, received: Received, headers: Mapping[str, str], check: Check, grace: _Grace
    ) -> None:
        if received.is_complete:
            return
        headers = {**headers, "Accept-Encoding": "identity", **received.resume_headers()}
        with get_session().stream("GET", url, headers=headers) as response, _passing():
            if response.status_code == 416:
                received.restart()
                raise Passing("it does not have the rest of the file")
            if response.status_code >= 400:
                _read(response)
            hf_raise_for_status(response)
            if response.headers.get("Content-Type", "").startswith("text/html"):
                raise HubError(stranger("web page", received.what))
            check(response)
            grace.grant(total_size(response))
            self._place(response, received)
            with received.open() as file:
                for chunk in response.iter_bytes():
                    _refuse_lateness()
                    received.write(file, chunk)
        received.has_ended()
        if not received.is_complete:
            raise Passing(f"the answer ended after {received.size:,} of {received.expected:,} bytes")

    def _place(self, response: httpx2.Response, received: Received) -> None:
        """Find out which bytes of the file an answer begins with, and how many it has in all if nobody said so before."""
        packed = is_packed(response)
        span = re.match(r"bytes (\d+)-\d+/(\d+)$", response.headers.get("Content-Range", ""))
        goes_on = response.status_code == 206 and span is not None and int(span.group(1)) == received.size
        if received.size and packed and response.status_code == 206:
            received.restart()
            raise Passing("it packs what it sends, and a part of that is of no use")
        if received.size and not goes_on:
            received.restart()  # the server sends the whole file, whatever part of it was asked for
        received.learn(None if packed else total_size(response), response.headers)

    def ask(self, what: str, attempt: Callable[[], T], patience_s: float | None = None) -> T:
        """Try, and try again while what hinders may pass and there is patience left."""
        patience_s = self.patience_s if patience_s is None else patience_s
        token = _DEADLINE.set(time.monotonic() + patience_s)
        try:
            for number in itertools.count():
                try:
                    return attempt()
                except Passing as hindrance:
                    wait_s = _wait_s(number, hindrance, self.patience_s)
                    if time.monotonic() + wait_s > _DEADLINE.get():
                        raise self.gives_up(self._no_patience(what, hindrance, patience_s)) from hindrance
                    say(f"{what}: {hindrance}. Trying again in {wait_s:.1f} s.")
                    time.sleep(wait_s)
                except Untrusted as error:
                    raise self.gives_up(self._no_trust(what, error)) from error
                except HfHubHTTPError as error:
                    raise self.refusal(what, error) from error
                except HFValidationError as error:
                    raise HubError(f"{what}: that is no name on the hub ({error}). Correct it.") from error
                except (ValueError, KeyError, TypeError) as error:
                    raise self.gives_up(
                        f"What {self.name} answers about {what} is not what the hub says ({error!r}): a web page "
                        "perhaps, of a login or a proxy. Open that address in a browser, or set HF_ENDPOINT right."
                    ) from error
            raise AssertionError("unreachable")
        finally:
            _DEADLINE.reset(token)

    def _no_patience(self, what: str, hindrance: Passing, patience_s: float) -> str:
        asked = "" if hindrance.after is None else f" and asks to wait {hindrance.after:.0f} s"
        return (
            f"{what} could not be had from {self.name} within {patience_s:.0f} s: {hindrance}{asked}. What came so "
            "far is kept: run again and it goes on from there. Check the network (a compute node may have none: run "
            f"`isthmus fetch STUDY` on a login node){self._proxy()}, or have more patience: ISTHMUS_HUB_PATIENCE, in seconds."
        )

    def _proxy(self) -> str:
        """A hint at the proxy that is in between. Its address may hold a password and is not shown."""
        parts = urlsplit(self.name)
        if urllib.request.proxy_bypass(parts.netloc):
            return ""
        names = {f"{parts.scheme}_proxy", "all_proxy"}
        found = sorted(name for name, value in os.environ.items() if value and name.lower() in names)
        return f" and the proxy that {found[0]} names" if found else ""

    def _no_trust(self, what: str, error: Untrusted) -> str:
        return (
            f"{what} could not be had from {self.name}: its certificate is not believed ({error}). A proxy that reads along "
            "may have put its own in the place; then name the file of your organisation's certificates with SSL_CERT_FILE. "
            "Else look at the clock of this machine, and at the address."
        )


def is_packed(response: httpx2.Response) -> bool:
    """Whether the bytes on the wire are other than the file's."""
    return response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity")


def total_size(response: httpx2.Response) -> int | None:
    """The bytes that the whole file has by an answer with it or with a part of it."""
    span = re.match(r"bytes \d+-\d+/(\d+)$", response.headers.get("Content-Range", ""))
    told = span.group(1) if span is not None else response.headers.get("Content-Length", "")
    return int(told) if told.isdigit() else None


def _wait_s(number: int, hindrance: Passing, patience_s: float) -> float:
    """Seconds before the next attempt. Jitter keeps jobs apart that were turned away together."""
    first_s = min(FIRST_WAIT, patience_s / 20)
    if hindrance.after is not None:
        return hindrance.after + random.uniform(0, first_s)
    return min(LONGEST_WAIT, first_s * 2.0**number) * random.uniform(0.5, 1.5)
