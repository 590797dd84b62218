"""Fetches a file from the Hugging Face hub, and the digest that the hub itself states for it.

The hub's library finds the file; our own downloader brings it, because the library starts again
after an interrupted call. No token is sent, so that a download says nothing of who asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from models.errors import SourceError, SourceUnreachable
from models.manifest import HuggingFaceSource
from models.sources.http import download
from models.sources.transfer import MAX_FILE_BYTES, FileProgress
from models.types import Digest

constants.HF_HUB_DISABLE_TELEMETRY = True
"""Else the library asks its maker which programs to look for on this device, and names them with each request."""


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
    revision = stated.commit_hash or source.revision  # so that the file is the one that the digest was stated for
    url = hf_hub_url(source.repo, source.path, revision=revision, endpoint=endpoint)
    schemes = frozenset({urlsplit(endpoint).scheme if endpoint else "https"})
    download(url, target, progress, size_bytes=size_bytes or stated.size, schemes=schemes)
    return Digest(stated.etag) if stated.etag and re.fullmatch(r"[0-9a-f]{64}", stated.etag) else None


def _check_size(source: HuggingFaceSource, size: int | None, expected: int | None) -> None:
    if size is not None and size > MAX_FILE_BYTES:
        raise SourceError(f"{source.repo} offers {size:,} bytes, more than any model needs")
    if size is not None and expected is not None and size != expected:
        raise SourceError(f"{source.repo} has {size:,} bytes where {expected:,} are expected")


@contextmanager
def _reasons(source: HuggingFaceSource) -> Iterator[None]:
    """Turn the hub library's errors into ours."""
    try:
        yield
    except GatedRepoError as error:
        raise SourceError(f"{source.repo} asks for a login, which is not done here; download it by hand") from error
    except RepositoryNotFoundError as error:
        raise SourceError(f"the Hugging Face hub has no {source.repo}") from error
    except HfHubHTTPError as error:
        raise SourceError(
            f"the Hugging Face hub answered {error.response.status_code} for {source.repo}/{source.path}"
        ) from error
    except (httpx2.HTTPError, OSError) as error:
        raise SourceUnreachable("the Hugging Face hub is out of reach") from error
