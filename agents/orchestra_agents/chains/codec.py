"""Values of a process as JSON: JSON values as they are, frozen dataclasses of them through pydantic."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter, ValidationError

from orchestra_agents.errors import InputError, JournalError
from orchestra_agents.models.contract import Json

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


class Codec:
    """Writes values of one kind as canonical JSON text and reads them back.

    Args:
        kind: The class of the values, or what is annotated; anything but a dataclass means JSON values.
        field: What they are, for errors: `state` or `action`.
    """

    def __init__(self, kind: Any, field: str) -> None:
        self._field = field
        is_class = isinstance(kind, type) and dataclasses.is_dataclass(kind)
        self._adapter: TypeAdapter[Any] | None = TypeAdapter(kind) if is_class else None
        self.text: Callable[[Any], str] = self._text if self._adapter is None else self._dataclass_text

    def load(self, value: Json) -> Any:
        """Return the value that stands in a journal as `value`.

        Raises:
            JournalError: `journal.record`, where it is not one.
        """
        if self._adapter is None:
            return value
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            message = f"journal: a {self._field} does not read back as the process writes it: {error}"
            raise JournalError("journal.record", message) from error

    def check(self, value: Any) -> None:
        """Refuse what would not come back from a journal as it is.

        Raises:
            InputError: It is no JSON value and no frozen dataclass of them.
        """
        try:
            is_same = self.load(json.loads(self.text(value))) == value
        except (TypeError, ValueError) as error:
            raise InputError(self._field, f"must be a JSON value or a frozen dataclass of them ({error})") from error
        if not is_same:
            told = f"must read back from JSON as it was, got {value!r:.200}; use lists, not tuples, or a dataclass"
            raise InputError(self._field, told)

    def _text(self, value: Any) -> str:
        try:
            return _encode(value)
        except (TypeError, ValueError) as error:
            raise InputError(self._field, f"must be a JSON value, got {value!r:.200} ({error})") from error

    def _dataclass_text(self, value: Any) -> str:
        assert self._adapter is not None
        return self._adapter.dump_json(value).decode()
