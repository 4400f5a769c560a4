"""XCLIENT with those who have known it for long: Postfix as a server, swaks as a client."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest
from tests.interop.clients import run
from tests.interop.postfix import Postfix

import ehlo
import ehlo_io.blocking

SAID = ehlo.XClient(name="a.example", addr=ip_address("192.0.2.7"), helo="b.example", login="alice")
SENDER = ehlo.Mailbox("a", "a.example")


def _converse(port: int, *commands: ehlo.Command) -> list[ehlo.Reply]:
    """The reply to each command, the greeting first."""
    conn, replies = ehlo.ClientConnection(), []
    todo = list(commands)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        while conn.state is not ehlo.State.CLOSED:
            match conn.next_event():
                case ehlo.NEED_DATA:
                    conn.receive_data(sock.recv(65536))
                    continue
                case ehlo.BodyWanted():
                    conn.send_body(b"Subject: x\r\n\r\ntext\r\n")
                    conn.end_body()
                case (
                    ehlo.GreetingReceived(reply) | ehlo.EhloReceived(_, reply) | ehlo.ReplyReceived(_, reply)
                ):
                    replies.append(reply)
                    if todo:
                        conn.send(todo.pop(0))
                case event:
                    pytest.fail(f"{event!r} was not to come")
            sock.sendall(conn.data_to_send())
    return replies


@pytest.mark.peer("postfix")
def test_postfix_takes_the_client_for_another(postfix: Postfix) -> None:
    recipient = "xclient@local.example"
    envelope = (ehlo.Mail(SENDER), ehlo.Rcpt(ehlo.Mailbox("xclient", "local.example")), ehlo.Data())
    commands = (
        ehlo.Ehlo("p.example"),
        ehlo.XClientCommand(SAID),
        ehlo.Ehlo("b.example"),
        *envelope,
        ehlo.Quit(),
    )
    codes = [reply.code for reply in _converse(postfix.port, *commands)]
    assert codes == [220, 250, 220, 250, 250, 250, 250, 221]
    header = postfix.wait_for(recipient).split(b"\r\n\r\n")[0]
    assert b"from b.example (a.example [192.0.2.7])" in header


@pytest.mark.peer("swaks")
@pytest.mark.parametrize("trusted", [True, False])
def test_swaks_speaks_for_another(trusted: bool) -> None:
    class Looking:
        clients: list[tuple[str | None, str | None]]

        def on_message(self, session: ehlo.Session, *_: object) -> None:
            identity = session.identity
            self.clients.append((session.peer, identity.authzid if identity else None))

    handler = Looking()
    handler.clients = []
    proxies = ["127.0.0.1"] if trusted else ["192.0.2.1"]
    with ehlo_io.blocking.serve(handler, port=0, policy=ehlo.OPEN_TEST, xclient_from=proxies) as server:
        argv = ["swaks", "--server", f"127.0.0.1:{server.address[1]}", "--from", "a@a.example"]
        argv += ["--to", "b@local.example", "--xclient-addr", "192.0.2.7", "--xclient-login", "bob"]
        outcome = run(argv, {})
    assert outcome.accepted is trusted, outcome.output
    assert handler.clients == ([("192.0.2.7", "bob")] if trusted else [])
