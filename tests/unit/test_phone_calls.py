"""Two telephones of ours call each other on loopback: sound, every ending, digits, hold, transfer, loss, load."""

import asyncio

import numpy as np
import pytest

from tests.phone import AutoPhone, Phone, Refused, Samples, Silence, Tone, answering, audio, early, refusing, ringing
from tests.phone.rtp import Pacer


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"  # real sockets need real time


BOTH = pytest.mark.parametrize("pair", ["udp", "tcp"], indirect=True)


@pytest.fixture
async def pair(request):
    """A (700 Hz) and B (900 Hz); nothing of them is left afterwards."""
    kind = getattr(request, "param", "udp")
    async with (
        Phone("127.0.0.2", tone=700, user="a", transport=kind) as a,
        Phone("127.0.0.3", tone=900, user="b", transport=kind) as b,
    ):
        yield a, b
    assert not (a.calls or b.calls or a.active or b.active)
    assert not Pacer.here()._streams and Pacer.here()._timer is None
    assert not (a._tasks or b._tasks)


async def talk(a, b):
    out = await a.dial(b.uri)
    into = await b.incoming()
    await into.answer()
    await out.answered()
    return out, into


@BOTH
async def test_sound_both_ways_and_bye_from_the_caller(pair):
    a, b = pair
    out = await a.dial(b.uri, caller="11999998888", name="Zoe", X_Id="7")
    into = await b.incoming()
    assert (into.from_number, into.to_number, into.header("X-Id")) == ("11999998888", "b", "7")
    assert into.from_header.startswith('"Zoe" <sip:11999998888@')
    await into.ringing()
    await out.rang()
    await into.answer()
    await out.answered()
    await asyncio.gather(out.hears(900), into.hears(700))
    await asyncio.gather(out.hears_not(700, during=0.3), into.hears_not(900, during=0.3))
    assert audio.dominant(into.heard(-0.2)) == pytest.approx(700, abs=2)
    await out.hangup(reason="Q.850;cause=16")
    await into.ended()
    assert (out.ended_by, into.ended_by, into.end_reason) == ("us", "them", ["Q.850;cause=16"])
    assert into.stats.received > 10 and into.stats.missing == into.stats.stray == 0
    assert abs(out.stats.sent - into.stats.received) <= 2


@BOTH
async def test_bye_from_the_called(pair):
    out, into = await talk(*pair)
    await into.hangup()
    await out.ended()
    assert (out.ended_by, into.ended_by) == ("them", "us")


async def test_both_hang_up_at_once(pair):
    out, into = await talk(*pair)
    await asyncio.gather(out.hangup(), into.hangup())
    assert out.over and into.over


@pytest.mark.parametrize("status", [486, 404, 480, 503, 603])
async def test_refusal(pair, status):
    a, b = pair
    out = await a.dial(b.uri)
    await (await b.incoming()).reject(status, reason="Q.850;cause=17")
    with pytest.raises(Refused) as refused:
        await out.answered()
    assert refused.value.status == out.status == status
    assert (out.ended_by, out.end_reason) == ("them", ["Q.850;cause=17"])


@BOTH
async def test_cancel(pair):
    a, b = pair
    out = await a.dial(b.uri)
    into = await b.incoming()
    await into.ringing()
    await out.rang()
    await out.cancel(reason="SIP;cause=200")
    await into.cancelled()
    assert (into.ended_by, into.end_reason, out.status, out.ended_by) == ("them", ["SIP;cause=200"], 487, "us")


async def test_nobody_answers(pair):
    a, b = pair
    with pytest.raises(TimeoutError):
        await a.call(b.uri, within=0.2)
    into = await b.incoming()
    await into.cancelled()
    with pytest.raises(TimeoutError, match="a call to"):
        await b.incoming(within=0.1)


async def test_early_media(pair):
    a, b = pair
    out = await a.dial(b.uri)
    into = await b.incoming()
    await into.early_media(Tone(1500))
    await out.progress()
    await out.hears(1500)
    assert not out.up
    await into.answer(Tone(1200))
    await out.answered()
    await out.hears(1200)
    await out.hears_not(1500, within=0.3)


