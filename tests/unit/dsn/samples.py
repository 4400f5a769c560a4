"""Reports written by hand in the shape that real mail systems give them, with LF at line ends."""

POSTFIX = b"""\
Return-Path: <>
Received: by mail.local.example (Postfix)
\tid 4B2F01E0A3; Fri, 21 Nov 1997 09:56:10 -0600 (CST)
Date: Fri, 21 Nov 1997 09:56:10 -0600 (CST)
From: MAILER-DAEMON@mail.local.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: alice@local.example
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="9A1C21E0A2.880127770/mail.local.example"
Message-Id: <19971121155610.4B2F01E0A3@mail.local.example>

This is a MIME-encapsulated message.

--9A1C21E0A2.880127770/mail.local.example
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mail.local.example.

<bob@remote.example>: host mx.remote.example[192.0.2.7] said: 550 5.1.1
    <bob@remote.example>: Recipient address rejected: User unknown in virtual
    mailbox table (in reply to RCPT TO command)

--9A1C21E0A2.880127770/mail.local.example
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.local.example
Original-Envelope-Id: QQ=314159
X-Postfix-Queue-ID: 9A1C21E0A2
X-Postfix-Sender: rfc822; alice@local.example
Arrival-Date: Fri, 21 Nov 1997 09:55:06 -0600 (CST)

Final-Recipient: rfc822; bob@remote.example
Original-Recipient: rfc822;Bob+list@remote.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.remote.example
Diagnostic-Code: smtp; 550 5.1.1 <bob@remote.example>: Recipient address
    rejected: User unknown in virtual mailbox table

--9A1C21E0A2.880127770/mail.local.example
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers

Return-Path: <alice@local.example>
Subject: Hello

--9A1C21E0A2.880127770/mail.local.example--
"""

POSTFIX_UTF8 = """\
From: MAILER-DAEMON@mail.local.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=global-delivery-status;
\tboundary="b"
Content-Transfer-Encoding: 8bit

--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

<børge@remote.example>: unknown

--b
Content-Type: message/global-delivery-status
Content-Transfer-Encoding: 8bit

Reporting-MTA: dns; mail.local.example

Final-Recipient: utf-8; børge@remote.example
Original-Recipient: utf-8;b\\x{F8}rge@remote.example
Action: failed
Status: 5.1.1
Diagnostic-Code: X-Postfix; ukjent: «børge»

--b
Content-Type: message/global
Content-Transfer-Encoding: 8bit

Subject: på norsk

Hei

--b--
""".encode()

EXIM = b"""\
Received: from Debian-exim by mail.local.example with local (Exim 4.96)
\tid 1rXaBc-0001Ab-2C
\tfor alice@local.example;
\tFri, 21 Nov 1997 15:56:10 +0000
X-Failed-Recipients: bob@remote.example
Auto-Submitted: auto-replied
From: Mail Delivery System <Mailer-Daemon@mail.local.example>
To: alice@local.example
Content-Type: multipart/report; report-type=delivery-status; boundary=880127770-eximdsn-1804289383
MIME-Version: 1.0
Subject: Mail delivery failed: returning message to sender
Message-Id: <E1rXaBc-0001Ab-2C@mail.local.example>
Date: Fri, 21 Nov 1997 15:56:10 +0000

--880127770-eximdsn-1804289383
Content-type: text/plain; charset=us-ascii

This message was created automatically by mail delivery software.

  bob@remote.example
    host mx.remote.example [192.0.2.7]
    SMTP error from remote mail server after RCPT TO:<bob@remote.example>:
    550 No such user

--880127770-eximdsn-1804289383
Content-type: message/delivery-status

Reporting-MTA: dns; mail.local.example

Action: failed
Final-Recipient: rfc822;bob@remote.example
Status: 5.0.0
Remote-MTA: dns; mx.remote.example
Diagnostic-Code: smtp; 550 No such user

--880127770-eximdsn-1804289383
Content-type: message/rfc822

Subject: Hello

Hi Bob!

--880127770-eximdsn-1804289383--
"""

