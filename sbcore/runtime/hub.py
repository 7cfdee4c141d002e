"""Files on the Hugging Face Hub: what goes wrong there, in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

NO_TOKEN = "there is no token: run hf auth login, or set HF_TOKEN"
UNREACHABLE = "the Hub cannot be reached"


class HubError(ValueError):
    """Something that the Hub did not do; the message is one sentence for the user."""


def reason(error: BaseException) -> str:
    """Why a call of the Hub failed, as the end of a sentence."""
    if isinstance(error, LocalEntryNotFoundError):  # not in the cache either
        return reason(error.__cause__) if error.__cause__ else UNREACHABLE
    if isinstance(error, RevisionNotFoundError):
        return "the repository has no such revision"
    if isinstance(error, RepositoryNotFoundError):
        hint = "" if get_token() else f", and {NO_TOKEN}"
        return f"there is no such repository, or it is closed to you{hint}"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return "the token does not allow it" if status in (401, 403) else f"it answered {status}"
    if isinstance(error, HFValidationError):
        return "this is no repository id, which is owner/name"
    if isinstance(error, OfflineModeIsEnabled):
        return f"{UNREACHABLE}: HF_HUB_OFFLINE is set"
    return getattr(error, "strerror", None) or f"{UNREACHABLE} ({type(error).__name__})"


def upload(
    folder: Path,
    files: Sequence[str],
    repo_id: str,
    *,
    kind: Literal["model", "space"] = "model",
    private: bool | None = None,
    revision: str | None = None,
    message: str | None = None,
    exactly: bool = False,
) -> str:
    """Upload files; repository and branch are made if they are missing.

    Args:
        folder: Where the files are.
        files: Their paths in it, and in the repository.
        repo_id: ``owner/name``.
        kind: Of the repository; a Space is one for Gradio.
        private: Whether a new repository is; None: as the Hub has it.
        revision: Branch; None: main.
        message: Of the commit.
        exactly: Whether other files of the repository are removed.

    Returns:
        Address of the last commit.

    Raises:
        HubError: If there is no token, or the Hub cannot be reached or refuses.
    """
    about = f"{repo_id} could not be uploaded"
    if get_token() is None:
        raise HubError(f"{about}: {NO_TOKEN}.")
    api, sdk = HfApi(), "gradio" if kind == "space" else None
    try:
        api.create_repo(repo_id, repo_type=kind, private=private, exist_ok=True, space_sdk=sdk)
        if revision:
            api.create_branch(repo_id, repo_type=kind, branch=revision, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo_id,
            repo_type=kind,
            folder_path=folder,
            allow_patterns=list(files),
            delete_patterns="*" if exactly else None,
            revision=revision,
            commit_message=message,
        )
        return done.commit_url
    except Exception as error:  # also those of the HTTP library, which is not the same everywhere
        raise HubError(f"{about}: {reason(error)}.") from error
