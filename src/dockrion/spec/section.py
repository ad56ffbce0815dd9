"""The base of every section of the Dockfile."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from dockrion.spec.fields import is_mapping


class Section(BaseModel):
    """A frozen mapping of fields; keys that it does not know are kept, and warned of elsewhere.

    The order of the fields matters: a rule between fields belongs to the last of them, since a validator sees
    those before its own, as far as they are valid.
    """

    # defer_build: only the root is built, once, on first use; building each section too would
    # double the price of the import.
    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_not_given(cls, data: Any) -> Any:
        if not is_mapping(data):
            return data
        return {key: value for key, value in data.items() if value is not None}
