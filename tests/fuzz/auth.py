"""Mangled AUTH exchanges: `python -m tests.fuzz.auth --count 100000 --seed N`.

Invariant: whatever comes, a server ends in success, a refusal or 501, and in success exactly for what the
right secret was used to make; a client ends in a response or MechanismError (a session: in SessionError or
RemoteProtocolError), takes nobody for the server who does not know the secret where the mechanism can tell,
and answers nobody for ever; nothing raises anything else.

What a mangled token may differ in and still be right is, exactly, in the functions of `mechanisms`:

All: white space behind the line of AUTH, which is none of it.
SCRAM, NTLM with a MIC, GSSAPI, GSS-SPNEGO: nothing. Behind `v=` of SCRAM's last message extensions may stand.
PLAIN, LOGIN: what SASLprep makes the same text; the user's letter case, which UserStore does not look at.
CRAM-MD5: the same for the user's name. The digest is over the challenge alone.
NTLM without a MIC: the user's letter case, and all but NTLMv2's response, the names and ANONYMOUS.
XOAUTH2, OAUTHBEARER: the letter case and the order of the fields, those that nobody knows, how many spaces
stand behind `Bearer`, an empty user (the token names its own), the user as in PLAIN.
EXTERNAL: there is no secret; any of the two names of the certificate's owner (empty, and in full).
ANONYMOUS: there is no secret, and nobody is ever proved.
"""

from __future__ import annotations

import argparse
import base64 as reference
import random
from collections import Counter
from collections.abc import Callable
from typing import Final

import attrs
from tests.fuzz.lines import decoded, pump, received, say
from tests.fuzz.mangling import Mangler
from tests.fuzz.mechanisms import BY_TITLE, CASES, ITERATIONS, TLS, Case, Exchange, answer, fake_kerberos
from tests.helpers.driver import server_config
from tests.helpers.sasl import session_options

from ehlo import (
    AuthenticationFailed,
    ClientConnection,
    ConnectionClosed,
    Limits,
    RemoteProtocolError,
    ServerConfig,
    ServerConnection,
    SessionError,
    SessionOptions,
    State,
    TLSInfo,
    TlsMode,
    Trace,
)
from ehlo.flows import open_session
from ehlo.sasl import (
    Challenge,
    ClientMechanism,
    Done,
    MechanismError,
    Refuse,
    ServerMechanism,
    ServerMechanisms,
    Step,
    proved,
)
from ehlo.testing import run
from ehlo.wire import base64

MOST_ANSWERS: Final = 4
"""No mechanism has more to say than that."""
MOST_LINES: Final = 2 + 2 * (2 + MOST_ANSWERS)
"""EHLO, QUIT, and AUTH twice (without its initial response after a 501), each with a cancel."""
_LIMITS: Final = Limits(scram_least=ITERATIONS.start, scram_most=ITERATIONS.stop - 1)


def settle(server: ServerMechanism, step: Step) -> Step:
    """Answers what the application is asked."""
    while not isinstance(step, Challenge | Done | Refuse):
        step = server.answer(answer(step))
    return step


