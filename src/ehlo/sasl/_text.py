"""Text of credentials, as cleartext mechanisms send it and take it."""

from __future__ import annotations

from ehlo._errors import LocalProtocolError
from ehlo.sasl._base import Password, Refuse, VerifyPassword
from ehlo.sasl._saslprep import SaslprepError, saslprep


def sendable(what: str, text: str) -> bytes:
    """A user name or password as UTF-8. Raises LocalProtocolError, without the text."""
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


def acts_as_itself(credentials: Password) -> bool:
    """Whether a mechanism without an authorization identity can serve these credentials."""
    return credentials.authzid in ("", credentials.username)


def refuse_authzid(credentials: Password, mechanism: str) -> None:
    """Dropping the identity in silence would submit as somebody else [XLOGIN-2.2.2d]."""
    if not acts_as_itself(credentials):
        raise LocalProtocolError(f"{mechanism} cannot act as another user")


def password_need(username: str, password: str, authzid: str) -> VerifyPassword | Refuse:
    """The need for prepared credentials, or the refusal when one of them cannot be prepared.

    [RFC4616-2e, RFC4954-4r] LOGIN follows the rule too: one store has to answer both.
    """
    try:
        return VerifyPassword(saslprep(username), saslprep(password), saslprep(authzid))
    except SaslprepError:
        return Refuse("the credentials cannot be prepared by SASLprep")
