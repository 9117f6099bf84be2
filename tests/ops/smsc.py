"""An SMS centre that speaks SMPP 3.4: it takes every message, prints a line of JSON for each, and reports it as delivered. What comes
in by standard input, as `FROM TO TEXT`, was sent by a phone."""

import asyncio
import json
import struct
import sys

BIND_RECEIVER, BIND_TRANSMITTER, SUBMIT, DELIVER, UNBIND, BIND_TRANSCEIVER, ENQUIRE = 1, 2, 4, 5, 6, 9, 0x15
RESPONSE = 0x8000_0000

# 3GPP TS 23.038, section 6.2.1.
GSM = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = {0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|", 0x65: "€"}


def say(**what):
    print(json.dumps(what), flush=True)


def text_of(coding, octets):
    if coding == 8:
        return octets.decode("utf-16-be", "surrogatepass")
    found, octets = "", iter(octets)
    for octet in octets:
        found += EXTENSION[next(octets)] if octet == 0x1B else GSM[octet]
    return found


def pdu(command, sequence, body=b""):
    return struct.pack(">IIII", 16 + len(body), command, 0, sequence) + body


def word(body, at):
    end = body.index(0, at)
    return body[at:end], end + 1


class Centre:
    def __init__(self):
        self.writers, self.sequence, self.count = [], 0, 0

    def deliver(self, source, destination, text, esm_class):
        self.sequence += 1
        addresses = b"\x01\x01" + source + b"\0\x01\x01" + destination + b"\0"
        body = b"\0" + addresses + bytes([esm_class, 0, 0]) + b"\0\0" + bytes([0, 0, 0, 0, len(text)]) + text
        self.writers[-1].write(pdu(DELIVER, self.sequence, body))

    async def report(self, name, source, destination):
        # Once the answer to the message, which names it, was worked off.
        await asyncio.sleep(1)
        head = b"id:" + name + b" sub:001 dlvrd:001 submit date:2611280930 done date:2611280930 "
        self.deliver(destination, source, head + b"stat:DELIVRD err:000 text:x", 4)

    def submitted(self, body, sequence, writer):
        _, at = word(body, 0)
        source, at = word(body, at + 2)
        destination, at = word(body, at + 2)
        esm_class = body[at]
        _, at = word(body, at + 3)
        _, at = word(body, at)
        registered, _, coding, _, length = body[at : at + 5]
        octets = body[at + 5 : at + 5 + length]
        if esm_class & 0x40:
            octets = octets[1 + octets[0] :]
        say(to=destination.decode(), coding=coding, text=text_of(coding, octets))
        self.count += 1
        name = b"%08d" % self.count
        writer.write(pdu(SUBMIT | RESPONSE, sequence, name + b"\0"))
        if registered & 1:
            asyncio.ensure_future(self.report(name, source, destination))

    async def serve(self, reader, writer):
        try:
            while True:
                length, command, _, sequence = struct.unpack(">IIII", await reader.readexactly(16))
                body = await reader.readexactly(length - 16)
                if command in (BIND_RECEIVER, BIND_TRANSMITTER, BIND_TRANSCEIVER):
                    self.writers.append(writer)
                    writer.write(pdu(command | RESPONSE, sequence, b"CENTRE\0"))
                    say(bound=True)
                elif command == SUBMIT:
                    self.submitted(body, sequence, writer)
                elif command in (ENQUIRE, UNBIND):
                    writer.write(pdu(command | RESPONSE, sequence))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    async def hear_phones(self):
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            source, destination, text = line.rstrip("\n").split(" ", 2)
            self.deliver(source.encode(), destination.encode(), text.encode(), 0)


async def main():
    centre = Centre()
    server = await asyncio.start_server(centre.serve, "127.0.0.1", int(sys.argv[1]))
    say(listens=True)
    async with server:
        await centre.hear_phones()


asyncio.run(main())
