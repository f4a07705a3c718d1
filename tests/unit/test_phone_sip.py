"""The telephone's parts that need no network: messages, digest, descriptions, G.711 and tone detection."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.phone import audio, digest
from tests.phone.message import Address, Message, Uri, split_list
from tests.phone.sdp import Sdp
from tests.phone.sources import Samples, Tone

INVITE = (
    b"INVITE sip:1030000001@127.0.0.2:5060;transport=udp SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 127.0.0.1:16060;rport;branch=z9hG4bKa, SIP/2.0/TCP [::1]:5060;branch=z9hG4bKb\r\n"
    b'f: "Zoe, \\"a\\"" <sip:11999998888@127.0.0.1>;tag=x\r\n'
    b"t: <sip:1030000001@127.0.0.2>\r\n"
    b"i: abc@127.0.0.1\r\n"
    b"CSeq: 7 INVITE\r\n"
    b"m: <sip:asterisk@127.0.0.1:16060>\r\n"
    b"Subject: one\r\n  two\r\n"
    b"Record-Route: <sip:p1;lr>, <sip:p2;lr>\r\n"
    b"l: 4\r\n\r\nbodyEXTRA"
)


def test_parses_compact_folded_and_joined_headers():
    message = Message.parse(INVITE)
    assert (message.method, message.uri) == ("INVITE", "sip:1030000001@127.0.0.2:5060;transport=udp")
    assert [value.partition("branch=")[2] for value in message.all("Via")] == ["z9hG4bKa", "z9hG4bKb"]
    assert message.via.params == {"rport": "", "branch": "z9hG4bKa"}
    assert (message.sender.display, message.sender.uri.user, message.sender.tag) == ('Zoe, "a"', "11999998888", "x")
    assert message.get("subject") == "one two"
    assert message.cseq == (7, "INVITE")
    assert message.contact.address == ("127.0.0.1", 16060)
    assert message.body == b"body"
    assert message.grouped()["record-route"] == ["<sip:p1;lr>", "<sip:p2;lr>"]


def test_serializes_what_it_parses():
    first = Message.parse(INVITE)
    again = Message.parse(first.serialize())
    assert again.headers[:-1] == [pair for pair in first.headers if pair[0] != "Content-Length"]
    assert again.get("Content-Length") == "4" and again.body == b"body"


def test_reply_copies_what_identifies_the_request():
    reply = Message.parse(Message.parse(INVITE).reply(486, tag="us", Reason="Q.850;cause=17").serialize())
    assert (reply.status, reply.reason) == (486, "Busy Here")
    assert len(reply.all("Via")) == 2
    assert reply.recipient.tag == "us" and reply.sender.tag == "x"
    assert reply.all("Record-Route") == ["<sip:p1;lr>", "<sip:p2;lr>"]
    assert reply.get("Reason") == "Q.850;cause=17"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HELLO\r\n\r\n",
        b"SIP/2.0 200\r\n\r\n",
        INVITE.replace(b"CSeq", b"X"),
        INVITE.replace(b"Subject: one", b"Subject"),
    ],
)
def test_refuses_what_is_not_sip(data):
    with pytest.raises(ValueError):
        Message.parse(data)


@pytest.mark.parametrize(
    ("text", "user", "address", "params"),
    [
        ("sip:a:pw@h:1;lr", "a", ("h", 1), {"lr": ""}),
        ("sip:h", "", ("h", 5060), {}),
        ("sip:1@h?Replaces=x%40y", "1", ("h", 5060), {}),
        ("tel:+5511", "+5511", ("", 5060), {}),
    ],
)
def test_uri(text, user, address, params):
    uri = Uri.parse(text)
    assert (uri.user, uri.address, uri.params) == (user, address, params)


def test_address_without_brackets_keeps_parameters_in_the_header():
    address = Address.parse("sip:1@h;tag=9")
    assert address.tag == "9" and address.uri.params == {}
    assert split_list('<sip:a,b@h>, "x, y" <sip:c@h>;q=1') == ["<sip:a,b@h>", '"x, y" <sip:c@h>;q=1']


def test_digest_examples_of_the_rfcs():
    old = {"realm": "testrealm@host.com", "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093"}
    answer = digest.response(old, "GET", "/dir/index.html", "Mufasa", "Circle Of Life", "00000001", "0a4f113b")
    assert answer == "6629fae49393a05397450978507c4ef1"  # RFC 2617 3.5
    new = {"realm": "http-auth@example.org", "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"}
    new["algorithm"] = "SHA-256"
    client = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    answer = digest.response(new, "GET", "/dir/index.html", "Mufasa", "Circle of Life", "00000001", client)
    assert answer == "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"  # RFC 7616 3.9.1


def test_digest_prefers_sha_256():
    offers = ['Digest realm="r", nonce="1", algorithm=MD5', 'Digest realm="r", nonce="2", algorithm=SHA-256']
    assert digest.choose(offers)["nonce"] == "2"
    assert digest.choose(['Digest realm="r", nonce="1"'])["nonce"] == "1"
    assert digest.choose(['Digest realm="r", nonce="1", algorithm=SHA-999', "Basic x"]) is None


def test_sdp_round_trip():
    mine = Sdp("127.0.0.2", 4000, ("alaw", "ulaw"), 101, "sendonly")
    assert Sdp.parse(mine.serialize(1, 1)) == mine


def test_sdp_reads_other_media_levels_and_the_old_hold():
    text = b"v=0\r\nc=IN IP4 10.0.0.1\r\na=sendonly\r\nm=video 9 RTP/AVP 96\r\nc=IN IP4 9.9.9.9\r\n"
    text += b"m=audio 5000/2 RTP/AVP 18 0 96\r\na=rtpmap:96 telephone-event/8000\r\n"
    assert Sdp.parse(text) == Sdp("10.0.0.1", 5000, ("ulaw",), 96, "sendonly")
    assert Sdp.parse(text.replace(b"10.0.0.1", b"0.0.0.0")).direction == "inactive"
    with pytest.raises(ValueError):
        Sdp.parse(b"v=0\r\nm=video 9 RTP/AVP 96\r\n")


def test_g711_known_values():
    assert audio.alaw_decode(b"\xd5\x55\xaa\x2a").tolist() == [8, -8, 32256, -32256]
    assert audio.ulaw_decode(b"\xff\x80\x00").tolist() == [0, 32124, -32124]
    zeros = np.zeros(2, dtype=np.int16)
    assert (audio.alaw_encode(zeros), audio.ulaw_encode(zeros)) == (b"\xd5\xd5", b"\xff\xff")


@pytest.mark.parametrize("law", ["alaw", "ulaw"])
@given(sample=st.integers(-32768, 32767))
def test_g711_keeps_samples_within_its_steps(law, sample):
    encode, decode = getattr(audio, f"{law}_encode"), getattr(audio, f"{law}_decode")
    back = int(decode(encode(np.array([sample], dtype=np.int16)))[0])
    assert abs(back - sample) <= max(16, abs(sample) / 16)


@pytest.mark.parametrize("law", ["alaw", "ulaw"])
def test_g711_codes_survive_a_second_coding(law):
    encode, decode = getattr(audio, f"{law}_encode"), getattr(audio, f"{law}_decode")
    codes = bytes(range(256))
    assert (decode(encode(decode(codes))) == decode(codes)).all()


def test_tones_are_told_apart():
    mixed = sum(audio.tone(freq, 0.2, -20).astype(np.int32) for freq in (440, 700, 900, 1100)).astype(np.int16)
    assert all(audio.tone_present(mixed, freq) for freq in (440, 700, 900, 1100))
    assert not any(audio.tone_present(mixed, freq) for freq in (400, 480, 800, 1000, 1500))
    assert not audio.tone_present(np.zeros(1600, dtype=np.int16), 440)
    assert not audio.tone_present(np.zeros(0, dtype=np.int16), 440)
    noise = np.random.default_rng(1).normal(0, 3000, 1600).astype(np.int16)
    assert not audio.tone_present(noise, 440)
    assert audio.tone_present(audio.alaw_decode(audio.alaw_encode(audio.tone(440, 0.2, -40))), 440)


def test_dominant_and_power():
    assert audio.dominant(audio.tone(1003, 0.5)) == pytest.approx(1003, abs=1)
    assert audio.dominant(np.zeros(800, dtype=np.int16)) is None
    wave = audio.tone(1000, 0.2, -18)
    assert audio.goertzel(wave, 1000) == pytest.approx(audio.loudness(wave) ** 2, rel=0.01)


def test_sources_give_whole_frames():
    frames = list(Samples(audio.tone(500, 0.05)).frames("alaw"))
    assert [len(frame) for frame in frames] == [160, 160, 160]
    endless = Tone(500).frames("ulaw")
    second = b"".join(next(endless) for _ in range(60))
    assert audio.dominant(audio.ulaw_decode(second)) == pytest.approx(500, abs=1)
