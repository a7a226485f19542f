import pytest

from meterspan.crypto.suites import SuiteKeys
from meterspan.engine.frame_trace import AssociationBlanker, FrameDirection, FrameTracer, HdlcCutter, WrapperCutter
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.wire.acse import Aarq, ApplicationContext, AuthenticationMechanism, AuthenticationValue, write_acse
from meterspan.wire.hdlc import FrameKind, HdlcAddress, HdlcFrame, control_octet, write_frame
from meterspan.wire.wrapper import WrapperPdu, write_wpdu
from tests.memory import MemoryState

CLIENT, METER = b"HES\0\0\0\0\1", b"MSP\0\0\0\0\1"
KEYS = SecurityKeys(bytes(range(16)), bytes(range(16, 32)))
GET = bytes.fromhex("C001C1000301000108 00FF0200".replace(" ", ""))
SENT, RECEIVED = FrameDirection.SENT, FrameDirection.RECEIVED


def wrapped(apdu):
    return write_wpdu(WrapperPdu(1, 1, apdu))


def aarq(password=None):
    return write_acse(
        Aarq(
            ApplicationContext.LN_CIPHERED,
            calling_ap_title=CLIENT,
            mechanism=None if password is None else AuthenticationMechanism.LLS,
            authentication_value=None if password is None else AuthenticationValue(password),
        )
    )


@pytest.mark.parametrize("cut", [1, 3, 1000])
def test_frames_are_found_again_in_any_cut(cut):
    tracer = FrameTracer(WrapperCutter)
    stream = wrapped(GET) * 3
    frames = [
        frame for at in range(0, len(stream), cut) for frame in tracer.feed(SENT, stream[at : at + cut], float(at))
    ]
    assert [frame.octets for frame in frames] == [wrapped(GET)] * 3
    assert frames[0].says == "get-request-normal, #1 high priority, class 3 1-0:1.8.0 attribute 2"


def test_ciphered_apdus_are_told_in_the_clear_once_the_title_passed():
    context = SecurityContext(CLIENT, KEYS, counters=MemoryState(), peer_title=METER)
    sealed = context.protect(GET)
    tracer = FrameTracer(WrapperCutter, keys=SuiteKeys(KEYS.unicast, KEYS.authentication))
    (before,) = tracer.feed(SENT, wrapped(sealed), 0.0)
    assert before.says == "glo-get-request counter 1, suite 0, authentication, encryption"
    tracer.feed(SENT, wrapped(aarq()), 0.0)
    (after,) = tracer.feed(SENT, wrapped(sealed), 0.0)
    assert after.says.startswith("glo-get-request counter 1 [get-request-normal")
    tracer.feed(RECEIVED, wrapped(aarq()), 0.0)
    wrong = FrameTracer(WrapperCutter, keys=SuiteKeys(bytes(16), bytes(16)), own_title=CLIENT)
    (refused,) = wrong.feed(SENT, wrapped(sealed), 0.0)
    assert "not opened: authentication tag differs" in refused.says


def test_a_password_is_not_in_the_words():
    (frame,) = FrameTracer(WrapperCutter).feed(SENT, wrapped(aarq(b"open sesame")), 0.0)
    assert frame.says == "AARQ, ln-ciphered, lls"


def test_segments_of_hdlc_are_told_with_the_last():
    apdu = b"\xe6\xe6\x00" + GET
    halves = [
        HdlcFrame(
            HdlcAddress.server(1),
            HdlcAddress(16),
            control_octet(FrameKind.INFORMATION, poll_final=number == 1, send_number=number),
            part,
            number == 0,
        )
        for number, part in enumerate((apdu[:7], apdu[7:]))
    ]
    first, second = FrameTracer(HdlcCutter).feed(SENT, b"".join(map(write_frame, halves)), 0.0)
    assert (first.says, "segmented" in first.link) == ("", True)
    assert second.says.startswith("get-request-normal")


