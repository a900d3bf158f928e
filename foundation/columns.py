"""Column types: the database sees text and bytes, the program sees times, values and secrets."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import BigInteger, LargeBinary, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from foundation.canonical import canonical
from foundation.encryption import FieldCipher

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def cipher_of(dialect: Dialect) -> FieldCipher:
    """The cipher that `Database` attached to its own dialect object: no global is needed."""
    return cast(FieldCipher, dialect.yinzheng_cipher)  # type: ignore[attr-defined]


class UtcDateTime(TypeDecorator[datetime]):
    """An instant, stored as whole microseconds since 1970 so that both databases order it alike.

    A naive datetime is refused: it does not say when it is.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Microseconds since 1970. Raises `ValueError` for a time without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        since = value - _EPOCH
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """The stored microseconds as a time in UTC."""
        if value is None:
            return None
        return _EPOCH + timedelta(0, 0, value)  # days, seconds, microseconds


class EncryptedText(TypeDecorator[str]):
    """Text under `FieldCipher`; `context` is "table.column"."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, context: str) -> None:
        super().__init__()
        self.context = context

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        """The text in UTF-8, encrypted under the column's `context`."""
        if value is None:
            return None
        return cipher_of(dialect).encrypt(value.encode(), self.context)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """The decrypted text. Raises `Undecryptable`."""
        if value is None:
            return None
        return cipher_of(dialect).decrypt(bytes(value), self.context).decode()


class JsonText(TypeDecorator[Any]):
    """A JSON value as canonical text, the same bytes on both databases."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """The value as canonical JSON; None is stored as NULL."""
        return None if value is None else canonical(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """The value that the stored JSON says."""
        return None if value is None else json.loads(value)


class EncryptedJson(EncryptedText):
    """A JSON value under `FieldCipher`."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        """The value as canonical JSON, encrypted; None is stored as NULL."""
        text = None if value is None else canonical(value).decode()
        return super().process_bind_param(text, dialect)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """The decrypted JSON value. Raises `Undecryptable`."""
        text = super().process_result_value(value, dialect)
        return None if text is None else json.loads(text)