@pytest.mark.parametrize("method", ["rfc4733", "info"])
async def test_digits(pair, method):
    out, into = await talk(*pair)
    await asyncio.gather(out.send_dtmf("1#*0", method=method, seconds=0.06), into.send_dtmf("A", method=method))
    assert await into.dtmf(count=4) == "1#*0"
    assert await out.dtmf() == "A"
    with pytest.raises(TimeoutError):
        await into.dtmf(within=0.1)
    await into.hears(700)


@BOTH
async def test_hold_and_resume(pair):
    out, into = await talk(*pair)
    await into.hears(700)
    await out.hold()
    await into.held()
    assert (into.remote.direction, out.remote.direction) == ("sendonly", "recvonly")
    await asyncio.gather(into.silent(0.4, within=0.2), out.silent(0.4, within=0.2))
    await out.resume()
    await into.resumed()
    await asyncio.gather(out.hears(900), into.hears(700))


async def test_what_is_not_there_is_not_heard(pair):
    out, into = await talk(*pair)
    with pytest.raises(AssertionError, match=r"did not hear 440 Hz.*mostly 900 Hz"):
        await out.hears(440, within=0.5)
    with pytest.raises(AssertionError, match="hears 700 Hz"):
        await into.hears_not(700, during=0.5)
    with pytest.raises(AssertionError, match="not silent"):
        await into.silent(0.5)
    await out.hangup()
    with pytest.raises(AssertionError, match="over"):
        await into.silent(0.5)
    with pytest.raises(AssertionError, match="over"):
        await into.hears(440)


async def test_samples_muting_and_ringback(pair):
    out, into = await talk(*pair)
    into.play(audio.tone(425, 0.6))
    await out.hears_ringback(within=2)
    await into.played()
    await out.silent(0.4, within=0.2)
    into.play(Silence())
    out.stop_sending()
    await into.silent(0.4, within=0.2)
    count = into.stats.received
    await into.silent(0.2)
    assert into.stats.received == count
    out.start_sending()
    await into.hears(700)


async def test_samples_arrive_unchanged(pair):
    out, into = await talk(*pair)
    wave = audio.tone(700, 1.0)[:4000]
    into.play(Silence())
    await out.silent(0.2, within=0.3)
    mark = out.ear.clock
    into.play(Samples(wave))
    await into.played()
    await out.silent(0.2, within=0.1)
    got = out.heard(mark)
    first = int(np.argmax(np.abs(got) > 100)) - 1
    assert np.abs(got[first : first + 4000].astype(int) - wave)[: 4000 - 160].max() < 200


async def test_attended_transfer_replaces_the_call(pair):
    a, b = pair
    async with Phone("127.0.0.4", tone=1100, user="c", transport=a.kind) as c:
        first, at_b = await talk(a, b)
        second, at_c = await talk(a, c)
        referral = await first.refer(c.uri, replaces=second)
        asked = await at_b.referred()
        assert asked.refer_to.user == "c" and "Replaces=" in asked.refer_to.text
        await asked.report(100)
        new = await b.dial(c.uri, Replaces=second_replaces(second))
        at_new = await c.incoming()
        assert at_new.replaces is at_c
        await at_new.answer()
        await new.answered()
        await asked.report(200, "OK")
        assert await referral.result() == 200 and referral.reports == [100, 200]
        await second.ended()
        await first.hangup()
        await asyncio.gather(new.hears(1100), at_new.hears(900))


def second_replaces(call):
    dialog = call.dialog
    return f"{dialog.call_id};to-tag={dialog.remote_tag};from-tag={dialog.local_tag}"


async def test_closing_ends_what_is_open():
    async with Phone("127.0.0.3") as b:
        async with Phone("127.0.0.2") as a:
            _, up = await talk(a, b)
            await a.dial(b.uri)
            unanswered = await b.incoming()
            await unanswered.ringing()
        await up.ended()
        await unanswered.cancelled()
        assert up.ended_by == "them"


