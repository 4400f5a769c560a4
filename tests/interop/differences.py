"""Where Postfix and our server engine answer differently, and why: docs/postfix.md is made of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import attrs
from tests.interop.answers import CLOSED, Answer

ANY = frozenset(range(600))


@attrs.frozen
class Rule:
    """A difference that is meant to be."""

    situation: str
    pattern: bytes
    """What the command looks like, in any letter case."""
    theirs: frozenset[int] | set[int]
    ours: frozenset[int] | set[int]
    why: str
    clause: str
    """In the ledger of the conformance tests."""
    after_helo: bool = False
    """Only where the last hello was HELO."""
    diverges: bool = False
    """The two sessions are in different states from here on."""

    def explains(self, difference: Difference) -> bool:
        return (
            difference.theirs in self.theirs
            and difference.ours in self.ours
            and (difference.helo or not self.after_helo)
            and re.search(self.pattern, difference.octets, re.I | re.S) is not None
        )


@attrs.frozen
class Difference:
    """Two codes for one command."""

    octets: bytes
    theirs: int
    ours: int
    helo: bool = False


RULES = (
    Rule(
        "Control characters, octets over 127 or a space before a command, TAB as a space",
        rb"^[ \x00-\x1f\x7f-\xff]|[\x00-\x09\x0b\x0c\x0e-\x1f].*\r\n",
        ANY,
        {500},
        "A line with a control character is refused whole; Postfix takes TAB for a space, drops "
        "what stands behind NUL and a space in front.",
        "RFC5321-4.1.2k",
    ),
    Rule(
        "GET, a command that does not begin with a letter, a line like `Name:`",
        rb"^(GET|[^A-Z]|\w+:)",
        {221},
        {500},
        "Postfix closes the connection (`smtpd_forbidden_commands`); we count errors and close after many.",
        "RFC5321-4.2.4a",
    ),
    Rule(
        "Extensions after HELO",
        rb"^(MAIL|RCPT|BDAT)",
        ANY,
        {555, 500, 502},
        "HELO enables no extension; Postfix takes their parameters and BDAT all the same.",
        "RFC5321-4.1.1.1f",
        after_helo=True,
        diverges=True,
    ),
    Rule(
        "MAIL with AUTH= before AUTH",
        rb"^MAIL.* AUTH=",
        {503},
        ANY,
        "Any client may say who was the submitter; it is not believed. Postfix refuses the parameter.",
        "RFC4954-5d",
    ),
    Rule(
        "MAIL, RCPT or DATA behind a BDAT that was out of place",
        rb"^(MAIL|RCPT|DATA)",
        {503},
        {250, 501, 554, 555},
        "Only a failed chunk of an open transaction calls for RSET; Postfix wants it behind any "
        "refused BDAT.",
        "RFC3030-2i",
        diverges=True,
    ),
    Rule(
        "RSET or QUIT with an argument",
        rb"^(RSET|QUIT) ",
        {221, 250},
        {501},
        "They take none; Postfix ignores it.",
        "RFC5321-4.1.1b",
    ),
    Rule(
        "A repeated parameter",
        rb" (\w[\w-]*)\b.* \1\b",
        {250, 501, 555},
        {501, 555},
        "A keyword comes once; Postfix lets the last one count. Which of several faults of a line "
        "is told is left to the server.",
        "RFC1869-6a",
    ),
    Rule(
        "BDAT with a word that is not LAST",
        rb"^BDAT \d+ .*\S",
        {521},
        {501, 503},
        "Its octets are read and it is refused; Postfix closes the connection.",
        "RFC3030-2b",
        diverges=True,
    ),
    Rule(
        "BDAT without a size",
        rb"^BDAT",
        {521},
        {421},
        "Octets that cannot be counted would run as commands: both close, and only 421 says so.",
        "RFC5321-3.8a",
    ),
    Rule(
        "BDAT of no octets that is not the last",
        rb"^BDAT 0\r",
        {551},
        ANY,
        "A chunk may be empty; Postfix refuses it (551) whatever the state.",
        "RFC3030-2b",
        diverges=True,
    ),
    Rule(
        "BDAT without a recipient",
        rb"^BDAT",
        {554},
        {503},
        "It is out of sequence; Postfix says that no recipient is valid.",
        "RFC3030-2l",
        diverges=True,
    ),
    Rule(
        "DATA without a recipient",
        rb"^DATA",
        {503, 554},
        {503, 554},
        "503 where none was tried, 554 where none was accepted; for Postfix 554 in both.",
        "RFC5321-3.3c",
    ),
    Rule(
        "SIZE of more than 20 digits",
        rb" SIZE=\d{21,}",
        {552},
        ANY,
        "The grammar has 20 at most.",
        "RFC1870-3b",
    ),
    Rule(
        "A fault in the path and SIZE over the limit",
        rb"^MAIL.* SIZE=\d{9,}",
        {552},
        ANY,
        "Both are faults; the path is looked at first.",
        "RFC4409-5.1c",
    ),
    Rule(
        "MAIL behind one that was refused for its SIZE",
        rb"^MAIL",
        {552},
        ANY,
        "A refused MAIL leaves nothing behind; this Postfix (3.7) still counts the size.",
        "RFC5321-4.1.4h",
        diverges=True,
    ),
    Rule(
        "A path that is wrong and a parameter that is",
        rb"^(MAIL|RCPT).*> *.* \S",
        {501, 555},
        {501, 550, 553, 555},
        "501 for a parameter that is known and has a wrong or no value, 555 for one that is not "
        "known, and the path first; Postfix looks at parameters first and says 555 where the "
        "value is absent.",
        "RFC5321-4.1.1.11a",
    ),
    Rule(
        "A local part of more than 64 octets",
        rb'<[^@">]{65,}@',
        {250},
        {501},
        "Longer ones may be refused.",
        "RFC5321-4.5.3.1a",
    ),
    Rule(
        "Leading, trailing and doubled dots",
        rb'<\.|<[^"@>]*\.@|<[^"@>]*\.\.',
        {250},
        {501},
        "Not without quotes.",
        "RFC5321-4.1.2c",
    ),
    Rule(
        "Characters in a local part that need quotes, several at signs",
        rb'<[^">]*[\\:@ ][^">]*@',
        {250},
        {501},
        "Postfix rewrites such paths; we take the grammar as it is.",
        "RFC5321-4.1.2d",
    ),
    Rule(
        "Spaces and brackets inside the brackets",
        rb"< |>>|<<| >",
        {250},
        {501},
        "A path begins and ends with one bracket.",
        "RFC5321-4.1.2b",
    ),
    Rule(
        "A domain that is none, or a path without one",
        rb'^(MAIL|RCPT)[^<]*<([^@">]+>|[^>]*(@|_y\.org|\.)>|@)',
        {250},
        {501},
        "Letters, digits, hyphens and dots between them. Only Postmaster needs no domain.",
        "RFC5321-4.1.2h",
    ),
    Rule(
        "A parameter whose value is no xtext, or none that the extension knows",
        rb" (ENVID=(\S*(=|\+b)|e{101})|AUTH=(\+ZZ|a b)|NOTIFY=(SUCCESS,SUCCESS|,)"
        rb"|ORCPT=(;|rfc822;(\r| |a\+b|a{501})))",
        {250},
        {501},
        "xtext has no `=` and no `+` without two digits, and a list names nothing twice.",
        "RFC3461-4b",
    ),
    Rule(
        "Addresses that are not ASCII without SMTPUTF8",
        rb"^MAIL.*[\x80-\xff]|^RCPT.*[\x80-\xff]",
        {250, 501},
        {550, 553, 555},
        "They are refused at once; Postfix takes them unless `strict_smtputf8` is set, and says "
        "501 where the domain is not ASCII.",
        "RFC6531-3.5c",
        diverges=True,
    ),
    Rule(
        "`%` or `!` in a local part before an address literal",
        rb'<[^">]*[%!][^">]*@\[',
        {501},
        ANY,
        "They mean nothing but to the destination; Postfix reads a route in them "
        "(`allow_percent_hack`, `swap_bangpath`).",
        "RFC4409-8.8a",
    ),
    Rule(
        "A general address literal",
        rb"@\[[a-z]+:",
        {501},
        {250},
        "Taken, and left to policy.",
        "RFC5321-4.1.3b",
    ),
    Rule(
        "VRFY with several words",
        rb"^VRFY \S+ \S",
        {501},
        {252},
        "A user name may have spaces.",
        "RFC5321-3.5.3a",
    ),
    Rule(
        "HELP",
        rb"^HELP",
        {500},
        {214},
        "Postfix does not know it.",
        "RFC5321-4.1.1.8a",
    ),
    Rule(
        "EXPN, SEND, TURN, BURL and other commands that are known and not to be had",
        rb"^(EXPN|SEND|SOML|SAML|TURN|ATRN|BURL)",
        {500},
        {502},
        "502 is for what is recognised.",
        "RFC5321-4.2.4a",
    ),
    Rule(
        "ETRN",
        rb"^ETRN",
        {459, 503},
        {502},
        "Never on a submission service.",
        "RFC4409-7c",
    ),
    Rule(
        "XCLIENT of a client that is not trusted",
        rb"^XCLIENT",
        {503, 550},
        {500},
        "Not offered to anybody here, and so no command.",
        "RFC5321-4.2.4a",
    ),
    Rule(
        "STARTTLS with an argument and in a transaction",
        rb"^STARTTLS ",
        {501},
        {503},
        "Both are faults; the sequence comes first.",
        "RFC3207-4a",
    ),
    Rule(
        "A mechanism that is not offered",
        rb"^AUTH FOO",
        {535},
        {504},
        "504 is for it; Cyrus SASL says 535.",
        "RFC4954-4d",
    ),
    Rule(
        "AUTH with what is no base64, or no message of the mechanism",
        rb"^AUTH",
        {535},
        {501},
        "501 is for it; Postfix leaves both to Cyrus SASL, which says 535.",
        "RFC4954-4l",
    ),
    Rule(
        "AUTH with a user that is unknown",
        rb"^AUTH",
        {454},
        {535},
        "What a failure is called is Cyrus SASL's; ours looks the same for an unknown user and a "
        "wrong password.",
        "RFC4954-6d",
    ),
)
"""The first that fits counts."""


def differences(theirs: Sequence[Answer], ours: Sequence[Answer]) -> Iterator[Difference]:
    """Those of one session, in order. Once the two are in different states it is looked at no further."""
    helo = False
    for their, our in zip(theirs, ours, strict=False):
        found = [*zip(their.codes, our.codes, strict=False)]
        if their.body is not None and our.body is not None:
            found.append((their.body, our.body))
        for a, b in found:
            if a != b:
                difference = Difference(their.step.octets, a, b, helo)
                yield difference
                rule = rule_of(difference)
                if a // 100 != b // 100 or rule is None or rule.diverges:
                    return
        if CLOSED in (*their.codes, *our.codes) or len(their.codes) != len(our.codes):
            return
        if our.codes[0] == 250 and their.step.octets[:4].upper() in (b"EHLO", b"HELO"):
            helo = their.step.octets[:4].upper() == b"HELO"


def rule_of(difference: Difference) -> Rule | None:
    """The first rule that explains it."""
    return next((rule for rule in RULES if rule.explains(difference)), None)
