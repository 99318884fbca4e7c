#!/usr/bin/env python3
"""A mail server on loopback (aiosmtpd), which runs for as long as somebody holds our standard input open.

  smtp.py [--starttls | --tls] [--certificate FILE --key FILE] [--no-login] [--hold-first]

Prints one line of JSON when it listens (`port`), then one for each mail that it takes. The user is `belay`, the password `s3cr3t-pass`; without
`--no-login` nobody else may send. Recipients whose address begins with `unknown` are refused, those with `busy` once: the next time they are taken.
With `--hold-first` the first mail is taken, and never answered.
"""

import argparse
import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

LOGIN = (b"belay", b"s3cr3t-pass")


class Mailbox:
    def __init__(self, hold_first):
        self.busy = set()
        self.hold = hold_first

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("unknown"):
            return "550 5.1.1 no such user"
        if address.startswith("busy") and address not in self.busy:
            self.busy.add(address)
            return "451 4.7.1 try again later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "mail": envelope.content.decode(),
            "tls": session.ssl is not None,
            "login": session.authenticated,
        }
        print(json.dumps(mail), flush=True)
        if self.hold:
            self.hold = False
            await asyncio.Event().wait()
        return "250 2.0.0 queued as 4F2"


def login(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == LOGIN, handled=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starttls", action="store_true")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--no-login", action="store_true")
    parser.add_argument("--hold-first", action="store_true")
    arguments = parser.parse_args()
    context = None
    if arguments.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.certificate, arguments.key)
    options = {"hostname": "localhost", "require_starttls": arguments.starttls}
    if arguments.starttls:
        options["tls_context"] = context
    if not arguments.no_login:
        options.update(authenticator=login, auth_required=True, auth_require_tls=arguments.starttls)
    asyncio.run(serve(Mailbox(arguments.hold_first), context if arguments.tls else None, options))


async def serve(mailbox, context, options):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(mailbox, **options), "127.0.0.1", 0, ssl=context)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


main()