def test_damage_is_told_and_never_raises():
    assert "damaged" in FrameTracer(WrapperCutter).feed(RECEIVED, b"\xff" * 20, 0.0)[0].link
    whole = wrapped(aarq())
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        for frame in FrameTracer(WrapperCutter).feed(RECEIVED, bytes(flipped), 0.0):
            assert isinstance(frame.says, str)
    assert FrameTracer(WrapperCutter).feed(SENT, wrapped(b"\xc0\x01"), 0.0)[0].says.startswith("cannot be read")


PASSWORD = b"open sesame 4711"


def parts_of(frames):
    return b"|".join(frame.octets for frame in frames)


def segments_of(apdu, size):
    information = b"\xe6\xe6\x00" + apdu
    parts = [information[at : at + size] for at in range(0, len(information), size)]
    return [
        HdlcFrame(
            HdlcAddress.server(1),
            HdlcAddress(16),
            control_octet(FrameKind.INFORMATION, poll_final=True, send_number=number % 8),
            part,
            number < len(parts) - 1,
        )
        for number, part in enumerate(parts)
    ]


def leaks(shown):
    return [PASSWORD[at : at + 3] for at in range(len(PASSWORD) - 2) if PASSWORD[at : at + 3] in shown]


@pytest.mark.finding("security H3")
@pytest.mark.parametrize("cut", [1, 3, 1000])
def test_a_password_is_in_no_frame_that_is_shown(cut):
    stream = wrapped(aarq(PASSWORD))
    tracer = FrameTracer(WrapperCutter)
    frames = [frame for at in range(0, len(stream), cut) for frame in tracer.feed(SENT, stream[at : at + cut], 0.0)]
    assert (len(frames), len(frames[0].octets), leaks(parts_of(frames))) == (1, len(stream), [])
    assert b"*" * len(PASSWORD) in frames[0].octets


@pytest.mark.parametrize("size", range(1, 90))
@pytest.mark.parametrize("is_repeated", [False, True])
def test_a_password_is_in_no_segment_however_it_is_cut_and_repeated(size, is_repeated):
    segments = [frame for frame in segments_of(aarq(PASSWORD), size) for _ in range(1 + is_repeated)]
    stream = b"".join(map(write_frame, segments))
    frames = HdlcCutter().feed(stream)
    assert len(frames) == len(segments)
    shown = b"".join(frame.octets[9:-3] for frame in frames)
    assert not leaks(shown)
    assert not any(
        frame.link.startswith("damaged") for frame in HdlcCutter().feed(b"".join(frame.octets for frame in frames))
    )


@pytest.mark.parametrize("bit", range(16))
def test_a_password_is_not_shown_in_a_frame_with_a_wrong_check(bit):
    (segment,) = segments_of(aarq(PASSWORD), 120)
    octets = bytearray(write_frame(segment))
    octets[-3 + bit // 8] ^= 1 << bit % 8
    assert not leaks(parts_of(HdlcCutter().feed(bytes(octets) + write_frame(segment))))


@pytest.mark.attack(5)
@pytest.mark.finding("security H3")
@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_a_session_shows_no_password_in_any_cut_of_its_start_and_the_rest_as_it_came(cut):
    blanker, start = AssociationBlanker(WrapperCutter), wrapped(aarq(PASSWORD))
    shown = [part for at in range(0, len(start), cut) for part in blanker.feed(start[at : at + cut])]
    assert len(shown) == 1
    assert not leaks(shown[0])
    assert blanker.feed(wrapped(GET)) == [wrapped(GET)]
    assert blanker.feed(b"any octets") == [b"any octets"]
    assert not leaks(b"".join(blanker.feed(start)))


@pytest.mark.attack(5)
@pytest.mark.parametrize("size", [30, 60, 90])
def test_a_session_over_hdlc_shows_no_password_that_is_segmented(size):
    blanker = AssociationBlanker(HdlcCutter)
    shown = [part for frame in segments_of(aarq(PASSWORD), size) for part in blanker.feed(write_frame(frame))]
    assert not leaks(b"".join(part[9:-3] for part in shown))