async def test_options_and_malformed():
    async with Phone("127.0.0.2") as a, Phone("127.0.0.3") as b:
        assert (await a.options(b.uri)).status == 200
        a.stack.transport.send(b"garbage\r\n\r\n", ("127.0.0.3", b.port))
        assert (await a.options(b.uri)).status == 200
        assert b.stack.malformed == 1


async def test_ulaw_only_and_no_common_codec():
    async with Phone("127.0.0.2", tone=700, laws=("ulaw",)) as a, Phone("127.0.0.3", tone=900) as b:
        out, into = await talk(a, b)
        assert into.media.law == out.media.law == "ulaw"
        await asyncio.gather(out.hears(900), into.hears(700))
        async with Phone("127.0.0.4", laws=("alaw",)) as c:
            out = await a.dial(c.uri)
            with pytest.raises(ValueError, match="codec"):
                await (await c.incoming()).answer()
            with pytest.raises(Refused) as refused:
                await out.answered()
            assert refused.value.status == 488


async def test_lossy_line_is_still_heard():
    async with Phone("127.0.0.2", tone=700, loss=0.1) as a, Phone("127.0.0.3") as b:
        a.rng.seed(5)
        out, into = await talk(a, b)
        await into.hears(700)
        await into.hears_not(900, during=1.0)
        await out.hangup()
        await into.ended()
        assert 0 < out.stats.dropped < 0.3 * out.stats.sent
        assert into.stats.missing > 0


async def test_lost_sip_messages_are_sent_again():
    """Every first copy of every SIP message is lost in both directions."""
    async with Phone("127.0.0.2", user="a", t1=0.05) as a, Phone("127.0.0.3", user="b", t1=0.05) as b:
        for phone in (a, b):
            seen, send = set(), phone.stack.transport.send

            def lossy(data, to, seen=seen, send=send):
                if data in seen:
                    send(data, to)
                seen.add(data)

            phone.stack.transport.send = lossy
        out = await a.dial(b.uri)
        into = await b.incoming()
        await into.answer()
        await out.answered()
        await out.hangup()
        await into.ended()
        assert b.total == 1 and b.stack.retransmitted > 0


async def test_phones_that_act_by_themselves():
    async with (
        Phone("127.0.0.2", tone=700) as a,
        AutoPhone("127.0.0.3", script=answering(Tone(900))) as talks,
        AutoPhone("127.0.0.3", script=refusing(404)) as refuses,
        AutoPhone("127.0.0.3", script=ringing()) as rings,
        AutoPhone("127.0.0.3", script=early(Tone(1500))) as announces,
    ):
        call = await a.call(talks.uri)
        await call.hears(900)
        with pytest.raises(Refused, match="404"):
            await a.call(refuses.uri)
        with pytest.raises(TimeoutError):
            await a.call(rings.uri, within=0.3)
        out = await a.dial(announces.uri)
        await out.hears(1500)
        await out.cancel()
        assert [phone.total for phone in (talks, refuses, rings, announces)] == [1, 1, 1, 1]
        await asyncio.gather(refuses.idle(), rings.idle(), announces.idle())
        assert talks.active == 1


async def test_a_failing_script_is_not_hidden():
    async def script(call):
        await call.reject(500)
        raise RuntimeError("script failed")

    async with Phone("127.0.0.2") as a:
        b = await AutoPhone("127.0.0.3", script=script).__aenter__()
        with pytest.raises(Refused):
            await a.call(b.uri)
        with pytest.raises(ExceptionGroup, match="handlers"):
            await b.__aexit__(None, None, None)


async def test_thirty_calls_at_once():
    async with (
        Phone("127.0.0.2", tone=700, remember=5) as a,
        AutoPhone("127.0.0.3", script=answering(Tone(900)), remember=5) as b,
    ):
        calls = await asyncio.gather(*(a.call(b.uri, within=10) for _ in range(30)))
        await asyncio.gather(*(call.hears(900, within=5) for call in calls))
        assert (b.total, b.active, b.peak) == (30, 30, 30)
        await asyncio.gather(*(call.hangup() for call in calls))
        await b.idle()
        assert sum(call.stats.missing for call in calls) == 0
