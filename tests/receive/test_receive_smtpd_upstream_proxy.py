import asyncio

from smtpd_scene import Scene

from posthouse.policy.request import Request

PROXIED = "smtpd_upstream_proxy_protocol = haproxy\nsmtpd_upstream_proxy_timeout = 1s\n"
HEADER = b"PROXY TCP4 198.51.100.7 192.0.2.1 5555 25\r\n"
REFUSED = "421 4.3.0 mail.example.com Server local error"


def request_of(scene) -> Request:
    (session,) = scene.service._sessions
    return session.request


async def test_the_client_is_whom_the_proxy_names(tmp_path):
    async with Scene(tmp_path, PROXIED) as scene:
        client = await scene.client()
        client.raw(HEADER)
        assert await client.reply() == "220 mail.example.com ESMTP Postfix"
        request = request_of(scene)
        assert (request.client_address, request.client_port) == ("198.51.100.7", "5555")
        assert (request.server_address, request.server_port) == ("192.0.2.1", "25")
        await client.play(
            "C: HELO x\nS: 250 mail.example.com\nC: MAIL FROM:<a@b.test>\nS: 250 2.1.0 Ok\n"
            "C: RCPT TO:<x@example.org>\nS: 250 2.1.5 Ok\nC: DATA\nS: 354 End data with <CR><LF>.<CR><LF>\n"
            "C: .\nS: 250 2.0.0 Ok: queued as Q1\nC: QUIT\nS: 221 2.0.0 Bye\nS: EOF"
        )
        assert scene.mail.envelope.origin.client_address == "198.51.100.7"
        await scene.log("disconnect from unknown[198.51.100.7] helo=1 mail=1 rcpt=1 data=1 quit=1 commands=5")


async def test_a_header_in_pieces_is_put_together(tmp_path):
    async with Scene(tmp_path, PROXIED) as scene:
        client = await scene.client()
        for at in range(len(HEADER)):
            client.raw(HEADER[at : at + 1])
            await asyncio.sleep(0)
        assert await client.reply() == "220 mail.example.com ESMTP Postfix"
        assert request_of(scene).client_address == "198.51.100.7"


async def test_a_proxy_that_speaks_for_itself_is_the_client(tmp_path):
    async with Scene(tmp_path, PROXIED) as scene:
        client = await scene.client()
        client.raw(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")
        assert await client.reply() == "220 mail.example.com ESMTP Postfix"
        assert request_of(scene).client_address == "127.0.0.1"


async def test_who_speaks_behind_the_header_before_the_greeting_is_noted(tmp_path):
    async with Scene(tmp_path, PROXIED) as scene:
        client = await scene.client()
        client.raw(HEADER + b"EHLO x\r\n")
        assert await client.reply() == "554 5.5.0 Error: SMTP protocol synchronization"
        await scene.log("improper command pipelining after CONNECT from unknown[198.51.100.7]: EHLO x\\r\\n")


async def test_without_a_header_nobody_is_let_in(tmp_path):
    async with Scene(tmp_path, PROXIED) as scene:
        client = await scene.client()
        client.raw(b"EHLO x.example.net\r\nMAIL FROM:<>\r\n")
        assert await client.reply() == REFUSED
        assert await client.reply() == "EOF"
        await scene.log(
            "warning: haproxy read: unrecognized protocol header: EHLO x.example.net\\r\\nMAIL FROM:<>\\r\\n"
        )
        await scene.log("disconnect from unknown[127.0.0.1] commands=0/0")
        assert not any("ehlo" in line for line in scene.sink.lines)


async def test_silence_and_half_a_header_end_with_the_proxys_time(tmp_path):
    async with Scene(tmp_path, PROXIED) as scene:
        silent, half = await scene.client(), await scene.client()
        half.raw(HEADER[:14])
        assert await silent.reply() == REFUSED
        assert await half.reply() == REFUSED
        await scene.log("warning: haproxy read: timeout error")
        await scene.log("warning: haproxy read: missing protocol header terminator: PROXY TCP4 198")


async def test_a_connection_that_ends_at_once_is_told_in_the_log(tmp_path):
    async with Scene(tmp_path, PROXIED) as scene:
        client = await scene.client()
        client.writer.write_eof()
        assert await client.reply() == REFUSED
        await scene.log("warning: haproxy read: EOF")
        await scene.log("disconnect from unknown[127.0.0.1] commands=0/0")


async def test_only_the_listed_proxies_are_believed(tmp_path):
    async with Scene(tmp_path, PROXIED + "posthouse_upstream_proxy_networks = 192.0.2.0/24\n") as scene:
        client = await scene.client()
        client.raw(HEADER)
        assert await client.reply() == REFUSED
        await scene.log("warning: haproxy read: 127.0.0.1 is not in posthouse_upstream_proxy_networks")
    async with Scene(tmp_path, PROXIED + "posthouse_upstream_proxy_networks = 127.0.0.0/8\n") as scene:
        client = await scene.client()
        client.raw(HEADER)
        assert await client.reply() == "220 mail.example.com ESMTP Postfix"
