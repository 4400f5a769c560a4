"""An extension of one's own: a record in a longer tuple, the same for both roles."""

import attrs

import ehlo


@attrs.frozen
class Colour:
    name: str


def parse(value: str | None) -> Colour:
    if value not in ("red", "green"):
        raise ValueError("a colour is red or green")
    return Colour(value)


X_COLOUR = ehlo.Extension(
    keyword="X-COLOUR",
    rfc="none",
    summary="the colour of the paper that the message is printed on",
    offer=lambda facts: ("red", "green"),
    mail=(ehlo.Param("X-COLOUR", Colour, parse, lambda colour: colour.name),),
    mail_octets=len(" X-COLOUR=green"),
)
MINE = (*ehlo.STANDARD, X_COLOUR)

config = ehlo.ServerConfig(hostname="mail.example", policy=ehlo.OPEN_TEST, extensions=MINE)
server = ehlo.ServerConnection(config)
client = ehlo.ClientConnection(extensions=MINE)


def serve() -> None:
    while (event := server.next_event()) is not ehlo.NEED_DATA:
        if isinstance(event, ehlo.MailReceived):
            print("received:", event.parameters.get(Colour))
        server.accept()
    client.receive_data(server.data_to_send())
    while client.next_event() is not ehlo.NEED_DATA:
        pass


serve()
sender = ehlo.Mailbox("alice", "local.example")
for command in (ehlo.Ehlo("local.example"), ehlo.Mail(sender, ehlo.Parameters([Colour("green")]))):
    client.send(command)
    server.receive_data(client.data_to_send())
    serve()

print("offered:", client.capabilities.offer(X_COLOUR))
