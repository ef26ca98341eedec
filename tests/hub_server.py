"""The part of the Hugging Face hub's HTTP API that its client library uses, on loopback, with faults on request.

    server = HubServer(); repo = server.dataset("owner/name", {"mnli/train-00000-of-00001.parquet": b"…"})
    server.fault("resolve/.*train", "truncate", times=1, after=100)

Large files (parquet, safetensors) are answered by a redirect to another port with their SHA-256 in `X-Linked-Etag`, as
the hub does; small files by themselves. What `files` holds is served by its path, as any other server would. Every request is
noted in `requests`.
"""

import contextlib
import functools
import gzip
import hashlib
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".parquet", ".safetensors")
PAGE = b"<!DOCTYPE html><html><body>Please log in to use this network.</body></html>"


@functools.cache
def blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@functools.cache
def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def pointer(content: bytes) -> bytes:
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (
        sha256(content).encode(),
        len(content),
    )


@dataclass
class Repo:
    """A repository: its commits, and which of them its branches stand for."""

    id: str
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def push(self, files: Mapping[str, bytes], branch: str = "main") -> str:
        """A new commit at the head of a branch."""
        text = json.dumps(
            [self.id, branch, len(self.commits), {name: sha256(c) for name, c in files.items()}]
        )
        commit = hashlib.sha1(text.encode()).hexdigest()
        self.commits[commit], self.branches[branch] = dict(files), commit
        return commit

    def commit(self, revision: str) -> str | None:
        """The commit of a branch, or of the beginning of a commit."""
        named = self.branches.get(revision)
        return named or next((c for c in self.commits if len(revision) >= 7 and c.startswith(revision)), None)


@dataclass
class Fault:
    """Something that goes wrong with requests whose path matches, `times` times after `skip` that go well."""

    path: re.Pattern[str]
    kind: str
    times: float
    skip: int
    options: Mapping[str, Any]


