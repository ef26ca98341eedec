"""Talking to the Hugging Face hub: listings and single files, by its own client library."""

from pathlib import Path

import httpx2
from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from isthmus.errors import HubError
from isthmus.hubs.checked import Entry
from isthmus.hubs.pinned import Repository
from isthmus.hubs.transfer import Absent, Server


class Remote(Server):
    """The hub at HF_ENDPOINT. Every method raises HubError with what, where and how to mend it."""

    def __init__(self) -> None:
        super().__init__(constants.ENDPOINT)
        self._api = HfApi()

    def revision(self, repository: Repository, asked: str | None) -> str:
        """The commit that a branch, tag or (short) commit stands for; None asks for the newest."""
        what = f"{repository} at {asked or 'its newest revision'}"
        info = self.ask(
            what, lambda: self._api.repo_info(repository.id, repo_type=repository.kind, revision=asked)
        )
        if not info.sha:
            raise HubError(f"{self.name} does not say which commit {what} is.")
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

        return self.ask(f"the files of {repository} at {revision}", ask)

    def download(self, repository: Repository, revision: str, path: str, entry: Entry, part: Path) -> str:
        """Bring a file to `part`, going on where an earlier attempt ended; give its SHA-256."""
        what = f"{path} of {repository} at {revision}"
        url = hf_hub_url(repository.id, path, repo_type=repository.kind, revision=revision)

        def check(response: httpx2.Response) -> None:
            self._refuse_strangers(response, revision, what)

        def wrong(found: str) -> HubError:
            return HubError(
                f"{what} came from {self.name} with the right length ({entry.size:,} bytes) and wrong bytes, twice: its "
                "hash is not the one that the hub's listing has. Nothing was kept. Look for a proxy or a mirror of the hub "
                "in between (HF_ENDPOINT), or try again later."
            )

        return self.bring(url, part, entry, what, build_hf_headers(), check, wrong)

    def _refuse_strangers(self, response: httpx2.Response, revision: str, what: str) -> None:
        answers = (*response.history, response)
        commits = [answer.headers.get(constants.HUGGINGFACE_HEADER_X_REPO_COMMIT) for answer in answers]
        found = next(filter(None, commits), revision)
        if found != revision:
            raise HubError(
                f"{self.name} was asked for {what} and answered with commit {found}. Nothing of it was kept: "
                "files of two revisions do not belong together. Look for a proxy that keeps old answers, or for a "
                "server that does not know revisions."
            )

    def refusal(self, what: str, error: HfHubHTTPError) -> HubError:
        """The hub's no, in words."""
        status, code = error.response.status_code, error.response.headers.get("X-Error-Code", "")
        if code == "GatedRepo":
            return HubError(
                f"{self.name} does not give away {what} ({status}): its owner wants to be asked first. Open its page "
                "in a browser, accept the terms, and set HF_TOKEN to a token of that account."
            )
        if status == 403:
            return HubError(
                f"{self.name} forbids {what} (403). Set HF_TOKEN to a token that may read it; if it is public, a "
                "firewall or a proxy in between may be what refuses."
            )
        if status == 401:
            return HubError(
                f"{self.name} does not show {what} (401): there is no such repository, or it is private, or the "
                "token in HF_TOKEN is not valid. Check the id; if it is right, set HF_TOKEN to a token that may read it."
            )
        if status == 404 and code == "RevisionNotFound":
            return Absent(
                f"{self.name} has no such revision: {what}. It was rewritten, or the revision is misspelt. Name "
                "another one, or take the newest: isthmus pin STUDY --update."
            )
        if status in (404, 410):
            return Absent(
                f"{self.name} does not have {what} ({status}). Check the id: a repository can be renamed or removed. If "
                "the task has other sources, `isthmus fetch STUDY` finds the one to read; else name one in its YAML."
            )
        return HubError(f"{self.name} refuses {what} with the status {status}.")
