"""The dot codec and the parsers of lines, beside a copy of the same octets."""

from __future__ import annotations

import gc
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import ehlo
from benchmarks import plot, report
from benchmarks.harness import Job, Metrics, Plan, interleave
from benchmarks.machine import new_record, pinned
from benchmarks.messages import CLIENT_NAME, MAIL, MIB, RCPT, SERVER_NAME, base64_message, message, stuffed
from benchmarks.record import Record
from ehlo.wire import dot

TITLE: Final = "The dot codec and the parsers"
HOW: Final = (
    "Bodies of text in lines of 76 characters, of which none, one of a hundred or all begin with a dot, and "
    "of base64. "
    "ehlo's codecs get them in pieces of 64 KiB, all others whole. `ehlo decode` finds the end of data, "
    "looks for bare CR and LF and for octets over 127, and takes the dots away; `unstuffing alone` is that "
    "last step of it. `ehlo encode` looks for bare CR and LF and stuffs; smtplib does so with two `re.sub`. "
    "A copy is `bytes()` of the same octets."
)
_PIECE: Final = 65536
_BODIES: Final[dict[str, Callable[[int], bytes]]] = {
    "no dot lines": message,
    "1 % dot lines": partial(message, dotted=1),
    "all dot lines": partial(message, dotted=100),
    "base64": base64_message,
}

# As smtplib has them for text: _fix_eols and _quote_periods.
_EOL: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n))")
_DOT: Final = re.compile(rb"(?m)^\.")
# As ehlo.wire.dot has it.
_UNSTUFF: Final = re.compile(rb"\r\n\.")


def _pieces(octets: bytes) -> list[bytes]:
    return [octets[start : start + _PIECE] for start in range(0, len(octets), _PIECE)]


def _copy(view: memoryview) -> None:
    bytes(view)


def _decode(pieces: list[bytes], size: int) -> None:
    decoder = dot.DotDecoder()
    for piece in pieces:
        _, rest = decoder.decode(piece)
    assert rest == b""
    assert decoder.size == size


def _unstuff_alone(pieces: list[bytes]) -> None:
    for piece in pieces:
        b"\r\n".join(_UNSTUFF.split(piece))


def _encode(pieces: list[bytes]) -> None:
    encoder = dot.DotEncoder()
    for piece in pieces:
        encoder.encode(piece)
    encoder.finish()


def _replace_stuffed(octets: bytes) -> None:
    octets.replace(b"\r\n..", b"\r\n.")


def _replace_plain(octets: bytes) -> None:
    octets.replace(b"\r\n.", b"\r\n..")


def _smtplib(octets: bytes) -> None:
    _DOT.sub(b"..", _EOL.sub(b"\r\n", octets))


def _timed(run: Callable[[], None], octets: int, times: int) -> Metrics:
    gc.collect()
    start = time.perf_counter()
    for _ in range(times):
        run()
    return {"mb": octets * times / MIB / (time.perf_counter() - start)}


def _body_jobs(size: int, label: str, times: int) -> list[Job]:
    jobs = []
    for name, make in _BODIES.items():
        plain = make(size)
        wire = stuffed(plain)
        view, pieces, stuffed_pieces = memoryview(wire), _pieces(plain), _pieces(wire)
        runs: dict[str, Callable[[], None]] = {
            "copy": partial(_copy, view),
            "ehlo decode": partial(_decode, stuffed_pieces, len(plain)),
            "ehlo decode, unstuffing alone": partial(_unstuff_alone, stuffed_pieces),
            "bytes.replace, unstuffing": partial(_replace_stuffed, wire),
            "ehlo encode": partial(_encode, pieces),
            "bytes.replace, stuffing": partial(_replace_plain, plain),
            "smtplib, two re.sub": partial(_smtplib, plain),
        }
        for subject, run in runs.items():
            repeat = 1 if subject.startswith("smtplib") else times * (5 if subject == "copy" else 1)
            jobs.append(Job(f"{label}, {name}", subject, partial(_timed, run, len(plain), repeat)))
    return jobs


