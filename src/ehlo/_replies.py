"""The default replies of the submission server: what is said when the application says nothing.

Codes and enhanced codes are those of the standards [RFC5321-4.2d]; texts are ours and free of
anything that the client sent.
"""

from __future__ import annotations

from typing import Final

import attrs

from ehlo._commands import Verb
from ehlo.wire.codes import CLOSING, ReplyClass
from ehlo.wire.reply import Reply

# ---- success ----
MAIL_OK: Final = Reply(250, "Sender OK", "2.1.0")
RCPT_OK: Final = Reply(250, "Recipient OK", "2.1.5")
MESSAGE_OK: Final = Reply(250, "Message accepted", "2.0.0")
RSET_OK: Final = Reply(250, "Reset", "2.0.0")
NOOP_OK: Final = Reply(250, "OK", "2.0.0")
TLS_READY: Final = Reply(220, "Ready to start TLS", "2.0.0")
AUTH_OK: Final = Reply(235, "Authentication succeeded", "2.7.0")
DATA_GO: Final = Reply(354, "End data with <CR><LF>.<CR><LF>")
VRFY_UNVERIFIED: Final = Reply(252, "Cannot verify, will attempt delivery", "2.5.0")
# [RFC6531-3.7.4.2a]
NAME_NEEDS_UTF8: Final = Reply(252, "The reply needs SMTPUTF8", "2.6.8")
REFUSAL_NEEDS_UTF8: Final = Reply(550, "The reply needs SMTPUTF8", "5.6.8")
# [RFC6531-3.7.4.1a]
RCPT_REFUSED: Final = Reply(550, "Mailbox unavailable", "5.6.8")
HELP_TEXT: Final = Reply(214, "See RFC 6409 and RFC 5321", "2.0.0")

# ---- order, syntax, limits ----
LINE_TOO_LONG: Final = Reply(500, "Line too long", "5.5.2")
NOT_A_COMMAND: Final = Reply(500, "Command not recognized", "5.5.1")
BAD_LINE: Final = Reply(500, "Control character in command", "5.5.2")
NOT_IMPLEMENTED: Final = Reply(502, "Command not implemented", "5.5.1")
BAD_SEQUENCE: Final = Reply(503, "Bad sequence of commands", "5.5.1")
NEED_HELLO: Final = Reply(503, "Send EHLO first", "5.5.1")
TALKED_EARLY: Final = Reply(554, "Command before the greeting", "5.5.1")
NESTED_MAIL: Final = Reply(503, "A transaction is open already", "5.5.1")
NEED_MAIL: Final = Reply(503, "Need MAIL first", "5.5.1")
NEED_RCPT: Final = Reply(503, "Need RCPT first", "5.5.1")
NO_VALID_RECIPIENTS: Final = Reply(554, "No valid recipients", "5.5.1")
NO_ARGUMENT: Final = Reply(501, "Command takes no argument", "5.5.4")
SYNTAX_ERROR: Final = Reply(501, "Syntax error in parameters", "5.5.4")
BAD_HELLO: Final = Reply(501, "Syntax: EHLO hostname", "5.5.4")
BAD_SENDER: Final = Reply(501, "Bad sender address syntax", "5.1.7")
BAD_RECIPIENT: Final = Reply(501, "Bad recipient address syntax", "5.1.3")
UNSUPPORTED_PARAMETER: Final = Reply(555, "Unsupported parameter", "5.5.4")
NO_RETURN_PATH: Final = Reply(550, "No return path can be determined", "5.1.7")
SENDER_NOT_PERMITTED: Final = Reply(550, "Sender not authorized for this identity", "5.7.1")
TOO_MANY_RECIPIENTS: Final = Reply(452, "Too many recipients", "4.5.3")
TOO_MANY_MESSAGES: Final = Reply(452, "Too many messages in this session", "4.3.2")
TOO_MANY_DOMAINS: Final = Reply(452, "Too many domains in this session", "4.5.3")
TOO_BIG: Final = Reply(552, "Message size exceeds limit", "5.3.4")
BAD_CHUNK_WORD: Final = Reply(501, "Syntax: BDAT size [LAST]", "5.5.4")
USE_BDAT: Final = Reply(503, "Use BDAT", "5.5.1")
CHUNK_FAILED: Final = Reply(503, "A chunk failed, send RSET", "5.5.1")
BAD_BURL: Final = Reply(501, "Syntax: BURL url [LAST]", "5.5.4")
BAD_CHUNK: Final = Reply(421, "Bad chunk size, closing connection", "4.7.0")
BARE_NEWLINE: Final = Reply(421, "Bare newline, closing connection", "4.7.0")
TOO_MANY_ERRORS: Final = Reply(421, "Too many errors", "4.7.0")
TOO_MANY_COMMANDS: Final = Reply(421, "Too many commands without a message", "4.7.0")
TIMED_OUT: Final = Reply(421, "Timeout, closing connection", "4.4.2")
NOT_THE_PROXY: Final = Reply(421, "Only for connections by its proxy, closing connection", "4.7.0")
TOO_MANY_CONNECTIONS: Final = Reply(421, "Too many connections from your address", "4.7.0")
SERVER_FULL: Final = Reply(421, "Too many connections, try again later", "4.3.2")
SHUTTING_DOWN: Final = Reply(421, "Service not available, closing connection", "4.3.2")

