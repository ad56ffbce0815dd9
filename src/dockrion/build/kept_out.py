"""What no image holds, whatever the Dockfile includes: env files, keys, version control, caches, environments."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import Final, Literal, TypeAlias

Reason: TypeAlias = Literal["secret", "clutter"]

# Names in lower case. What is code is not in here, be it called `secrets`.
SECRET_FILES: Final = (
    ".env*",
    "*.env",
    "env.yaml",
    "env.yml",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "*.ppk",
    "*.tfstate",
    "*.tfstate.backup",
    "*.tfvars",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    ".netrc",
    "_netrc",
    ".pgpass",
    ".pypirc",
    ".npmrc",
    ".htpasswd",
    ".git-credentials",
    ".dockercfg",
    "credentials.json",
    "client_secret*.json",
    "service-account*.json",
    "service_account*.json",
    *(
        f"{stem}.{suffix}"
        for stem in ("secret", "secrets")
        for suffix in ("yaml", "yml", "json", "toml", "ini")
    ),
)
SECRET_FOLDERS: Final = (
    ".env*",
    ".aws",
    ".azure",
    ".docker",
    ".gcloud",
    ".gnupg",
    ".kube",
    ".ssh",
)
_CLUTTER_FILES: Final = (
    "*.pyc",
    "*.pyo",
    ".ds_store",
    "thumbs.db",
    ".coverage",
    ".coverage.*",
    ".git",
    "*.swp",
)
_CLUTTER_FOLDERS: Final = (
    ".git",
    ".hg",
    ".svn",
    ".bzr",
    "__pycache__",
    ".venv",
    "node_modules",
    ".dockrion",
    ".dockrion_runtime",
    ".cache",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".hypothesis",
    ".import_linter_cache",
    ".ipynb_checkpoints",
    ".tox",
    ".nox",
    ".idea",
    ".vscode",
    ".terraform",
)
# Where a virtual environment is called otherwise.
ENVIRONMENT_MARK: Final = "pyvenv.cfg"


def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)))


_SECRETS: Final = {False: _any_of(SECRET_FILES), True: _any_of(SECRET_FOLDERS)}
_CLUTTER: Final = {False: _any_of(_CLUTTER_FILES), True: _any_of(_CLUTTER_FOLDERS)}


def reason_for(name: str, *, is_folder: bool) -> Reason | None:
    """Return why a file or folder of that name, without its path, stays out; None when it does not."""
    name = name.casefold()
    if _SECRETS[is_folder].match(name):
        return "secret"
    return "clutter" if _CLUTTER[is_folder].match(name) else None


def reason_for_path(path: str, *, is_folder: bool = False) -> Reason | None:
    """Return the reason for a path: its own, or that of a folder on its way."""
    *folders, name = path.split("/")
    for folder in folders:
        reason = reason_for(folder, is_folder=True)
        if reason is not None:
            return reason
    return reason_for(name, is_folder=is_folder)