# ---- lines ----

_REPLY: Final = b"250 2.0.0 Ok\r\n"
_EHLO_REPLY: Final = b"250-mx.server.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 67108864\r\n"


def _take_replies(octets: bytes, count: int) -> Metrics:
    conn = ehlo.ClientConnection()
    conn.receive_data(b"220 mx.server.example ESMTP\r\n")
    conn.next_event()
    conn.send(ehlo.Ehlo(CLIENT_NAME))
    conn.receive_data(_EHLO_REPLY)
    conn.next_event()
    for _ in range(count):
        conn.send(ehlo.Rset())
    gc.collect()
    start = time.perf_counter()
    conn.receive_data(octets)
    for _ in range(count):
        assert isinstance(conn.next_event(), ehlo.ReplyReceived)
    return {"mb": len(octets) / MIB / (time.perf_counter() - start)}


def _parse_commands(octets: bytes, count: int) -> None:
    config = ehlo.ServerConfig(
        hostname=SERVER_NAME, policy=ehlo.OPEN_TEST, limits=ehlo.Limits(recipients=1 << 20)
    )
    conn = ehlo.ServerConnection(config)
    conn.receive_data(b"EHLO client.example\r\n" + MAIL + octets)
    found = 0
    while (event := conn.next_event()) is not ehlo.NEED_DATA:
        found += isinstance(event, ehlo.RcptReceived)
        conn.accept()
    assert found == count


def _split_only(octets: bytes, count: int) -> None:
    assert len(octets.split(b"\r\n")) == count + 1


def _line_jobs(count: int) -> list[Job]:
    replies, commands = _REPLY * count, RCPT * count
    first, second = f"{count:,} replies", f"{count:,} RCPT commands"
    split = partial(_split_only, commands, count)
    parse = partial(_parse_commands, commands, count)
    return [
        Job(first, "copy", partial(_timed, partial(_copy, memoryview(replies)), len(replies), 20)),
        Job(first, "ehlo client, parse and match", partial(_take_replies, replies, count)),
        Job(second, "copy", partial(_timed, partial(_copy, memoryview(commands)), len(commands), 20)),
        Job(second, "split at CRLF", partial(_timed, split, len(commands), 5)),
        Job(second, "ehlo server, parse and answer", partial(_timed, parse, len(commands), 1)),
    ]


def measure(plan: Plan) -> Record:
    record = new_record("codec", quick=plan.quick)
    jobs = _body_jobs((1 if plan.quick else 10) * MIB, "10 MB", 2)
    jobs += _body_jobs((2 if plan.quick else 100) * MIB, "100 MB", 1)
    jobs += _line_jobs(1000)
    with pinned():
        interleave(record, jobs, plan.number_of_rounds(5))
    return record


_OURS: Final = (
    "ehlo decode",
    "ehlo decode, unstuffing alone",
    "ehlo encode",
    "ehlo client, parse and match",
    "ehlo server, parse and answer",
)
_PAIRS: Final = (
    ("ehlo decode", "bytes.replace, unstuffing"),
    ("ehlo decode, unstuffing alone", "bytes.replace, unstuffing"),
    ("ehlo encode", "smtplib, two re.sub"),
    ("ehlo encode", "bytes.replace, stuffing"),
)


def write(record: Record) -> None:
    drawn = plot.bars(record, "mb", "MiB a second (more is better)")
    sections = (
        report.Ratios(
            title="Speed of ehlo / of the other (over 1: ehlo is faster)", metric="mb", pairs=_PAIRS
        ),
        report.Ratios(
            title="Speed / speed of a copy",
            metric="mb",
            pairs=[(ours, "copy") for ours in _OURS],
        ),
        report.Values(title="MiB a second", metric="mb"),
    )
    report.write(record, TITLE, HOW, sections, plot=drawn)