class HubServer:
    """The hub at `endpoint`; `cdn` is where large files really lie."""

    def __init__(self, page: int = 3, context: ssl.SSLContext | None = None) -> None:
        self.page = page
        self._context = context
        self.repos: dict[tuple[str, str], Repo] = {}
        self.files: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.closing = threading.Event()
        self._guard = threading.Lock()
        self._servers = [self._start(), self._start()]
        self.endpoint, self.cdn = (
            f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}" for server in self._servers
        )

    def _start(self) -> ThreadingHTTPServer:
        hub = self

        class Handler(_Handler):
            server_hub = hub

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        if self._context is not None:
            # The handshake is made by the thread of the request: a client that breaks it off stops nobody else.
            server.socket = self._context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def close(self) -> None:
        self.closing.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def dataset(self, id: str, files: Mapping[str, bytes]) -> Repo:
        return self._new("datasets", id, files)

    def dataset_of(self, root: Path, id: str) -> Repo:
        """The dataset that a mirror holds."""
        folder = root / id
        paths = (path for path in folder.rglob("*") if path.is_file())
        return self.dataset(id, {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths})

    def model(self, id: str, files: Mapping[str, bytes]) -> Repo:
        return self._new("models", id, files)

    def _new(self, kind: str, id: str, files: Mapping[str, bytes]) -> Repo:
        repo = self.repos[kind, id] = Repo(id)
        repo.push(files)
        return repo

    def fault(self, path: str, kind: str, times: float = float("inf"), skip: int = 0, **options: Any) -> None:
        self.faults.append(Fault(re.compile(path), kind, times, skip, options))

    def heal(self) -> None:
        self.faults.clear()

    def note(self, method: str, path: str, headers: dict[str, str]) -> Fault | None:
        """Write a request down; give the fault that it meets."""
        with self._guard:
            self.requests.append((method, path, headers))
            for fault in self.faults:
                if fault.path.search(unquote(path)):
                    if fault.skip:
                        fault.skip -= 1
                    elif fault.times > 0:
                        fault.times -= 1
                        return fault
        return None

    def asked(self, pattern: str) -> list[tuple[str, str, dict[str, str]]]:
        """The requests whose path matches."""
        return [request for request in self.requests if re.search(pattern, unquote(request[1]))]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_hub: HubServer

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        fault = self.server_hub.note(self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
        with contextlib.suppress(ConnectionError):
            if fault is not None and self._refuse(fault):
                return
            self._route(fault)

    # Faults --------------------------------------------------------------------------------------------------

    def _refuse(self, fault: Fault) -> bool:
        """Faults that take the place of the whole answer."""
        options = fault.options
        if fault.kind == "status":
            self._send(options["code"], options.get("body", b""), options.get("headers", {}))
        elif fault.kind == "page":
            self._send(200, PAGE, {"Content-Type": options.get("type", "text/html; charset=utf-8")})
        elif fault.kind == "hang":
            self.server_hub.closing.wait(30)
            self.close_connection = True
        elif fault.kind == "reset":
            self._reset()
        else:
            return False
        return True

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _spoilt(self, fault: Fault, content: bytes) -> bytes:
        if fault.kind == "wrong":
            return bytes(byte ^ 0x20 for byte in content)
        if fault.kind == "pointer":
            return pointer(content)
        return content + b"more" if fault.kind == "longer" else content

    def _body(self, fault: Fault | None, content: bytes) -> None:
        """Send a body, or the beginning of it and then what the fault says."""
        kind = fault.kind if fault is not None else ""
        if fault is None or kind not in ("truncate", "stall", "drip", "cut"):
            self.wfile.write(content)
            return
        self.wfile.write(content[: fault.options["after"]])
        self.wfile.flush()
        self.close_connection = True
        if kind == "stall":
            self.server_hub.closing.wait(30)
        elif kind == "cut":
            self._reset()
        elif kind == "drip":
            for byte in content[fault.options["after"] :]:
                if self.server_hub.closing.wait(0.3):
                    return
                self.wfile.write(bytes([byte]))
                self.wfile.flush()

    # Answers -------------------------------------------------------------------------------------------------

    def _send(self, code: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _error(self, code: int, name: str) -> None:
        self._send(code, b"{}", {"X-Error-Code": name, "X-Error-Message": name})

    def _json(self, value: Any, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self._send(200, body, {"Content-Type": "application/json", **(headers or {})})

    def _route(self, fault: Fault | None) -> None:
        parts = urlsplit(self.path)
        path = parts.path.lstrip("/")
        if path in self.server_hub.files:
            content = self.server_hub.files[path]
            self._file(fault, content, {"ETag": f'"{sha256(content)}"'})
        elif path.startswith("large/"):
            content = self._large(path.removeprefix("large/"))
            self._file(fault, content, {})
        elif match := re.fullmatch(r"api/(datasets|models)/(.+?)(?:/(revision|tree)/(.+))?", path):
            self._api(match, parse_qs(parts.query))
        elif match := re.fullmatch(r"(datasets/)?([^/]+/[^/]+|[^/]+)/resolve/([^/]+)/(.+)", path):
            kind = "datasets" if match.group(1) else "models"
            self._resolve(fault, kind, match.group(2), unquote(match.group(3)), unquote(match.group(4)))
        else:
            self._error(404, "NotFound")

    def _find(self, kind: str, id: str, revision: str) -> tuple[Repo, str] | None:
        repo = self.server_hub.repos.get((kind, id))
        if repo is None:
            self._error(404, "RepoNotFound")
            return None
        commit = repo.commit(revision)
        if commit is None:
            self._error(404, "RevisionNotFound")
            return None
        return repo, commit

    def _api(self, match: re.Match[str], query: Mapping[str, list[str]]) -> None:
        kind, id, what, revision = match.groups()
        found = self._find(kind, id, unquote(revision) if revision else "main")
        if found is None:
            return
        repo, commit = found
        if what != "tree":
            self._json({"id": id, "sha": commit, "siblings": [], "tags": [], "private": False})
            return
        start, end = int(query.get("cursor", ["0"])[0]), self.server_hub.page
        entries = [_listed(name, content) for name, content in sorted(repo.commits[commit].items())]
        headers = {}
        if len(entries) > start + end:
            url = f"{self.server_hub.endpoint}{urlsplit(self.path).path}?recursive=true&cursor={start + end}"
            headers["Link"] = f'<{url}>; rel="next"'
        self._json(entries[start : start + end], headers)

    def _resolve(self, fault: Fault | None, kind: str, id: str, revision: str, path: str) -> None:
        found = self._find(kind, id, revision)
        if found is None:
            return
        repo, commit = found
        content = repo.commits[commit].get(path)
        moved = fault is not None and fault.kind == "moved"
        headers = {"X-Repo-Commit": "f" * 40 if moved else commit}
        if content is None:
            self._error(404, "EntryNotFound")
        elif path.endswith(LARGE) and not (
            fault is not None and fault.kind in ("pointer", "wrong", "longer")
        ):
            headers |= {"X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{sha256(content)}"'}
            headers["Location"] = f"{self.server_hub.cdn}/large/{sha256(content)}"
            self._send(302, b"", headers)
        else:
            self._file(fault, content, {**headers, "ETag": f'"{blob(content)}"'})

    def _large(self, hash: str) -> bytes:
        commits = (commit for repo in self.server_hub.repos.values() for commit in repo.commits.values())
        return next(c for commit in commits for c in commit.values() if sha256(c) == hash)

    def _file(self, fault: Fault | None, content: bytes, headers: Mapping[str, str]) -> None:
        content = self._spoilt(fault, content) if fault is not None else content
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        deaf = fault is not None and fault.kind == "deaf"
        start, code, extra = 0, 200, {}
        if fault is not None and fault.kind == "packed":
            asked, content, extra = None, gzip.compress(content), {"Content-Encoding": "gzip"}
        if fault is not None and fault.kind == "packed part":
            content, extra = gzip.compress(content) + content, {"Content-Encoding": "gzip"}
        if self.headers.get("If-Range", headers.get("ETag")) != headers.get("ETag"):
            asked = None
        if asked and not deaf:
            start, code = int(asked.group(1)), 206
            extra["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if start >= len(content) > 0:
            self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        body = content[start:]
        self.send_response(code)
        for name, value in {**headers, **extra, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self._body(fault, body)


def _listed(name: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": blob(content), "size": len(content), "path": name}
    if name.endswith(LARGE):
        entry["lfs"] = {"oid": sha256(content), "size": len(content), "pointerSize": len(pointer(content))}
    return entry