class Trial:
    """One mangled exchange of a mechanism; `outcome` is a word for the statistics."""

    def __init__(self, case: Case, mechanisms: ServerMechanisms, good: Good, source: random.Random) -> None:
        case.source[0] = self.source = source
        self.case = case
        self.mechanisms = mechanisms
        self.good = good
        self.mangler = Mangler(source, good.known)
        self.exchange = Exchange()
        self._turn = self._victim = 0
        # What the client has to say to a first, empty challenge, because it was not heard before.
        self._held: bytes | None = None

    def _aim(self, turns: int) -> None:
        """Choose which of so many tokens is sure to be another; later ones may be."""
        self._victim = self.source.randrange(turns)

    def _hits(self) -> bool:
        """Whether the token whose turn it is shall be mangled."""
        self._turn += 1
        return self._turn - 1 == self._victim or (self._turn > self._victim and self.source.random() < 0.2)

    # ---- the server role ----

    def server_mechanism(self) -> str:
        self._aim(self.good.responses)
        client = self.case.client(self.case.client_context)
        server = self.case.server(self.mechanisms)
        own = client.initial()
        if server.server_first:
            # That no initial response comes to it is the connection's business.
            self._aim(self.good.responses - 1)
            step = settle(server, server.start(None))
        else:
            step = settle(server, server.start(self._initial(own)))
        turns = 0
        while isinstance(step, Challenge):
            turns += 1
            assert turns <= MOST_ANSWERS
            self.exchange.said.append(step.data)
            step = settle(server, server.respond(self._response(client, base64.encode(step.data))))
        if isinstance(step, Done):
            assert step.identity.mechanism == self.case.name
            return self._judge(proved(step.identity), "anonymous")
        assert isinstance(step, Refuse)
        return self._judge(False, "malformed" if step.malformed else "refused")

    def _initial(self, own: bytes | None) -> bytes | None:
        """What becomes of the initial response; dropped, it is what the first challenge is answered by."""
        given, hit = own, self._hits()
        if hit and self.source.random() < 0.1:
            given = None
        elif hit:
            given = self.mangler.token(own or b"")
        if given is None:
            self._held = own
        else:
            self._note(own, given)
        return given

    def _note(self, own: bytes | None, given: bytes | None) -> None:
        # A token that the client would not have said here is none of its own.
        self.exchange.sent.append(b"\0nothing" if own is None else own)
        self.exchange.heard.append(given)

    def _response(self, client: ClientMechanism, text: bytes) -> bytes:
        own, token = self._own(client, text)
        given = self.mangler.token(token) if self._hits() else token
        self._note(own, given)
        return given

    def _own(self, client: ClientMechanism, text: bytes) -> tuple[bytes | None, bytes]:
        """What the client has to say, and what is said instead where that is nothing."""
        own, self._held = self._held, None
        if own is None:
            try:
                own = client.respond(text)
            except MechanismError:
                return None, self.source.choice(self.mangler.known)
        return own, own

    def _judge(self, success: bool, otherwise: str) -> str:
        assert success == self.case.derived(self.exchange)
        return "success" if success else otherwise

    def server_connection(
        self, config: ServerConfig, trace: Trace | None = None, watch: Callable[[object], object] = id
    ) -> str:
        """`watch` is shown the connection after each line."""
        self._aim(self.good.responses)
        client = self.case.client(self.case.client_context)
        conn = ServerConnection(config, trace=trace)
        conn.start_tls_done(TLS)
        pump(conn)
        say(conn, b"EHLO client.example")
        line = b"AUTH " + self.case.name.encode()
        own, hit = client.initial(), self._hits()
        if hit or own is not None:
            # Or the client has nothing to say yet, and somebody says something.
            text = self.mangler.text(own or b"") if hit else base64.encode(own or b"")
            # White space at the end of a command is none of it.
            text = text.replace(b"\r\n", b"\n").rstrip(b" \t") or b"="
            line += b" " + text
            self._note(own, b"" if text == b"=" else received(text, len(line) - len(text)))
        reply = say(conn, line)
        turns = 0
        while reply.startswith(b"334 "):
            turns += 1
            assert turns <= MOST_ANSWERS
            watch(conn)
            reply = say(conn, self._line(client, reply[4:]))
        outcome = self._judge(proved(conn.identity), reply[:3].decode())
        assert reply.startswith(b"235") == (conn.identity is not None)
        # Both sides are in step: the next command gets its one reply.
        if not isinstance(conn.next_event(), ConnectionClosed):
            assert say(conn, b"NOOP").startswith(b"250 ")
        return outcome

    def _line(self, client: ClientMechanism, text: bytes) -> bytes:
        self.exchange.said.append(reference.b64decode(text))
        own, token = self._own(client, text)
        line = self.mangler.text(token) if self._hits() else base64.encode(token)
        self._note(own, received(line))
        return line

    # ---- the client role ----

    def client_mechanism(self) -> str:
        self._aim(max(self.good.challenges, 1))
        client = self.case.client(self.case.client_context)
        server = self.case.server(self.mechanisms)
        step = settle(server, server.start(client.initial()))
        answers = 0
        try:
            while True:
                if isinstance(step, Challenge):
                    self.exchange.said.append(step.data)
                    step = settle(server, server.respond(client.respond(self.challenge(step.data))))
                elif self._turn <= self._victim or self.source.random() < 0.5:
                    # The server has no more to say, and whoever speaks in its place goes on.
                    self.exchange.said.append(b"\0nothing")
                    client.respond(self.challenge(self.source.choice(self.mangler.known)))
                else:
                    break
                answers += 1
                assert answers <= MOST_ANSWERS
            client.succeeded()
        except MechanismError:
            return "mechanism error"
        if self.case.proves_server:
            assert self.exchange.told[:-1] == self.exchange.said[:-1]
            assert self._convinced()
        return "convinced"

    def challenge(self, token: bytes) -> bytes:
        text = self.mangler.text(token) if self._hits() else base64.encode(token)
        self.exchange.told.append(decoded(text))
        return text

    def _convinced(self) -> bool:
        """Whether what the client was told last is what a server said that knows the secret."""
        last, proof = self.exchange.told[-1], self.exchange.said[-1]
        extended = "SCRAM" in self.case.name and last is not None and last.startswith(proof + b",")
        return last == proof or extended

    def options(self) -> SessionOptions:
        return session_options(
            tls=TlsMode.IMPLICIT,
            auth=self.case.credentials,
            mechanisms=(self.case.name,),
            random=self.case.random,
            initial_response=self.source.random() < 0.3,
        )

    def client_session(self, config: ServerConfig) -> str:
        self._aim(self.good.challenges + 1)
        link = Link(self, ServerConnection(config))
        try:
            run(open_session(ClientConnection(limits=_LIMITS), self.options()), link)
        except AuthenticationFailed as error:
            return error.cause.name.lower().replace("_", " ")
        except SessionError as error:
            return type(error).__name__
        except RemoteProtocolError:
            return "protocol error"
        finally:
            assert link.lines <= MOST_LINES
        if self.case.proves_server:
            assert link.conn.identity is not None
            assert self._convinced()
        return "opened"

    def reply(self, line: bytes) -> bytes:
        """What becomes of a reply in the exchange on its way to the client, CRLF apart."""
        changed = self._changed(line) if self._hits() else line
        if b"334" in (line[:3], changed[:3]):
            self.exchange.said.append(decoded(line[4:]) or b"" if line.startswith(b"334") else b"\0nothing")
            self.exchange.told.append(decoded(changed[4:]) if changed.startswith(b"334") else None)
        return changed

    def _changed(self, line: bytes) -> bytes:
        if line.startswith(b"334") and self.source.random() < 0.8:
            token = decoded(line[4:]) or b""
            return b"334 " + self.mangler.text(token).translate(None, b"\r\n")
        known = base64.encode(self.source.choice(self.mangler.known))
        others = (
            b"235 2.7.0 ok",
            b"334 " + known,
            b"334",
            b"334 ",
            b"535 5.7.8 no",
            b"432 4.7.12 PLAIN",
            b"454 later",
        )
        return self.source.choice(
            (*others, b"501 what", b"504 5.5.4 no", b"421 bye", b"250 ok", b"334-x\r\n334 " + known)
        )


