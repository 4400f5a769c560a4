"""Time against the size of the input: what grows faster than its input is an attack."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import ehlo
from benchmarks import plot, report
from benchmarks.harness import Job, Metrics, Plan, interleave
from benchmarks.machine import new_record, pinned
from benchmarks.messages import CLIENT_NAME, DATA, EHLO, KIB, MAIL, MIB, RCPT, SENDER, SERVER_NAME, message
from benchmarks.record import Record
from benchmarks.stats import Stat, exponent, with_spread, worst_doubling

TITLE: Final = "Scaling"
HOW: Final = (
    "CPU time of one connection for inputs of growing size. The exponent is the slope on logarithmic axes: "
    "1 is linear, 2 quadratic. The doubling is the worst growth of time between neighbouring sizes, taken "
    "to twice the input."
)
SUMMARY: Final = "all sizes"
_PIECE: Final = 65536

_LIMITS: Final = ehlo.Limits(
    message_size=None, recipients=1 << 20, idle_commands=1 << 20, errors=1 << 20, overlong_line=1 << 24
)
_CONFIG: Final = ehlo.ServerConfig(hostname=SERVER_NAME, policy=ehlo.OPEN_TEST, limits=_LIMITS)
_NO_DECISION: Final = (ehlo.BodyChunk, ehlo.TransactionReset, ehlo.QuitReceived, ehlo.ConnectionClosed)


def _server(*lines: bytes) -> ehlo.ServerConnection:
    conn = ehlo.ServerConnection(_CONFIG)
    _feed(conn, b"")
    for line in (EHLO, *lines):
        _feed(conn, line)
    return conn


def _feed(conn: ehlo.ServerConnection, octets: bytes) -> None:
    if octets:
        conn.receive_data(octets)
    while not isinstance(event := conn.next_event(), ehlo.Pause):
        if not isinstance(event, _NO_DECISION):
            conn.accept()
    conn.data_to_send()


def _cut(octets: bytes, size: int) -> Iterator[bytes]:
    return (octets[start : start + size] for start in range(0, len(octets), size))


def _feeds(prepare: Callable[[], ehlo.ServerConnection], pieces: list[bytes]) -> Metrics:
    conn = prepare()
    start = time.process_time()
    for piece in pieces:
        _feed(conn, piece)
    return {"seconds": time.process_time() - start}


def _body(size: int) -> Metrics:
    # The pieces are cut as they are fed: 100 MB shall not be there twice.
    content, conn = message(size), _server(MAIL, RCPT, DATA)
    start = time.process_time()
    for piece in _cut(content, _PIECE):
        _feed(conn, piece)
    _feed(conn, b".\r\n")
    return {"seconds": time.process_time() - start}


def _octets_of_body(size: int) -> Metrics:
    pieces = list(_cut(message(size) + b".\r\n", 1))
    return _feeds(partial(_server, MAIL, RCPT, DATA), pieces)


def _octets_of_commands(size: int) -> Metrics:
    return _feeds(_server, list(_cut(b"NOOP\r\n" * (size // 6), 1)))


def _octets_of_one_line(size: int) -> Metrics:
    return _feeds(_server, [*_cut(b"NOOP " + b"x" * size + b"\r\n", 1)])


def _long_line(size: int) -> Metrics:
    return _feeds(_server, [*_cut(b"NOOP " + b"x" * size, KIB), b"\r\n"])


def _short_lines(size: int) -> Metrics:
    body = b"a\r\n" * (size // 3) + b".\r\n"
    return _feeds(partial(_server, MAIL, RCPT, DATA), list(_cut(body, _PIECE)))


def _dot_lines(size: int) -> Metrics:
    body = b"..\r\n" * (size // 4) + b".\r\n"
    return _feeds(partial(_server, MAIL, RCPT, DATA), list(_cut(body, _PIECE)))


def _recipients(count: int) -> Metrics:
    lines = [b"RCPT TO:<user%d@server.example>\r\n" % index for index in range(count)]
    return _feeds(partial(_server, MAIL), lines)


def _pipelined(count: int) -> Metrics:
    return _feeds(_server, [b"NOOP\r\n" * count])


def _client_recipients(count: int) -> Metrics:
    conn = ehlo.ClientConnection(limits=ehlo.Limits(pipeline=1 << 20))
    for reply in (b"220 mx\r\n", b"250-mx\r\n250 PIPELINING\r\n"):
        conn.receive_data(reply)
        conn.next_event()
        if conn.state is ehlo.State.HELLO:
            conn.send(ehlo.Ehlo(CLIENT_NAME))
    start = time.process_time()
    found = ehlo.envelope(SENDER, [f"user{index}@server.example" for index in range(count)])
    conn.send(ehlo.Mail(found.reverse_path))
    for recipient in found.recipients:
        conn.send(ehlo.Rcpt(recipient.path))
    conn.data_to_send()
    conn.receive_data(b"250 2.0.0 Ok\r\n" * (count + 1))
    for _ in range(count + 1):
        assert isinstance(conn.next_event(), ehlo.ReplyReceived)
    return {"seconds": time.process_time() - start}


def _client_replies(size: int) -> Metrics:
    conn = ehlo.ClientConnection(limits=ehlo.Limits(reply_lines=1 << 20, reply_octets=1 << 24))
    pieces = list(_cut(b"220-mx.server.example ESMTP\r\n" * (size // 29) + b"220 mx\r\n", 1))
    start = time.process_time()
    for piece in pieces:
        conn.receive_data(piece)
        conn.next_event()
    return {"seconds": time.process_time() - start}


_Series = tuple[Callable[[int], Metrics], tuple[int, ...]]
_OCTETS: Final = tuple(KIB << n for n in range(3, 9))
_MANY: Final = (625, 1250, 2500, 5000, 10000)
_SERIES: Final[dict[str, _Series]] = {
    "body, 1 octet a feed": (_octets_of_body, _OCTETS),
    "commands, 1 octet a feed": (_octets_of_commands, _OCTETS[:-1]),
    "one long command, 1 octet a feed": (_octets_of_one_line, _OCTETS),
    "one command of up to 1 MB": (_long_line, tuple(64 * KIB << n for n in range(5))),
    "body of lines of 1 octet": (_short_lines, tuple(MIB << n for n in range(5))),
    "body of dots only": (_dot_lines, tuple(MIB << n for n in range(5))),
    "body up to 100 MB": (_body, tuple(size * MIB for size in (12, 25, 50, 100))),
    "recipients": (_recipients, _MANY),
    "pipelined commands": (_pipelined, _MANY),
    "client: recipients": (_client_recipients, _MANY),
    "client: a reply, 1 octet a feed": (_client_replies, _OCTETS[:-1]),
}


def _sizes(series: _Series, plan: Plan) -> tuple[int, ...]:
    # Quick: the same shape, smaller; 64 octets at least, so that there is a time to measure.
    return tuple(max(64, size // 16) for size in series[1]) if plan.quick else series[1]


def measure(plan: Plan) -> Record:
    record = new_record("scaling", quick=plan.quick)
    jobs = [
        Job(name, str(size), partial(series[0], size))
        for name, series in _SERIES.items()
        for size in _sizes(series, plan)
    ]
    with pinned():
        interleave(record, jobs, plan.number_of_rounds(3))
    for name in _SERIES:
        points = _points(record, name)
        if len(points) > 1:
            sizes, times = [size for size, _ in points], [seconds for _, seconds in points]
            found = {"exponent": exponent(sizes, times), "doubling": worst_doubling(sizes, times)}
            record.add(SUMMARY, name, found)
    return record


def _points(record: Record, name: str) -> list[tuple[float, float]]:
    """Size and best time: noise only ever adds."""
    stats = ((int(size), record.stat(name, size, "seconds")) for size in record.cases.get(name, {}))
    return [(float(size), stat.low) for size, stat in stats if stat is not None]


def write(record: Record) -> None:
    series = {name: _points(record, name) for name in _SERIES}
    drawn = plot.lines(record, series, ("octets, or commands", "seconds of CPU"))
    rows = []
    for name, points in series.items():
        summary = (record.stat(SUMMARY, name, metric) for metric in ("exponent", "doubling"))
        cells = [with_spread(stat) for stat in summary]
        largest = Stat.of([points[-1][1]]) if points else None
        rows.append([name, f"{points[-1][0]:,.0f}" if points else "-", with_spread(largest), *cells])
    header = ["input", "largest", "seconds of CPU for it", "exponent", "worst doubling"]
    report.write(
        record, TITLE, HOW, [report.Text(title="Growth", body=report.table(header, rows))], plot=drawn
    )
