import pytest

from meterspan.runtime.endpoints import Endpoint, EndpointError, parse_endpoint

DLMS = ["tcp", "hdlc+tcp", "serial"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tcp://192.168.1.50:4059", Endpoint("tcp", "192.168.1.50", 4059)),
        ("hdlc+tcp://meter.local:4001", Endpoint("hdlc+tcp", "meter.local", 4001)),
        ("tcp://[fe80::1]:4059", Endpoint("tcp", "fe80::1", 4059)),
        ("tcp://:4059", Endpoint("tcp", "127.0.0.1", 4059)),
        ("serial:///dev/ttyUSB0", Endpoint("serial", path="/dev/ttyUSB0")),
        ("serial:///dev/ttyUSB0?baud=300", Endpoint("serial", path="/dev/ttyUSB0", options={"baud": "300"})),
    ],
)
def test_an_endpoint_is_read_as_it_is_written(text, expected):
    endpoint = parse_endpoint(text, DLMS)
    assert endpoint == expected
    assert parse_endpoint(str(endpoint), DLMS).host == expected.host


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("192.168.1.50", "is no endpoint; write tcp://"),
        ("udp://1.2.3.4:5", "is no endpoint"),
        ("", "is no endpoint"),
        ("tcp://host", "names no port"),
        ("tcp://host:99999", "a port is a number"),
        ("tcp://host:port", "a port is a number"),
        ("serial://", "names no serial device"),
    ],
)
def test_what_is_none_is_refused_with_an_example(text, words):
    with pytest.raises(EndpointError, match=words):
        parse_endpoint(text, DLMS)


def test_options_are_numbers_where_numbers_are_due():
    line = parse_endpoint("serial:///dev/ttyS0?baud=0x960&format=8E1", DLMS)
    assert line.number("baud", 9600) == 0x960
    assert line.number("missing", 7) == 7
    with pytest.raises(EndpointError, match="format=8E1 is no number"):
        line.number("format", 1)
