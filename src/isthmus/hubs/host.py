"""A server that has files at addresses: no hub, no revisions, no token."""

import shutil
from pathlib import Path

import httpx2
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from isthmus.errors import HubError, StorageError
from isthmus.hubs.checked import Entry
from isthmus.hubs.pinned import Published
from isthmus.hubs.transfer import Absent, Server, is_packed, total_size


class Host(Server):
    """A server by its address. What it does not give says nothing of other servers."""

    gives_up = HubError

    def download(self, url: str, part: Path, pinned: str | None, locked: Published | None) -> str:
        """Bring a file to `part`, going on where an earlier attempt ended; give its SHA-256, which is `pinned` where that
        is given: by the lock, if `locked` is what that has, else by the task's YAML.

        Raises:
            Absent: there is no such file.
            HubError: it cannot be had, or its bytes are not those that are pinned.
        """

        def check(response: httpx2.Response) -> None:
            size = None if is_packed(response) else total_size(response)
            if locked is not None and response.is_success and size not in (None, locked.size):
                raise _changed(url, f"it has {size:,} bytes, and had {locked.size:,}")
            free = shutil.disk_usage(part.parent).free
            have = part.stat().st_size if part.is_file() else 0
            if size is not None and size - have > free:
                raise StorageError(
                    f"{url} has {size:,} bytes, of which {have:,} are there, and {free:,} are free in {part.parent}. Make room, or "
                    "name another folder with ISTHMUS_CACHE."
                )

        def wrong(found: str) -> HubError:
            if locked is not None:
                return _changed(url, f"its SHA-256 is {found}, and was {pinned}")
            return HubError(
                f"{url} has the SHA-256 {found}, twice, and the task's YAML says {pinned}. Nothing was kept. Look for a proxy in "
                "between; if the file is meant to be another by now, correct sha256 in the YAML, or leave it out."
            )

        part.parent.mkdir(parents=True, exist_ok=True)
        # The token is the hub's: nobody else is given it.
        headers = build_hf_headers(token=False)
        return self.bring(url, part, Entry(None, None, pinned), url, headers, check, wrong)

    def refusal(self, what: str, error: HfHubHTTPError) -> HubError:
        """Its no, in words."""
        status = error.response.status_code
        if status in (404, 410):
            return Absent(
                f"{self.name} does not have {what} ({status}). Look where it is now, and correct `url` in the task's YAML. If the "
                "task has other sources, `isthmus fetch STUDY` finds the one to read."
            )
        if status in (401, 403):
            return HubError(
                f"{self.name} does not give away {what} ({status}): it may want to be asked first, or a firewall or a proxy in "
                "between refuses. Open the address in a browser; a file that you have may be put into the cache (docs/hub.md)."
            )
        return HubError(f"{self.name} refuses {what} with the status {status}.")


def _changed(url: str, how: str) -> HubError:
    return HubError(
        f"The file at {url} is not the one that was pinned: {how}. Nothing was kept. If it was replaced on purpose, take the "
        "new one: isthmus pin STUDY --update. Results made of the former stay what they are."
    )