class Link:
    """The client's connection to a server, with somebody on it who changes what the server says."""

    def __init__(self, trial: Trial, conn: ServerConnection) -> None:
        self.trial = trial
        self.conn = conn
        self.lines = 0
        self._inbox = bytearray()
        self._closed = False

    def send(self, data: bytes) -> None:
        if self._closed:
            raise BrokenPipeError
        self.lines += data.count(b"\r\n")
        self._hear(data)

    def _hear(self, data: bytes) -> None:
        in_auth = data.startswith(b"AUTH ") or self.conn.state is State.AUTH
        self.conn.receive_data(data)
        replies = pump(self.conn)
        if in_auth:
            replies = b"".join(self.trial.reply(line) + b"\r\n" for line in replies.split(b"\r\n")[:-1])
        self._inbox += replies
        self._closed = isinstance(self.conn.next_event(), ConnectionClosed)

    def receive(self, most: int) -> bytes | None:
        data = bytes(self._inbox[:most])
        del self._inbox[:most]
        if not data and not self._closed:
            # Nothing comes any more: the client's patience ends.
            raise TimeoutError
        return data

    def poll(self) -> bytes | None:
        return self.receive(len(self._inbox)) if self._inbox else None

    def start_tls(self, received: bytes) -> TLSInfo:
        self.conn.start_tls_done(TLS)
        self._inbox += pump(self.conn)
        return TLS

    def close(self) -> None:
        self._closed = True

    def stuck(self) -> AssertionError:
        return AssertionError("nothing comes")


