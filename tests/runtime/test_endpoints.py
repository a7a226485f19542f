import pytest

from meterspan.engine.links import NETWORK_TRANSPORTS, TRANSPORTS
from meterspan.runtime.endpoints import Endpoint, EndpointError, is_loopback, parse_endpoint, parse_transport

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
    for endpoint in (parse_endpoint(text, DLMS), parse_transport(text)):
        assert endpoint == expected
        assert parse_endpoint(str(endpoint), DLMS).host == expected.host


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("192.168.1.50", "is no endpoint; write tcp://"),
        ("ftp://1.2.3.4:5", "is no endpoint"),
        ("", "is no endpoint"),
        ("tcp://[::1", "is no endpoint"),
        ("tcp://h\u2100x:1", "is no endpoint"),
        ("tcp://host:0", "names no port"),
        ("tcp://host:99999", "a port is a number"),
        ("tcp://host:port", "a port is a number"),
        ("serial://", "names no serial device"),
    ],
)
def test_what_is_none_is_refused_with_an_example(text, words):
    with pytest.raises(EndpointError, match=words):
        parse_transport(text)


def test_a_port_is_the_transports_own_where_none_is_written_and_compulsory_elsewhere():
    for scheme, transport in NETWORK_TRANSPORTS.items():
        assert parse_transport(f"{scheme}://meter.local") == Endpoint(scheme, "meter.local", transport.port)
    with pytest.raises(EndpointError, match="tcp://host' names no port"):
        parse_endpoint("tcp://host", DLMS)


def test_any_free_port_may_be_listened_at_and_none_called():
    assert parse_transport("tcp://127.0.0.1:0", is_own=True).port == 0
    with pytest.raises(EndpointError, match="names no port"):
        parse_transport("tcp://127.0.0.1:0")


@pytest.mark.parametrize("transport", TRANSPORTS.values(), ids=TRANSPORTS)
def test_the_example_of_every_transport_is_an_endpoint_of_it(transport):
    endpoint = parse_transport(transport.example)
    assert (endpoint.scheme, endpoint.medium) == (transport.scheme, transport.medium)
    assert str(endpoint) == transport.example.partition("?")[0]


def test_the_place_of_an_endpoint_is_what_the_inventory_keeps():
    assert parse_transport("tcp://[fe80::1]:4059").place == "[fe80::1]:4059"
    assert parse_transport("hdlc+tcp://meter.local:4001").place == "meter.local:4001"
    assert parse_transport("serial:///dev/ttyUSB0").place == "/dev/ttyUSB0"


def test_options_are_numbers_where_numbers_are_due():
    line = parse_endpoint("serial:///dev/ttyS0?baud=0x960&format=8E1", DLMS)
    assert line.number("baud", 9600) == 0x960
    assert line.number("missing", 7) == 7
    with pytest.raises(EndpointError, match="format=8E1 is no number"):
        line.number("format", 1)


@pytest.mark.parametrize(
    ("host", "is_this_machine_alone"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - compared, not bound
        ("::", False),
        ("", False),
        ("192.168.1.5", False),
        ("meters.example", False),
        ("localhost.example", False),
    ],
)
def test_only_a_loopback_address_keeps_other_machines_out(host, is_this_machine_alone):
    assert is_loopback(host) == is_this_machine_alone
