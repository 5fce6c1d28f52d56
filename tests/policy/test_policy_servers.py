"""Policy servers: what they are asked, how connections are kept, what happens when they are not there."""

from __future__ import annotations

import asyncio

import pytest

POLICY = """
smtpd_policy_service_retry_delay = 1s
smtpd_policy_service_timeout = 1s
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = check_policy_service {server}, permit
"""


class PolicyService:
    """Answers each request with the next of the given replies; b"" closes the connection instead."""

    def __init__(self, *replies: bytes) -> None:
        self.replies = list(replies)
        self.requests: list[dict[str, str]] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                block = await reader.readuntil(b"\n\n")
                lines = block.decode().split("\n")[:-2]
                self.requests.append(dict(line.split("=", 1) for line in lines))
                reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                if not reply:
                    break
                writer.write(reply)
        except asyncio.IncompleteReadError:
            pass
        writer.close()


@pytest.fixture
async def serve(tmp_path):
    servers = []

    async def started(*replies: bytes, path: str = ""):
        service = PolicyService(*replies)
        if path:
            server = await asyncio.start_unix_server(service.serve, path)
            address = f"unix:{path}"
        else:
            server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
            address = f"inet:127.0.0.1:{server.sockets[0].getsockname()[1]}"
        servers.append(server)
        return service, address

    yield started
    for server in servers:
        server.close()
        await server.wait_closed()


async def test_a_server_hears_all_attributes_and_its_action_counts(serve, open_door):
    service, address = await serve(b"action=DEFER_IF_PERMIT Greylisted, come back\n\n")
    door = open_door(POLICY.format(server=address))
    reply = await door.reply("grey@example.org", client_port="4711", size=1000, instance="1.2", server_port="25")
    assert reply == "450 4.7.1 <grey@example.org>: Recipient address rejected: Greylisted, come back"
    asked = service.requests[0]
    assert list(asked) == [
        "request",
        "protocol_state",
        "protocol_name",
        "client_address",
        "client_name",
        "client_port",
        "reverse_client_name",
        "server_address",
        "server_port",
        "helo_name",
        "sender",
        "recipient",
        "recipient_count",
        "queue_id",
        "instance",
        "size",
        "etrn_domain",
        "stress",
        "sasl_method",
        "sasl_username",
        "sasl_sender",
        "ccert_subject",
        "ccert_issuer",
        "ccert_fingerprint",
        "ccert_pubkey_fingerprint",
        "encryption_protocol",
        "encryption_cipher",
        "encryption_keysize",
        "policy_context",
    ]
    assert (asked["recipient"], asked["client_port"], asked["size"]) == ("grey@example.org", "4711", "1000")
    await door.gate.close()


async def test_names_in_certificates_are_told_in_one_word(serve, open_door):
    service, address = await serve(b"action=dunno\n\n")
    door = open_door(POLICY.format(server=address))
    await door.reply("ok@example.org", ccert_subject="known client", ccert_issuer="a+b=c")
    assert service.requests[0]["ccert_subject"] == "known+20client"
    assert service.requests[0]["ccert_issuer"] == "a+2Bb+3Dc"
    await door.gate.close()


async def test_a_connection_is_used_again(serve, open_door):
    service, address = await serve(b"action=dunno\n\n")
    door = open_door(POLICY.format(server=address))
    for _ in range(5):
        assert await door.reply("ok@example.org") == "250 2.1.5 Ok"
    assert (service.connections, len(service.requests)) == (1, 5)
    await door.gate.close()


async def test_a_connection_that_the_server_has_closed_is_replaced_without_fuss(serve, open_door):
    service, address = await serve(b"action=dunno\n\n", b"", b"action=REJECT no\n\n")
    door = open_door(POLICY.format(server=address))
    assert await door.reply("ok@example.org") == "250 2.1.5 Ok"
    assert (await door.reply("ok@example.org")).startswith("554")
    assert door.warnings == []
    assert service.connections == 2
    await door.gate.close()


async def test_unix_sockets_are_relative_to_the_queue_directory(serve, open_door, tmp_path):
    (tmp_path / "private").mkdir()
    await serve(b"action=REJECT by unix\n\n", path=str(tmp_path / "private/p"))
    door = open_door(f"queue_directory = {tmp_path}\n" + POLICY.format(server="unix:private/p"))
    assert (await door.reply("ok@example.org")).endswith("rejected: by unix")
    await door.gate.close()


async def test_a_server_that_is_not_there_leads_to_the_default_action(open_door):
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    door = open_door(POLICY.format(server=f"inet:127.0.0.1:{port}"))
    assert await door.reply("hard@example.org") == (
        "451 4.3.5 <hard@example.org>: Recipient address rejected: Server configuration problem"
    )
    assert set(door.warnings) == {
        f"connect to 127.0.0.1:{port}: Connection refused",
        f"problem talking to server 127.0.0.1:{port}: Connection refused",
    }


async def test_settings_in_braces_are_for_that_server_alone(open_door):
    soft = "{ inet:127.0.0.1:1, timeout=1s, default_action = DUNNO, try_limit=1, policy_context = soft }"
    door = open_door(POLICY.format(server=soft))
    assert await door.reply("ok@example.org") == "250 2.1.5 Ok"


async def test_a_server_that_never_answers_is_given_up(serve, open_door):
    _, address = await serve(b"action=none yet\n")
    door = open_door(POLICY.format(server="{ " + address + ", timeout=1s, try_limit=1 }"))
    assert (await door.reply("ok@example.org")).startswith("451 4.3.5")
    assert door.warnings[-1].endswith("Connection timed out")


@pytest.mark.parametrize("reply", [b"nonsense\n\n", b"other=x\n\n", b"x=" + b"y" * 70000 + b"\n\n"])
async def test_an_answer_out_of_form_is_no_answer(serve, open_door, reply):
    _, address = await serve(reply)
    door = open_door(POLICY.format(server=address))
    assert (await door.reply("ok@example.org")).startswith("451 4.3.5")
    await door.gate.close()
