"""Fetches a file from the Hugging Face hub, and the digest that the hub itself states for it.

No token is sent, so that a download says nothing of who asks.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils.tqdm import tqdm

from models.errors import SourceError, SourceUnreachable
from models.manifest import HuggingFaceSource
from models.sources.transfer import MAX_FILE_BYTES, FileProgress
from models.types import Digest


def fetch(
    source: HuggingFaceSource,
    target: Path,
    progress: FileProgress,
    *,
    size_bytes: int | None = None,
    endpoint: str | None = None,
) -> Digest | None:
    """Download the source's file to `target` and return the SHA-256 that the hub states for it.

    A broken download leaves its part beside `target`, and a repeat goes on behind it. `endpoint`
    is the hub's address where it is not the public one. Raises SourceUnreachable, SourceError.
    """
    with _reasons(source):
        url = hf_hub_url(source.repo, source.path, revision=source.revision, endpoint=endpoint)
        stated = get_hf_file_metadata(url, token=False, endpoint=endpoint)
        _check_size(source, stated.size, size_bytes)
        came = hf_hub_download(
            source.repo,
            source.path,
            revision=stated.commit_hash or source.revision,
            local_dir=target.parent / "hub",
            token=False,
            endpoint=endpoint,
            tqdm_class=_bar(progress),
        )
    Path(came).replace(target)
    shutil.rmtree(target.parent / "hub", ignore_errors=True)
    return Digest(stated.etag) if stated.etag and re.fullmatch(r"[0-9a-f]{64}", stated.etag) else None


def _check_size(source: HuggingFaceSource, size: int | None, expected: int | None) -> None:
    if size is not None and size > MAX_FILE_BYTES:
        raise SourceError(f"{source.repo} offers {size:,} bytes, more than any model needs")
    if size is not None and expected is not None and size != expected:
        raise SourceError(f"{source.repo} has {size:,} bytes where {expected:,} are expected")


def _bar(progress: FileProgress) -> type[tqdm]:
    """Return a progress bar class that draws nothing and tells `progress`."""

    class Bar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            self.came = int(options.get("initial") or 0)
            self.whole: int | None = options.get("total")
            super().__init__(*args, **{**options, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            self.came += int(n or 0)
            progress(self.came, self.whole)

    return Bar


@contextmanager
def _reasons(source: HuggingFaceSource) -> Iterator[None]:
    """Turn the hub library's errors into ours."""
    try:
        yield
    except GatedRepoError as error:
        raise SourceError(f"{source.repo} asks for a login, which is not done here; download it by hand") from error
    except (RepositoryNotFoundError, EntryNotFoundError) as error:
        if isinstance(error, HfHubHTTPError):
            raise SourceError(f"the Hugging Face hub has no {source.repo}/{source.path}") from error
        raise SourceUnreachable("the Hugging Face hub is out of reach") from error
    except HfHubHTTPError as error:
        raise SourceError(f"the Hugging Face hub answered {error.response.status_code}") from error
    except (httpx2.HTTPError, ConnectionError, TimeoutError) as error:
        raise SourceUnreachable("the Hugging Face hub is out of reach") from error
