from __future__ import annotations

import email
import email.message
import re
from collections.abc import Callable, Iterator
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehlo import LocalProtocolError
from ehlo.policy import ConversionError, MessageNeed, needs_of, to_eight_bit, to_seven_bit
from ehlo.policy.convert import DEPTH
from ehlo.policy.needs import NOTHING

GREEN = "Alles ist grün, und das bleibt es auch.\r\n".encode()
LATIN = "Alles ist grün, und das bleibt es auch.\r\n".encode("latin-1")
HEAD = b"From: alice@a.example\r\nSubject: x\r\n"
MIME = HEAD + b"MIME-Version: 1.0\r\n"
UNKNOWN = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"


def multipart(*parts: bytes, kind: bytes = b"mixed", cte: bytes = b"") -> bytes:
    label = b"Content-Transfer-Encoding: " + cte + b"\r\n" if cte else b""
    return (
        MIME
        + b"Content-Type: multipart/"
        + kind
        + b'; boundary="=_b"\r\n'
        + label
        + b"\r\n"
        + b"\r\n".join(b"--=_b\r\n" + part for part in parts)
        + b"\r\n--=_b--\r\n"
    )


def part(content: bytes, cte: bytes = b"8bit", kind: bytes = b"text/plain; charset=utf-8") -> bytes:
    return b"Content-Type: " + kind + b"\r\nContent-Transfer-Encoding: " + cte + b"\r\n\r\n" + content


def printable(content: bytes) -> bytes:
    """Text without lines that have to be cut."""
    return re.sub(rb"[\x80-\xff]", lambda octet: b"=%02X" % octet[0][0], content)


