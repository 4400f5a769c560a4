"""Text of credentials, as cleartext mechanisms send it and take it."""

from __future__ import annotations

from typing import TypeGuard

from ehlo._errors import LocalProtocolError
from ehlo.sasl._base import Refuse, VerifyPassword
from ehlo.sasl._saslprep import SaslprepError, saslprep
from ehlo.sasl.credentials import Credentials, Password, Secret


def text_of(secret: Secret) -> str:
    """A secret that was asked for already. Raises LocalProtocolError for one that was not."""
    if not isinstance(secret, str):
        raise LocalProtocolError("the secret has to be asked for first")
    return secret


def sendable(what: str, secret: Secret) -> bytes:
    """A user name or password as UTF-8. Raises LocalProtocolError, without the text."""
    text = text_of(secret)
    if not text:
        raise LocalProtocolError(f"the {what} is empty")
    # [RFC4616-2f] a NUL would begin the next field of PLAIN: one name turned into two.
    if "\0" in text:
        raise LocalProtocolError(f"the {what} holds a NUL")
    try:
        return text.encode()
    except UnicodeEncodeError:
        pass
    raise LocalProtocolError(f"the {what} holds half of a surrogate pair")


def sendable_authzid(authzid: str) -> bytes:
    """An authorization identity, prepared; empty for none. Raises LocalProtocolError [RFC4954-4q]."""
    if not authzid:
        return b""
    try:
        # Neither empty nor with a NUL or half of a surrogate pair: SASLprep refuses those.
        return saslprep(authzid).encode()
    except SaslprepError:
        raise LocalProtocolError("SASLprep refuses the authorization identity") from None


def acts_as_itself(credentials: Credentials) -> TypeGuard[Password]:
    """Whether a mechanism without an authorization identity can serve these credentials."""
    return isinstance(credentials, Password) and credentials.authzid in ("", credentials.username)


def password_of(credentials: Credentials, mechanism: str) -> Password:
    """For a mechanism without an authorization identity. Raises LocalProtocolError for others."""
    if not isinstance(credentials, Password):
        raise LocalProtocolError(f"{mechanism} needs a Password")
    # Dropping the identity in silence would submit as somebody else [XLOGIN-2.2.2d].
    if not acts_as_itself(credentials):
        raise LocalProtocolError(f"{mechanism} cannot act as another user")
    return credentials


def password_need(username: str, password: str, authzid: str) -> VerifyPassword | Refuse:
    """The need for prepared credentials, or the refusal when one of them cannot be prepared.

    [RFC4616-2e, RFC4954-4r] LOGIN follows the rule too: one store has to answer both.
    """
    try:
        return VerifyPassword(saslprep(username), saslprep(password), saslprep(authzid))
    except SaslprepError:
        return Refuse("the credentials cannot be prepared by SASLprep")