@attrs.frozen
class Good:
    """A good exchange."""

    known: list[bytes]
    """The tokens of both sides."""
    responses: int
    """With the initial one, whether there is one or not."""
    challenges: int


Run = Callable[[Trial, ServerConfig], str]
RUNS: Final[dict[tuple[str, str], Run]] = {
    ("server", "mechanism"): lambda trial, _: trial.server_mechanism(),
    ("server", "connection"): lambda trial, config: trial.server_connection(config),
    ("client", "mechanism"): lambda trial, _: trial.client_mechanism(),
    ("client", "connection"): lambda trial, config: trial.client_session(config),
}


def rehearse(case: Case) -> Good:
    """Raises AssertionError when the two sides do not understand each other."""
    case.source[0] = random.Random(case.title)  # noqa: S311
    client, server = case.client(case.client_context), case.server(case.mechanisms)
    responses, challenges = [client.initial()], []
    step = settle(server, server.start(responses[0]))
    while isinstance(step, Challenge):
        challenges.append(step.data)
        responses.append(client.respond(base64.encode(step.data)))
        step = settle(server, server.respond(responses[-1] or b""))
    assert isinstance(step, Done)
    client.succeeded()
    return Good([b"", *filter(None, responses), *challenges], len(responses), len(challenges))


def fuzz(case: Case, role: str, level: str, *, seed: int, count: int, first: int = 0) -> Counter[str]:
    """So many mangled exchanges, and how often they ended in what. Raises what a defect raises."""
    play = RUNS[role, level]
    with fake_kerberos():
        good, mechanisms = rehearse(case), case.mechanisms
        config = server_config(mechanisms=mechanisms)
        outcomes: Counter[str] = Counter()
        for number in range(first, first + count):
            source = random.Random(f"{seed} {case.title} {role} {level} {number}")  # noqa: S311
            try:
                outcomes[play(Trial(case, mechanisms, good, source), config)] += 1
            except Exception as error:
                again = f"--mechanism {case.title} --role {role} --level {level} --seed {seed}"
                error.add_note(f"again: python -m tests.fuzz.auth {again} --first {number} --count 1")
                raise
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.auth", description="Mangled AUTH exchanges.")
    parser.add_argument("--count", type=int, default=1000, help="exchanges of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first exchange")
    parser.add_argument("--mechanism", action="append", choices=BY_TITLE)
    parser.add_argument("--role", action="append", choices=["server", "client"])
    parser.add_argument("--level", action="append", choices=["mechanism", "connection"])
    given = parser.parse_args()
    for case in CASES:
        if given.mechanism and case.title not in given.mechanism:
            continue
        for role, level in RUNS:
            if (given.role and role not in given.role) or (given.level and level not in given.level):
                continue
            found = fuzz(case, role, level, seed=given.seed, count=given.count, first=given.first)
            told = ", ".join(f"{outcome} {count}" for outcome, count in found.most_common())
            print(f"{case.title} {role} {level}: {told}", flush=True)


if __name__ == "__main__":
    main()