SEVEN: Final = {
    "text": (MIME + part(GREEN), MIME + part(printable(GREEN), b"quoted-printable")),
    "no label": (
        MIME + b"Content-type: text/plain\r\n\r\n" + GREEN,
        MIME
        + b"Content-type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        + printable(GREEN),
    ),
    "a label twice, and in odd spelling": (
        MIME + b"content-transfer-ENCODING :\r\n (so) 8BIT\r\nX: y\r\n" + part(GREEN),
        MIME
        + b"Content-Transfer-Encoding: quoted-printable\r\nX: y\r\n"
        + b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
        + printable(GREEN),
    ),
    "no final line end": (
        MIME + part(GREEN[:-2]),
        MIME + part(printable(GREEN[:-2]) + b"=\r\n", b"quoted-printable"),
    ),
    "a single line": (
        MIME + part(b"x" * 80 + b"\xfc"),
        MIME + part(b"x" * 75 + b"=\r\nxxxxx=FC=\r\n", b"quoted-printable"),
    ),
    "text that is mostly foreign": (
        MIME + part("ü".encode() * 29),
        MIME + part(b"w7zDvMO8" * 9 + b"w7zD\r\nvA==\r\n", b"base64"),
    ),
    "text with a sixth of it foreign": (
        MIME + part(b"12345678\xc3\xbc\r\n"),
        MIME + part(b"12345678=C3=BC\r\n", b"quoted-printable"),
    ),
    "text with more than a sixth of it foreign": (
        MIME + part(b"1234567\xc3\xbc\r\n"),
        MIME + part(b"MTIzNDU2N8O8DQo=\r\n", b"base64"),
    ),
    "text with a bare newline": (
        MIME + part(b"1234567\xfc\n"),
        MIME + part(b"MTIzNDU2N/wK\r\n", b"base64"),
    ),
    "what is special in quoted-printable": (
        MIME + part("tab \t\r\n..\r\n.\r\n=ü \r\nFrom".encode()),
        MIME + part(b"tab =09\r\n..\r\n=2E\r\n=3D=C3=BC=20\r\nFrom=\r\n", b"quoted-printable"),
    ),
    "an image": (
        MIME + part(b"\xff\xd8", b"binary", b"IMAGE/jpeg"),
        MIME + part(b"/9g=\r\n", b"base64", b"IMAGE/jpeg"),
    ),
    "no MIME": (
        HEAD + b"\r\n" + LATIN,
        HEAD + b"Content-Transfer-Encoding: quoted-printable\r\n" + UNKNOWN + b"\r\n" + printable(LATIN),
    ),
    "no header block": (
        b"\r\n" + LATIN,
        b"Content-Transfer-Encoding: quoted-printable\r\n" + UNKNOWN + b"\r\n" + printable(LATIN),
    ),
    "MIME that does not say so": (
        HEAD + part(GREEN),
        HEAD
        + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"
        + b"MIME-Version: 1.0\r\n\r\n"
        + printable(GREEN),
    ),
    "a type that nobody can read": (
        MIME + b"Content-Type: ; boundary=x\r\n\r\n" + GREEN,
        MIME
        + b"Content-Type: ; boundary=x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        + printable(GREEN),
    ),
    "parts that fit beside one that does not": (
        multipart(part(GREEN), part(b"ascii\r\n"), part(b"YWJj", b"base64"), cte=b"8bit"),
        multipart(
            part(printable(GREEN), b"quoted-printable"),
            part(b"ascii\r\n", b"7bit"),
            part(b"YWJj", b"base64"),
            cte=b"7bit",
        ),
    ),
    "a part without a header block, one without a body, one without anything": (
        multipart(b"\r\n" + GREEN, b"Content-Transfer-Encoding: 8bit", b""),
        multipart(
            b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + printable(GREEN),
            b"Content-Transfer-Encoding: 7bit",
            b"",
        ),
    ),
    "no last delimiter": (
        multipart(b"\r\n" + GREEN).removesuffix(b"\r\n--=_b--\r\n"),
        multipart(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + printable(GREEN)).removesuffix(
            b"\r\n--=_b--\r\n"
        ),
    ),
    "delimiters with white space behind them": (
        multipart(part(GREEN), b"\r\nx").replace(b"--=_b\r\n", b"--=_b \t\r\n"),
        multipart(part(printable(GREEN), b"quoted-printable"), b"\r\nx").replace(
            b"--=_b\r\n", b"--=_b \t\r\n"
        ),
    ),
    "what looks like a delimiter": (
        multipart(b"\r\n--=_bb\r\n--=_b-\r\n --=_b\r\n" + GREEN),
        multipart(
            b"Content-Transfer-Encoding: quoted-printable\r\n\r\n--=3D_bb\r\n--=3D_b-\r\n --=3D_b\r\n"
            + printable(GREEN)
        ),
    ),
    "a message inside": (
        multipart(b"Content-Type: message/rfc822\r\n\r\n" + HEAD + b"\r\n" + LATIN, b"\r\nx"),
        multipart(
            b"Content-Type: message/rfc822\r\n\r\n"
            + HEAD
            + b"Content-Transfer-Encoding: quoted-printable\r\n"
            + UNKNOWN
            + b"\r\n"
            + printable(LATIN),
            b"\r\nx",
        ),
    ),
    "a digest": (
        multipart(b"\r\n" + MIME + part(GREEN), b"\r\n" + HEAD + b"\r\nx\r\n", kind=b"digest"),
        multipart(
            b"\r\n" + MIME + part(printable(GREEN), b"quoted-printable"),
            b"\r\n" + HEAD + b"\r\nx\r\n",
            kind=b"digest",
        ),
    ),
    "an international message inside": (
        multipart(b"Content-Type: message/global\r\n\r\nSubject: \xc3\xbc\r\n\r\n"),
        multipart(
            b"Content-Type: message/global\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogw7wNCg0K"
        ),
    ),
    "what is no header block, but fits": (
        multipart(part(GREEN), b"no field\r\n\r\nx"),
        multipart(part(printable(GREEN), b"quoted-printable"), b"no field\r\n\r\nx"),
    ),
    "text around the parts": (
        multipart(part(GREEN)).replace(b"\r\n\r\n--", b"\r\n\r\nF\xfcr\r\n--", 1) + b"F\xfcr\r\n",
        multipart(part(printable(GREEN), b"quoted-printable")).replace(b"\r\n\r\n--", b"\r\n\r\n\r\n--", 1),
    ),
    "text around the parts that fits": (
        multipart(part(GREEN)).replace(b"\r\n\r\n--", b"\r\n\r\nSee\r\n--", 1) + b"there\r\n",
        multipart(part(printable(GREEN), b"quoted-printable")).replace(b"\r\n\r\n--", b"\r\n\r\nSee\r\n--", 1)
        + b"there\r\n",
    ),
    "a signature that fits beside a part that does not": (
        multipart(
            part(GREEN),
            b"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n"
            + part(b"ascii")
            + b"\r\n--s\r\n\r\n\r\n--s--",
        ),
        multipart(
            part(printable(GREEN), b"quoted-printable"),
            b"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n"
            + part(b"ascii")
            + b"\r\n--s\r\n\r\n\r\n--s--",
        ),
    ),
}