# ---- TLS and AUTH ----
TLS_REQUIRED: Final = Reply(530, "Must issue a STARTTLS command first", "5.7.0")
TLS_TOO_WEAK: Final = Reply(554, "Command refused due to lack of security", "5.7.0")
TLS_ACTIVE: Final = Reply(503, "TLS is active already", "5.5.1")
PLAINTEXT_BEHIND_TLS: Final = Reply(421, "Plaintext behind STARTTLS, closing connection", "4.7.0")
AUTH_REQUIRED: Final = Reply(530, "Authentication required", "5.7.0")
AUTH_CANCELLED: Final = Reply(501, "Authentication cancelled", "5.7.0")
AUTH_BAD_BASE64: Final = Reply(501, "Invalid base64", "5.5.2")
AUTH_MALFORMED: Final = Reply(501, "Malformed authentication data", "5.5.2")
AUTH_NO_INITIAL: Final = Reply(501, "No initial response for this mechanism", "5.7.0")
AUTH_UNKNOWN: Final = Reply(504, "Unrecognized authentication type", "5.5.4")
AUTH_INVALID: Final = Reply(535, "Authentication credentials invalid", "5.7.8")
AUTH_TEMPORARY: Final = Reply(454, "Temporary authentication failure", "4.7.0")
AUTH_LINE_TOO_LONG: Final = Reply(500, "Authentication line too long", "5.5.6")
AUTH_TOO_MANY: Final = Reply(421, "Too many authentication failures", "4.7.0")

# ---- content elsewhere, clients of others ----
BURL_UNAVAILABLE: Final = Reply(554, "Content not available", "5.6.6")
BURL_UNTRUSTED: Final = Reply(554, "URL resolution requires trust relationship", "5.7.14")
BURL_NOT_YOURS: Final = Reply(554, "URL is for another user", "5.7.0")
XCLIENT_REFUSED: Final = Reply(550, "Not authorized to use XCLIENT", "5.7.0")

# ---- the application ----
LOCAL_ERROR: Final = Reply(451, "Local error in processing", "4.3.0")

WITH_MAILBOX: Final = frozenset({251, 551})
"""To RCPT: the text tells another address."""
# [RFC2034-4a] no enhanced code on the greeting and on EHLO or HELO.
_NO_ENHANCED: Final = frozenset({Verb.CONNECT, Verb.EHLO, Verb.HELO, Verb.LHLO})


def bad_parameter(enhanced: str) -> Reply:
    """501; the enhanced code is 5.5.4 but for an extension that says otherwise [RFC6710-4.1a]."""
    return Reply(501, "Bad parameter", enhanced)


def mail_changed(keyword: str, value: str | None) -> Reply:
    """[RFC6710-4.1c] the sender is taken, and a parameter is not what it was."""
    return Reply(250, f"Sender OK, {keyword} is {value} now", "2.3.6")


def chunk_taken(size: int) -> Reply:
    """[RFC3030-2f] the reply to a chunk that is not the last."""
    return Reply(250, f"{size} octets received", "2.0.0")


def without_mailbox(verb: Verb, reply: Reply) -> Reply:
    """What is said where a mailbox cannot be shown, for it is not ASCII."""
    if verb is Verb.RCPT:
        # [RFC6531-3.7.4.1a]
        return {251: RCPT_OK, 551: RCPT_REFUSED}.get(reply.code, reply)
    if reply.is_transient:
        return reply
    # [RFC6531-3.7.4.2a]
    return NAME_NEEDS_UTF8 if reply.is_success else REFUSAL_NEEDS_UTF8


def with_enhanced(verb: Verb, reply: Reply) -> Reply:
    """The reply with the enhanced code that it must have, or without the one it must not have."""
    if verb in _NO_ENHANCED and reply.code != CLOSING:
        return reply if reply.enhanced is None else attrs.evolve(reply, enhanced=None)
    if verb is Verb.XCLIENT and reply.code < 400:
        # It is the greeting once more.
        return reply
    if reply.enhanced is None and reply.reply_class is not ReplyClass.INTERMEDIATE:
        return attrs.evolve(reply, enhanced=f"{reply.code // 100}.0.0")
    return reply