EXCHANGE_2003 = b"""\
From: postmaster@corp.example
To: alice@local.example
Date: Fri, 21 Nov 1997 09:56:10 -0600
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="9B095B5ADSN=_01C0A1B2C3D4E5F600000001mail.corp.exa"
X-DSNContext: 335a7efd - 4457 - 00000001 - 80040546
Message-ID: <abcdefGHI00000001@mail.corp.example>
Subject: Delivery Status Notification (Failure)

This is a MIME-formatted message.\x20\x20
Portions of this message may be unreadable without a MIME-capable mail program.

--9B095B5ADSN=_01C0A1B2C3D4E5F600000001mail.corp.exa
Content-Type: text/plain; charset=unicode-1-1-utf-7

This is an automatically generated Delivery Status Notification.

--9B095B5ADSN=_01C0A1B2C3D4E5F600000001mail.corp.exa
Content-Type: message/delivery-status

Reporting-MTA: dns;mail.corp.example
Received-From-MTA: dns;client.local.example
Arrival-Date: Fri, 21 Nov 1997 09:55:06 -0600

Final-Recipient: rfc822;carol@corp.example
Action: failed
Status: 5.1.1

Final-Recipient: rfc822;dave@corp.example
Action: failed
Status: 5.2.3
X-Display-Name: Dave

--9B095B5ADSN=_01C0A1B2C3D4E5F600000001mail.corp.exa
Content-Type: message/rfc822

Subject: Hello

Hi!

--9B095B5ADSN=_01C0A1B2C3D4E5F600000001mail.corp.exa--

"""

EXCHANGE_ONLINE = b"""\
From: <postmaster@corp.example>
To: <alice@local.example>
Date: Fri, 21 Nov 1997 15:56:10 +0000
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="0c8cf7a5-52a9-4f4a-9a0e-1f6b5f2d8c11"
Content-Language: en-US
Message-ID: <0c8cf7a5@mail.corp.example>
In-Reply-To: <1@local.example>
Subject: Undeliverable: Hello
Auto-Submitted: auto-replied
MIME-Version: 1.0

--0c8cf7a5-52a9-4f4a-9a0e-1f6b5f2d8c11
Content-Type: multipart/alternative; differences=Content-Type;
\tboundary="fa9b66b6-0d30-44f8-8e2e-5bd6bd2a2c1d"

--fa9b66b6-0d30-44f8-8e2e-5bd6bd2a2c1d
Content-Type: text/plain; charset="us-ascii"
Content-Transfer-Encoding: quoted-printable

Your message to carol@corp.example couldn't be delivered.

--fa9b66b6-0d30-44f8-8e2e-5bd6bd2a2c1d
Content-Type: text/html; charset="us-ascii"
Content-Transfer-Encoding: quoted-printable

<html><body>Your message to carol@corp.example couldn't be delivered.</body></html>

--fa9b66b6-0d30-44f8-8e2e-5bd6bd2a2c1d--

--0c8cf7a5-52a9-4f4a-9a0e-1f6b5f2d8c11
Content-Type: message/delivery-status

Reporting-MTA: dns;mail.corp.example
Received-From-MTA: dns;mail.local.example
Arrival-Date: Fri, 21 Nov 1997 15:55:06 +0000

Final-Recipient: rfc822;carol@corp.example
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; \
Recipient carol@corp.example not found by SMTP address lookup

--0c8cf7a5-52a9-4f4a-9a0e-1f6b5f2d8c11
Content-Type: message/rfc822

Subject: Hello

Hi Carol!

--0c8cf7a5-52a9-4f4a-9a0e-1f6b5f2d8c11--
"""

SENDMAIL = b"""\
From: Mail Delivery Subsystem <MAILER-DAEMON@mail.local.example>
To: <alice@local.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="hALFuAx0012345.880127770/mail.local.example"
Subject: Return receipt
Auto-Submitted: auto-generated (return-receipt)

This is a MIME-encapsulated message

--hALFuAx0012345.880127770/mail.local.example

The original message was received at Fri, 21 Nov 1997 09:55:06 -0600

   ----- The following addresses had successful delivery notifications -----
<bob@remote.example>  (relayed to non-DSN-aware mailer)

--hALFuAx0012345.880127770/mail.local.example
Content-Type: message/delivery-status

Original-Envelope-Id: QQ314159
Reporting-MTA: dns; mail.local.example
Received-From-MTA: DNS; client.local.example
Arrival-Date: Fri, 21 Nov 1997 09:55:06 -0600

Original-Recipient: rfc822;bob@remote.example
Final-Recipient: RFC822; bob@remote.example
X-Actual-Recipient: RFC822; bob@inner.remote.example
Action: relayed (to non-DSN-aware mailer)
Status: 2.1.5
Remote-MTA: DNS; mx.remote.example
Diagnostic-Code: SMTP; 250 OK
Last-Attempt-Date: Fri, 21 Nov 1997 09:56:10 -0600

--hALFuAx0012345.880127770/mail.local.example
Content-Type: text/rfc822-headers

Subject: Hello

--hALFuAx0012345.880127770/mail.local.example--

"""