@pytest.mark.clause("RFC6152-3c", "RFC4409-8.4a", "RFC6409-6.5a")
@pytest.mark.parametrize(("before", "after"), SEVEN.values(), ids=list(SEVEN))
def test_to_seven_bit(before: bytes, after: bytes) -> None:
    assert to_seven_bit(before) == after
    assert needs_of(after) == NOTHING
    assert to_seven_bit(after) is after


EIGHT: Final = {
    "binary": (
        multipart(part(GREEN), part(b"\0\r\n", b"binary", b"application/x"), cte=b"binary"),
        multipart(part(GREEN), part(b"AA0K", b"base64", b"application/x"), cte=b"8bit"),
    ),
    "binary that is text after all": (
        multipart(part(GREEN, b"binary"), part(b"ascii", b"Binary"), b"\r\n\0"),
        multipart(
            part(GREEN),
            part(b"ascii", b"8bit"),
            b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=00",
        ),
    ),
    "a long line": (
        MIME + part(b"x" * 999 + b"\r\n"),
        MIME + part((b"x" * 75 + b"=\r\n") * 13 + b"x" * 24 + b"\r\n", b"quoted-printable"),
    ),
    "a header block in UTF-8": (
        "Subject: grün\r\n".encode() + MIME + part(b"\0", b"binary", b"x/y"),
        "Subject: grün\r\n".encode() + MIME + part(b"AA==\r\n", b"base64", b"x/y"),
    ),
}


@pytest.mark.parametrize(("before", "after"), EIGHT.values(), ids=list(EIGHT))
def test_to_eight_bit(before: bytes, after: bytes) -> None:
    assert to_eight_bit(before) == after
    assert MessageNeed.BINARY not in needs_of(after)
    assert to_eight_bit(after) is after


@pytest.mark.clause("RFC6409-8a")
@pytest.mark.parametrize(
    ("convert", "message"),
    [
        (to_seven_bit, b""),
        (to_seven_bit, MIME + part(b"ascii", b"8bit")),
        (to_seven_bit, multipart(part(b"ascii"), kind=b"signed")),
        (to_eight_bit, multipart(part(GREEN), kind=b"signed")),
        (to_eight_bit, "Subject: grün\r\n\r\n".encode()),
    ],
)
def test_what_needs_no_change_is_not_changed(convert: Callable[[bytes], bytes], message: bytes) -> None:
    assert convert(message) is message


def nested(levels: int) -> bytes:
    """A part inside messages."""
    return MIME + b"Content-Type: message/rfc822\r\n\r\n" * levels + b"\r\n" + GREEN


