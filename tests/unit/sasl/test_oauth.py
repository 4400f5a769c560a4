from __future__ import annotations

import json
from typing import Any

import pytest
from tests.helpers.sasl import HERE, client_context, server_settings
from tests.unit.sasl.helpers import TOKEN, converse, settle

from ehlo._errors import LocalProtocolError
from ehlo.sasl import (
    Authorize,
    Challenge,
    Done,
    Identity,
    MechanismError,
    OAuthBearerClient,
    OAuthBearerServer,
    Password,
    Refuse,
    Token,
    VerifyToken,
    XOAuth2Client,
    XOAuth2Server,
)
from ehlo.wire import base64

SETTINGS = server_settings(tokens=True, token_scope="mail")
PAIRS = pytest.mark.parametrize(
    ("client", "server"),
    [(OAuthBearerClient, OAuthBearerServer), (XOAuth2Client, XOAuth2Server)],
    ids=["OAUTHBEARER", "XOAUTH2"],
)
# RFC 7628 section 4.1, and the same for XOAUTH2.
BEARER = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
RFC_7628 = (
    f"n,a=user@example.com,\x01host=server.example.com\x01port=587\x01auth=Bearer {BEARER}\x01\x01".encode()
)
XOAUTH2 = f"user=someuser@example.com\x01auth=Bearer {BEARER}\x01\x01".encode()


@pytest.mark.clause("RFC7628-3.1a", "XOAUTH2-client-a")
def test_what_the_client_sends() -> None:
    context = client_context(server_name="server.example.com", port=587)
    assert OAuthBearerClient(Token("user@example.com", BEARER), context).initial() == RFC_7628
    assert b"port=" not in (OAuthBearerClient(Token("a", BEARER), HERE).initial() or b"")
    assert (OAuthBearerClient(Token("a,b=c", BEARER), HERE).initial() or b"").startswith(b"n,a=a=2Cb=3Dc,")
    assert XOAuth2Client(Token("someuser@example.com", BEARER), HERE).initial() == XOAUTH2


@pytest.mark.clause("RFC7628-3.1b", "RFC7628-3.2a", "XOAUTH2-server-a")
def test_what_the_server_reads() -> None:
    step = OAuthBearerServer(settings=SETTINGS).start(RFC_7628)
    assert step == VerifyToken("user@example.com", BEARER, "server.example.com", 587)
    step = OAuthBearerServer(settings=SETTINGS).start(b"y,,\x01x=y\x01auth=bearer  abc\x01\x01")
    assert step == VerifyToken("", "abc")
    assert XOAuth2Server(settings=SETTINGS).start(XOAUTH2) == VerifyToken("someuser@example.com", BEARER)


@pytest.mark.clause("XOAUTH2-server-a", "XOAUTH2-client-c")
@PAIRS
def test_without_an_initial_response(client: Any, server: Any) -> None:
    ours = server(settings=SETTINGS)
    assert ours.start(None) == Challenge(b"")
    step = settle(ours, ours.respond(client(Token("alice", TOKEN), HERE).initial()))
    assert step == Done(Identity("alice", "alice", server.name))


@PAIRS
@pytest.mark.clause("RFC7628-3.2.2a", "RFC7628-3.2.3a", "RFC7628-3.2.3b", "RFC7628-3.2.2b")
@pytest.mark.clause("XOAUTH2-client-b", "XOAUTH2-server-a")
@pytest.mark.parametrize(("user", "token"), [("alice", "bad"), ("bob", TOKEN)])
def test_a_bad_token(client: Any, server: Any, user: str, token: str) -> None:
    who, ours = client(Token(user, token), HERE), server(settings=SETTINGS)
    step = settle(ours, ours.start(who.initial()))
    assert isinstance(step, Challenge)
    said = json.loads(step.data)
    assert (
        set(said)
        == {"OAUTHBEARER": {"status", "scope"}, "XOAUTH2": {"status", "schemes", "scope"}}[server.name]
    )
    assert said["status"] == {"OAUTHBEARER": "invalid_token", "XOAUTH2": "401"}[server.name]
    assert said["scope"] == "mail"
    answer = who.respond(base64.encode(step.data))
    assert answer == {"OAUTHBEARER": b"\x01", "XOAUTH2": b""}[server.name]
    assert who.detail == said
    assert ours.respond(answer) == Refuse("the token is not valid")
    with pytest.raises(MechanismError):
        who.succeeded()
    with pytest.raises(MechanismError):
        who.respond(base64.encode(step.data))


def test_no_scope() -> None:
    ours = OAuthBearerServer(settings=server_settings(tokens=True))
    step = settle(ours, ours.start(b"n,,\x01auth=Bearer bad\x01\x01"))
    assert step == Challenge(b'{"status": "invalid_token"}')


@PAIRS
def test_success_is_the_answer_to_a_token(client: Any, server: Any) -> None:
    who = client(Token("alice", TOKEN), HERE)
    with pytest.raises(MechanismError):
        who.succeeded()
    who.initial()
    who.succeeded()
    with pytest.raises(LocalProtocolError, match="the user name is empty"):
        client(Token("", TOKEN), HERE)
    with pytest.raises(LocalProtocolError, match="the token is empty"):
        client(Token("alice", ""), HERE)


@pytest.mark.clause("RFC7628-3.2.3b")
@pytest.mark.parametrize("answer", [b"", b"\x01", b"n,,\x01auth=Bearer good.token-1\x01\x01", b"\xff"])
def test_whatever_answers_the_error(answer: bytes) -> None:
    ours = OAuthBearerServer(settings=SETTINGS)
    assert isinstance(settle(ours, ours.start(b"n,,\x01auth=Bearer bad\x01\x01")), Challenge)
    assert ours.respond(answer) == Refuse("the token is not valid")