@pytest.mark.parametrize(
    ("convert", "message", "reason"),
    [
        (to_seven_bit, "Subject: grün\r\n\r\n".encode() + GREEN, "header block"),
        (to_seven_bit, "grün".encode(), "header block"),
        (to_seven_bit, multipart(b"Content-Type: x/y; name=\xfc\r\n\r\n"), "header block"),
        (to_seven_bit, HEAD.replace(b"\r\n", b"\n") + b"\n" + GREEN, "header block"),
        (to_eight_bit, b"Subject: \0\r\n\r\n", "header block"),
        (to_eight_bit, b"Subject: " + b"x" * 998 + b"\r\n\r\n", "header block"),
        (to_seven_bit, multipart(part(GREEN), kind=b"signed; x=y"), "must not be changed"),
        (
            to_seven_bit,
            multipart(multipart(part(GREEN), kind=b"SIGNED").replace(b"=_b", b"=_i")),
            "must not be changed",
        ),
        (to_eight_bit, multipart(part(b"\0", b"binary"), kind=b"signed"), "must not be changed"),
        (to_seven_bit, MIME + part(GREEN, b"7bit", b"message/partial; id=x"), "must not be changed"),
        (to_seven_bit, MIME + part(GREEN, b"7bit", b"message/external-body"), "must not be changed"),
        (to_seven_bit, MIME + part(GREEN, b"7bit", b"message/delivery-status"), "must not be encoded"),
        (to_seven_bit, MIME + part(GREEN, b"x-unknown"), "must not be changed"),
        (to_seven_bit, MIME + part(GREEN, b"quoted-printable"), "must not be changed"),
        (to_eight_bit, MIME + part(b"YWJj" * 250, b"base64"), "must not be changed"),
        (to_seven_bit, MIME + part(GREEN, b"base64", b"multipart/mixed; boundary=x"), "must not be changed"),
        (to_seven_bit, MIME + part(GREEN, b"8bit", b"multipart/mixed"), "must not be changed"),
        (to_seven_bit, MIME + part(GREEN, b"8bit", b"multipart/mixed; boundary=x"), "must not be changed"),
        (to_seven_bit, multipart(b"no field\r\n\r\n" + GREEN), "no field"),
        (to_seven_bit, b"From alice\r\n" + multipart(part(GREEN)), "no field"),
        (to_seven_bit, nested(DEPTH + 1), "nested"),
    ],
)
def test_what_cannot_be_converted_is_an_error(
    convert: Callable[[bytes], bytes], message: bytes, reason: str
) -> None:
    with pytest.raises(ConversionError, match=reason):
        convert(message)
    assert issubclass(ConversionError, LocalProtocolError)


def test_parts_as_deep_as_can_be() -> None:
    assert needs_of(to_seven_bit(nested(DEPTH - 1))) == NOTHING


@pytest.mark.parametrize(
    "parameters",
    [
        b"boundary==_b",
        b"BOUNDARY = =_b",
        b'charset=x;\r\n boundary="=_b"',
        b'boundary="\\=_b"',
        b'name="; boundary=x"; boundary="=_b"',
        b"(a comment; boundary=x) boundary==_b",
        b"x=(\\); boundary=y) z; boundary==_b",
        b'boundary="=_b',
        b"boundary==_b; boundary=x",
    ],
)
def test_the_boundary_is_found(parameters: bytes) -> None:
    message = multipart(part(GREEN)).replace(b'boundary="=_b"', parameters)
    expected = multipart(part(printable(GREEN), b"quoted-printable")).replace(b'boundary="=_b"', parameters)
    assert to_seven_bit(message) == expected


# ---- any message, with the parser of the standard library as the judge ----

CONTENTS: Final = st.one_of(
    st.binary(max_size=80),
    st.lists(
        st.sampled_from(
            [b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\xfc", b"word ", b"=", b".", b"\0", b"x" * 90]
        ),
        max_size=12,
    ).map(b"".join),
    st.just(b"y" * 1100),
)
KINDS: Final = st.sampled_from(
    [None, b"text/plain", b"text/html; charset=utf-8", b"application/octet-stream", b"image/png"]
)
LABELS: Final = st.sampled_from([None, b"7bit", b"8bit", b"BINARY"])


def fields(kind: bytes | None, label: bytes | None) -> bytes:
    lines = [b"X-Kept:  as it\r\n is\r\n"]
    if kind is not None:
        lines.append(b"Content-Type: " + kind + b"\r\n")
    if label is not None:
        lines.append(b"Content-Transfer-Encoding: " + label + b"\r\n")
    return b"".join(lines)


@st.composite
def entities(draw: st.DrawFn, depth: int = 0) -> bytes:
    """A header block and a body, with parts up to a few levels."""
    shape = draw(st.sampled_from(["leaf", "leaf", "multipart", "message"] if depth < 3 else ["leaf"]))
    label = draw(LABELS)
    if shape == "leaf":
        return fields(draw(KINDS), label) + b"\r\n" + draw(CONTENTS)
    if shape == "message":
        inner = b"Subject: inner\r\n" + draw(entities(depth + 1))
        return fields(b"message/rfc822", label) + b"\r\n" + inner
    delimiter = b"--=_%d" % depth
    parts = draw(st.lists(entities(depth + 1), min_size=1, max_size=3))
    kind = b'multipart/mixed; boundary="=_%d"' % depth
    return b"".join(
        (
            fields(kind, label),
            b"\r\n",
            draw(st.sampled_from([b"", b"See\r\n"])),
            *(delimiter + b"\r\n" + each + b"\r\n" for each in parts),
            delimiter,
            b"--\r\n",
            draw(st.sampled_from([b"", b"there\r\n"])),
        )
    )


MESSAGES: Final = st.builds(lambda head, entity: head + entity, st.sampled_from([HEAD, MIME]), entities())


def walked(message: bytes) -> Iterator[email.message.Message]:
    return email.message_from_bytes(message).walk()


def content(entity: email.message.Message) -> object:
    """What a reader gets out of a part."""
    return None if entity.is_multipart() else entity.get_payload(decode=True)


CHANGEABLE: Final = frozenset({"content-transfer-encoding", "mime-version", "content-type"})


def kept(entity: email.message.Message) -> list[tuple[str, str]]:
    return [(name, value) for name, value in entity.items() if name.lower() not in CHANGEABLE]


@given(MESSAGES, st.sampled_from([to_seven_bit, to_eight_bit]))
def test_parts_decode_to_the_octets_that_they_had(message: bytes, convert: Callable[[bytes], bytes]) -> None:
    converted = convert(message)
    left = MessageNeed.EIGHT_BIT if convert is to_eight_bit else NOTHING
    assert needs_of(converted) & ~left == NOTHING
    before, after = list(walked(message)), list(walked(converted))
    assert [entity.get_content_type() for entity in after] == [entity.get_content_type() for entity in before]
    assert [content(entity) for entity in after] == [content(entity) for entity in before]
    assert [kept(entity) for entity in after] == [kept(entity) for entity in before]
    assert convert(converted) is converted


@given(MESSAGES)
def test_no_part_is_wider_than_the_one_it_is_in(message: bytes) -> None:
    converted = to_seven_bit(message)
    if converted is not message:
        labels = {str(part.get("Content-Transfer-Encoding", "7bit")).lower() for part in walked(converted)}
        assert labels <= {"7bit", "base64", "quoted-printable"}


@given(st.binary(max_size=300), st.sampled_from([to_seven_bit, to_eight_bit]))
def test_any_octets_are_converted_or_refused(octets: bytes, convert: Callable[[bytes], bytes]) -> None:
    message = MIME + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n' + octets
    try:
        converted = convert(message)
    except ConversionError:
        return
    assert MessageNeed.BINARY not in needs_of(converted)