@PAIRS
def test_the_token_names_its_user(client: Any, server: Any) -> None:
    def asked(user: bytes) -> Any:
        ours = server(settings=SETTINGS)
        header = b"n,a=" + user + b"," if user else b"n,,"
        first = {"OAUTHBEARER": header, "XOAUTH2": b"user=" + user}[server.name]
        assert isinstance(ours.start(first + b"\x01auth=Bearer x\x01\x01"), VerifyToken)
        return ours

    assert asked(b"").answer("owner") == Done(Identity("owner", "owner", server.name))
    assert asked(b"owner").answer("owner") == Done(Identity("owner", "owner", server.name))
    ours = asked(b"boss")
    assert ours.answer("owner") == Authorize("owner", "boss")
    assert ours.answer(True) == Done(Identity("owner", "boss", server.name))
    ours = asked(b"boss")
    ours.answer("owner")
    step = ours.answer(False)
    assert isinstance(step, Challenge)
    assert json.loads(step.data)["scope"] == "mail"
    assert ours.respond(b"") == Refuse("may not act as the authorization identity")
    for nobody in (False, None, "", 1):
        assert isinstance(asked(b"alice").answer(nobody), Challenge)
    # Nobody named a user.
    assert isinstance(asked(b"").answer(True), Challenge)


@pytest.mark.clause("RFC7628-3.1c", "XOAUTH2-server-b", "RFC7628-3.1b")
@pytest.mark.parametrize(
    ("server", "message"),
    [
        *(
            (OAuthBearerServer, message)
            for message in (
                b"",
                b"n,,",
                b"n,,\x01\x01",
                b"n,,\x01auth=Bearer x\x01",
                b"n,,\x01auth=Bearer x\x01\x01\x01",
                b"n,,\x01auth=Bearer\x01\x01",
                b"n,,\x01auth=Basic x\x01\x01",
                b"n,,\x01auth=Bearer x y\x01\x01",
                b"n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01",
                b"n,,\x01host=h\x01\x01",
                b"n,,\x01=x\x01auth=Bearer x\x01\x01",
                b"n,,\x01port=x\x01auth=Bearer x\x01\x01",
                b"n,,\x01port=123456\x01auth=Bearer x\x01\x01",
                b"n,a=,\x01auth=Bearer x\x01\x01",
                b"n,a=x=y,\x01auth=Bearer x\x01\x01",
                b"p=tls-unique,,\x01auth=Bearer x\x01\x01",
                b"auth=Bearer x\x01\x01",
                b"n,,\x01auth=Bearer \xff\x01\x01",
                b"n,,\x01h\0=x\x01auth=Bearer x\x01\x01",
            )
        ),
        *(
            (XOAuth2Server, message)
            for message in (
                b"",
                b"user=x",
                b"user=x\x01auth=Bearer x\x01",
                b"user=x\x01\x01",
                b"auth=Bearer x\x01\x01",
                b"user=a\0b\x01auth=Bearer x\x01\x01",
                b"user=\xff\x01auth=Bearer x\x01\x01",
                b"n,a=x,\x01auth=Bearer x\x01\x01",
            )
        ),
    ],
)
def test_a_malformed_message(server: Any, message: bytes) -> None:
    step = server(settings=SETTINGS).start(message)
    assert isinstance(step, Refuse)
    assert step.malformed


@PAIRS
def test_a_name_that_cannot_be_prepared(client: Any, server: Any) -> None:
    message = client(Token("a\u06dd", TOKEN), HERE).initial()
    assert isinstance(server(settings=SETTINGS).start(message), Refuse)


@pytest.mark.clause("RFC7628-3.2.2b")
@pytest.mark.parametrize("text", [b"not base64", base64.encode(b"no json"), base64.encode(b"[1]"), b"", b"="])
def test_an_error_that_says_nothing(text: bytes) -> None:
    who = XOAuth2Client(Token("alice", TOKEN), HERE)
    who.initial()
    assert who.respond(text) == b""
    assert who.detail == {}
    with pytest.raises(MechanismError):
        who.succeeded()


def test_deep_json() -> None:
    who = XOAuth2Client(Token("alice", TOKEN), HERE)
    who.initial()
    assert who.respond(base64.encode(b"[" * 4000)) == b""
    assert who.detail == {}


@PAIRS
@pytest.mark.parametrize(
    "credentials",
    [
        Token("", "x"),
        Token("alice", ""),
        Token("alice", "two words"),
        Token("alice", "a\x01b"),
        Token("alice", "a\r\nb"),
        Token("al\x01ice", "x"),
        Token("al\0ice", "x"),
        Token("alice", lambda: "x"),
        Password("alice", "s3cret"),
    ],
)
def test_credentials_that_it_cannot_carry(client: Any, server: Any, credentials: Any) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        client(credentials, HERE)
    assert "s3cret" not in str(caught.value)


@PAIRS
@pytest.mark.parametrize(("token", "end"), [(TOKEN, Done), ("other", Refuse)])
def test_both_roles(client: Any, server: Any, token: str, end: type) -> None:
    step = None
    who, ours = client(Token("alice", token), HERE), server(settings=SETTINGS)
    step = converse(who, ours)
    assert isinstance(step, end)


@pytest.mark.clause("RFC7628-5a")
@PAIRS
def test_secrets_are_not_shown(client: Any, server: Any) -> None:
    who = client(Token("alice", "t0ken"), HERE)
    ours = server(settings=SETTINGS)
    assert "t0ken" not in repr(ours.start(who.initial()))
    assert "t0ken" not in repr(who)
    assert "t0ken" not in repr(Token("alice", "t0ken"))
